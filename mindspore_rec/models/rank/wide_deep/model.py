"""wide_deep: a linear model and an MLP, trained together (Cheng et al. 2016, "Wide & Deep Learning for Recommender
Systems", equation 3).

`Network` is the model of jobs. `WideDeep` is the one of `online_train.py`, whose rows have a weight for every id and
whose keys are those of `ModelConfig`.
"""

from __future__ import annotations

from typing import ClassVar, Optional, Tuple

import numpy as np
from mindspore import Tensor, ops

from mindspore_rec.data.slot_schema import SlotSchema
from mindspore_rec.models.deep import Deep, DeepSettings
from mindspore_rec.models.first_order import FirstOrder
from mindspore_rec.models.rank.wide_deep.streaming import Wide, WideDeep
from mindspore_rec.models.slot_embedding import SlotEmbedding
from mindspore_rec.models.slot_network import SlotNetwork, Tables

__all__ = ["Network", "Settings", "Wide", "WideDeep"]


class Settings(DeepSettings):
    """Hyper-parameters."""


class Network(SlotNetwork):
    """The wide part has the weights of ids, the deep part their vectors, both have the numbers. Inputs and outputs as
    of `SlotNetwork`.
    """

    all_vars: ClassVar[Tuple[str, ...]] = ("wide", "deep", "logit", "probability")

    def __init__(self, settings: Settings, schema: SlotSchema, padding_id: Optional[int], tables: Tables) -> None:
        super().__init__(settings, schema, padding_id, tables)
        dim, seed = settings.sparse_feature_dim, settings.seed
        self.embedding = SlotEmbedding(dim, tables, padding_id=padding_id, seed=seed)
        self.wide = FirstOrder(schema.dense_dim)
        rng = np.random.default_rng(seed)
        self.deep = Deep(len(schema.sparse), dim - 1, schema.dense_dim, settings.fc_sizes, rng)

    def variables(self, ids: Tensor, *dense: Tensor) -> Tuple[Tensor, ...]:
        """Return wide and deep part, logit (their sum) and probability, each [batch, 1]."""
        weights, vectors = self.embedding.parts(ids)
        wide, deep = self.wide(weights, *dense), self.deep(vectors, *dense)
        logit = wide + deep
        return wide, deep, logit, ops.sigmoid(logit)
