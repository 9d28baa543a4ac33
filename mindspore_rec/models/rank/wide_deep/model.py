"""Wide&Deep (Cheng et al. 2016, "Wide & Deep Learning for Recommender Systems")."""

from __future__ import annotations

import numpy as np
from mindspore import Parameter, Tensor, nn

from mindspore_rec.config import ModelConfig
from mindspore_rec.embedding.lookup import HashEmbeddingLookup
from mindspore_rec.embedding.optimizers import FTRL, Adagrad, LazyAdam
from mindspore_rec.models.layers import MLP


class WideDeep(nn.Cell):
    """A linear part over ids and weights, trained by FTRL, and an MLP over weighted embeddings.

    Inputs:
        ids int64 [batch, fields] and weights float32 [batch, fields].
    Outputs:
        logits float32 [batch, 1].
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.num_fields = config.num_fields
        self.emb_dim = config.emb_dim
        ftrl = FTRL(config.wide_learning_rate, config.wide_beta, config.wide_l1, config.wide_l2)
        self.wide = HashEmbeddingLookup(1, optimizer=ftrl, init=0.0)
        self.wide_bias = Parameter(Tensor(np.zeros(1, np.float32)), name="wide_bias")
        deep_optimizer = {"adam": LazyAdam, "adagrad": Adagrad}[config.deep_optimizer](config.deep_learning_rate)
        self.deep = HashEmbeddingLookup(
            config.emb_dim, optimizer=deep_optimizer, init=config.deep_init, seed=config.model_seed
        )
        rng = np.random.default_rng(config.model_seed)
        self.mlp = MLP(config.num_fields * config.emb_dim, config.layers, rng)

    def construct(self, ids: Tensor, weights: Tensor) -> Tensor:
        """Return logits."""
        wide = (self.wide(ids).reshape((-1, self.num_fields)) * weights).sum(axis=1, keepdims=True) + self.wide_bias
        embeddings = self.deep(ids) * weights.reshape((-1, self.num_fields, 1))
        return wide + self.mlp(embeddings.reshape((-1, self.num_fields * self.emb_dim)))
