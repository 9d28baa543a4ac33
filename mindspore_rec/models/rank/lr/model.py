"""lr: logistic regression, a weight for every id and every number."""

from __future__ import annotations

from typing import Optional, Tuple

from mindspore import Tensor, ops

from mindspore_rec.data.slot_schema import SlotSchema
from mindspore_rec.models.first_order import FirstOrder
from mindspore_rec.models.slot_embedding import SlotEmbedding
from mindspore_rec.models.slot_network import HyperParameters, SlotNetwork, Tables


class Settings(HyperParameters):
    """Hyper-parameters: those of every model."""


class Network(SlotNetwork):
    """Inputs and outputs as of `SlotNetwork`."""

    def __init__(self, settings: Settings, schema: SlotSchema, padding_id: Optional[int], tables: Tables) -> None:
        super().__init__(settings, schema, padding_id, tables)
        self.embedding = SlotEmbedding(1, tables, padding_id=padding_id)
        self.first_order = FirstOrder(schema.dense_dim)

    def variables(self, ids: Tensor, *dense: Tensor) -> Tuple[Tensor, ...]:
        """Return logit [batch, 1] and probability [batch, 1]."""
        logit = self.first_order(self.embedding(ids), *dense)
        return logit, ops.sigmoid(logit)
