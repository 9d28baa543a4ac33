"""dnn: embeddings pooled in each slot, side by side with the numbers, through an MLP, as PaddleRec's dnn."""

from __future__ import annotations

from typing import ClassVar, Optional, Tuple

import numpy as np
from mindspore import Tensor, ops

from mindspore_rec.data.slot_schema import SlotSchema
from mindspore_rec.models.deep import DeepSettings, SideBySide
from mindspore_rec.models.layers import MLP
from mindspore_rec.models.slot_embedding import SlotEmbedding
from mindspore_rec.models.slot_network import SlotNetwork, Tables


class Settings(DeepSettings):
    """Hyper-parameters."""


class Network(SlotNetwork):
    """Inputs and outputs as of `SlotNetwork`."""

    all_vars: ClassVar[Tuple[str, ...]] = ("inputs", "logit", "probability")

    def __init__(self, settings: Settings, schema: SlotSchema, padding_id: Optional[int], tables: Tables) -> None:
        super().__init__(settings, schema, padding_id, tables)
        dim, seed = settings.sparse_feature_dim, settings.seed
        self.embedding = SlotEmbedding(dim, tables, padding_id=padding_id, seed=seed)
        self.inputs = SideBySide(len(schema.sparse), dim, schema.dense_dim)
        self.mlp = MLP(self.inputs.width, settings.fc_sizes, np.random.default_rng(seed))

    def variables(self, ids: Tensor, *dense: Tensor) -> Tuple[Tensor, ...]:
        """Return inputs of the MLP [batch, width], logit [batch, 1] and probability [batch, 1]."""
        inputs = self.inputs(self.embedding(ids), *dense)
        logit = self.bounded(self.mlp(inputs))
        return inputs, logit, ops.sigmoid(logit)

    def bounded(self, logit: Tensor) -> Tensor:
        """Return the logit as it is."""
        return logit
