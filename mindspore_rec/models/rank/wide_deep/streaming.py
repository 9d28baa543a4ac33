"""Wide&Deep for rows of a stream: each field one id with a weight. What the paper is, `model.py` says."""

from __future__ import annotations

import numpy as np
from mindspore import Parameter, Tensor, nn
from mindspore.common.initializer import Uniform

from mindspore_rec.config import ModelConfig
from mindspore_rec.embedding.admission import Always
from mindspore_rec.embedding.lookup import HashEmbeddingLookup
from mindspore_rec.embedding.optimizers import FTRL, Adagrad, LazyAdam, SharedAdagrad
from mindspore_rec.models.layers import MLP
from mindspore_rec.models.tables import table_arguments


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
        rules = {**table_arguments(config), "row_type": "float32"}
        if not config.admit_wide:
            rules["admission"] = Always()
        self.table = HashEmbeddingLookup(1, param_init=0.0, name="wide", optimizer=ftrl, **rules)
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
        kinds = {"adam": LazyAdam, "adagrad": Adagrad, "shared_adagrad": SharedAdagrad}
        bounds = (-config.deep_bound, config.deep_bound) if config.deep_bound else None
        self.table = HashEmbeddingLookup(
            config.emb_dim,
            param_init=Uniform(config.deep_init),
            name="deep",
            optimizer=kinds[config.deep_optimizer](config.deep_learning_rate, weight_bounds=bounds),
            seed=config.model_seed,
            **table_arguments(config),
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
