"""Wide&Deep (Cheng et al. 2016, "Wide & Deep Learning for Recommender Systems")."""

from __future__ import annotations

import numpy as np
from mindspore import Parameter, Tensor, nn

from mindspore_rec.config import ModelConfig
from mindspore_rec.embedding.lookup import HashEmbeddingLookup
from mindspore_rec.embedding.optimizers import FTRL, Adagrad, LazyAdam
from mindspore_rec.models.layers import MLP


class Wide(nn.Cell):
    """The linear part: one weight an id, trained by FTRL, times the weights of the row, plus a bias.

    Inputs:
        ids int64 [batch, fields] and weights float32 [batch, fields].
    Outputs:
        logits float32 [batch, 1].
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.num_fields = config.num_fields
        ftrl = FTRL(config.wide_learning_rate, config.wide_beta, config.wide_l1, config.wide_l2)
        self.table = HashEmbeddingLookup(1, name="wide", optimizer=ftrl, init=0.0)
        self.bias = Parameter(Tensor(np.zeros(1, np.float32)), name="wide_bias")

    def construct(self, ids: Tensor, weights: Tensor) -> Tensor:
        """Return logits."""
        return (self.table(ids).reshape((-1, self.num_fields)) * weights).sum(axis=1, keepdims=True) + self.bias


class Deep(nn.Cell):
    """Embeddings times weights through an MLP; inputs and outputs as of `Wide`."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.num_fields = config.num_fields
        self.width = config.num_fields * config.emb_dim
        optimizer = {"adam": LazyAdam, "adagrad": Adagrad}[config.deep_optimizer](config.deep_learning_rate)
        self.table = HashEmbeddingLookup(
            config.emb_dim, name="deep", optimizer=optimizer, init=config.deep_init, seed=config.model_seed
        )
        self.mlp = MLP(self.width, config.layers, np.random.default_rng(config.model_seed))

    def construct(self, ids: Tensor, weights: Tensor) -> Tensor:
        """Return logits."""
        embeddings = self.table(ids) * weights.reshape((-1, self.num_fields, 1))
        return self.mlp(embeddings.reshape((-1, self.width)))


class WideDeep(nn.Cell):
    """The sum of both parts; inputs and outputs as of `Wide`."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.wide = Wide(config)
        self.deep = Deep(config)

    def construct(self, ids: Tensor, weights: Tensor) -> Tensor:
        """Return logits."""
        return self.wide(ids, weights) + self.deep(ids, weights)
