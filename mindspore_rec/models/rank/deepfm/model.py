"""deepfm: a factorization machine and an MLP over the same vectors (Guo et al. 2017, "DeepFM", equations 1 to 4)."""

from __future__ import annotations

from typing import ClassVar, Optional, Tuple

import numpy as np
from mindspore import Tensor, ops

from mindspore_rec.data.slot_schema import SlotSchema
from mindspore_rec.models.deep import Deep, DeepSettings
from mindspore_rec.models.first_order import FirstOrder
from mindspore_rec.models.pair_products import PairProducts
from mindspore_rec.models.slot_embedding import SlotEmbedding
from mindspore_rec.models.slot_network import SlotNetwork, Tables


class Settings(DeepSettings):
    """Hyper-parameters."""


class Network(SlotNetwork):
    """Inputs and outputs as of `SlotNetwork`; numbers are in the first order and in the deep part."""

    all_vars: ClassVar[Tuple[str, ...]] = ("first_order", "second_order", "deep", "logit", "probability")

    def __init__(self, settings: Settings, schema: SlotSchema, padding_id: Optional[int], tables: Tables) -> None:
        super().__init__(settings, schema, padding_id, tables)
        dim, seed = settings.sparse_feature_dim, settings.seed
        self.embedding = SlotEmbedding(dim, tables, padding_id=padding_id, seed=seed)
        self.first_order = FirstOrder(schema.dense_dim)
        self.second_order = PairProducts()
        rng = np.random.default_rng(seed)
        self.deep = Deep(len(schema.sparse), dim - 1, schema.dense_dim, settings.fc_sizes, rng)

    def variables(self, ids: Tensor, *dense: Tensor) -> Tuple[Tensor, ...]:
        """Return first order, second order, deep part, logit (their sum) and probability, each [batch, 1]."""
        weights, vectors = self.embedding.parts(ids)
        first, second, deep = self.first_order(weights, *dense), self.second_order(vectors), self.deep(vectors, *dense)
        logit = first + second + deep
        return first, second, deep, logit, ops.sigmoid(logit)
