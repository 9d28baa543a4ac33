"""A model.py that names what is dumped; and what it computes, in numpy."""

from __future__ import annotations

from typing import Any, ClassVar, Dict, List, Mapping, Optional, Tuple

import mindspore as ms
import numpy as np
from mindspore import Tensor, ops

from mindspore_rec.data.slot_rows import SlotRows
from mindspore_rec.embedding.bags import Bags
from mindspore_rec.models.layers import MLP, Dense
from mindspore_rec.models.slot_embedding import SlotEmbedding
from mindspore_rec.models.slot_network import HyperParameters, SlotNetwork

ms.set_context(mode=ms.GRAPH_MODE, device_target="CPU")

DIM, HIDDEN = 3, 5


class Settings(HyperParameters):
    """Nothing of its own."""


class Network(SlotNetwork):
    """Rows of slots side by side, a hidden layer of tanh, a logit."""

    all_vars: ClassVar[Tuple[str, ...]] = ("pooled", "hidden", "logit", "probability")
    infer_dump_fields: ClassVar[Tuple[str, ...]] = ("probability", "pooled")
    train_dump_fields: ClassVar[Tuple[str, ...]] = ("label", "hidden", "pooled", "logit")
    train_dump_params: ClassVar[Tuple[str, ...]] = ("first.weight", "last.layers.0.bias")

    def __init__(self, settings: Settings, schema: Any, padding_id: Optional[int], tables: Mapping[str, Any]) -> None:
        super().__init__(settings, schema, padding_id, tables)
        rng = np.random.default_rng(settings.seed)
        self.slots = len(schema.sparse)
        self.embedding = SlotEmbedding(DIM, tables, padding_id=padding_id, seed=settings.seed)
        self.first = Dense(self.slots * DIM, HIDDEN, rng)
        self.last = MLP(HIDDEN, (), rng)

    def variables(self, ids: Tensor, *dense: Tensor) -> Tuple[Tensor, ...]:
        """Return pooled [batch, slots, DIM], hidden [batch, HIDDEN], logit and probability [batch, 1]."""
        pooled = self.embedding(ids)
        hidden = ops.tanh(self.first(pooled.reshape((-1, self.slots * DIM))))
        logit = self.last(hidden)
        return pooled, hidden, logit, ops.sigmoid(logit)


def parameters_of(network: SlotNetwork) -> Dict[str, np.ndarray]:
    """Copies of the dense parameters."""
    return {parameter.name: parameter.asnumpy().copy() for parameter in network.trainable_params()}


def computed(network: SlotNetwork, rows: SlotRows) -> Dict[str, np.ndarray]:
    """All variables of rows, with tables and parameters as they are now; unknown ids read as zeros."""
    tables = (network.embedding.weight.table, network.embedding.vector.table)
    pooled = np.zeros((len(rows), rows.num_slots, DIM), np.float32)
    spans: List[np.ndarray] = np.split(rows.ids, rows.offsets[1:-1])
    for place, ids in enumerate(spans):
        if len(ids):
            found = np.concatenate([table.lookup(ids) for table in tables], axis=1)
            pooled[place // rows.num_slots, place % rows.num_slots] = found.sum(axis=0)
    dense = parameters_of(network)
    flat = pooled.reshape(len(rows), -1)
    hidden = np.tanh(flat @ dense["first.weight"] + dense["first.bias"])
    logit = hidden @ dense["last.layers.0.weight"] + dense["last.layers.0.bias"]
    return {"pooled": pooled, "hidden": hidden, "logit": logit, "probability": 1 / (1 + np.exp(-logit))}


def bags_of(rows: SlotRows) -> Bags:
    """What the network is given of rows."""
    return Bags(rows.num_slots, rows.ids, rows.offsets)
