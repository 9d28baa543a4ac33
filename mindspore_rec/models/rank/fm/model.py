"""fm: a factorization machine (Rendle 2010, "Factorization Machines", equation 1)."""

from __future__ import annotations

from typing import ClassVar, Optional, Tuple

from mindspore import Tensor, ops
from pydantic import Field

from mindspore_rec.data.slot_schema import SlotSchema
from mindspore_rec.models.first_order import FirstOrder
from mindspore_rec.models.pair_products import PairProducts
from mindspore_rec.models.slot_embedding import SlotEmbedding
from mindspore_rec.models.slot_network import HyperParameters, SlotNetwork, Tables


class Settings(HyperParameters):
    """Hyper-parameters."""

    sparse_feature_dim: int = Field(9, ge=2, le=1024, description="values of an embedding: a weight and a vector")


class Network(SlotNetwork):
    """Inputs and outputs as of `SlotNetwork`; numbers are in the first order only."""

    all_vars: ClassVar[Tuple[str, ...]] = ("first_order", "second_order", "logit", "probability")

    def __init__(self, settings: Settings, schema: SlotSchema, padding_id: Optional[int], tables: Tables) -> None:
        super().__init__(settings, schema, padding_id, tables)
        self.embedding = SlotEmbedding(settings.sparse_feature_dim, tables, padding_id=padding_id, seed=settings.seed)
        self.first_order = FirstOrder(schema.dense_dim)
        self.second_order = PairProducts()

    def variables(self, ids: Tensor, *dense: Tensor) -> Tuple[Tensor, ...]:
        """Return first and second order, logit (their sum) and probability, each [batch, 1]."""
        weights, vectors = self.embedding.parts(ids)
        first, second = self.first_order(weights, *dense), self.second_order(vectors)
        logit = first + second
        return first, second, logit, ops.sigmoid(logit)
