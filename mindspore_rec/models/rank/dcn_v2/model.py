"""dcn_v2: cross layers beside an MLP (Wang et al. 2021, "DCN V2", the parallel structure of figure 1b)."""

from __future__ import annotations

from typing import ClassVar, Optional, Tuple

import numpy as np
from mindspore import Tensor, ops
from pydantic import Field

from mindspore_rec.data.slot_schema import SlotSchema
from mindspore_rec.models.cross_layers import CrossLayers
from mindspore_rec.models.deep import DeepSettings, SideBySide
from mindspore_rec.models.layers import MLP, Dense
from mindspore_rec.models.slot_embedding import SlotEmbedding
from mindspore_rec.models.slot_network import SlotNetwork, Tables


class Settings(DeepSettings):
    """Hyper-parameters."""

    cross_layers: int = Field(2, ge=1, le=32, description="cross layers: products of up to one input more")


class Network(SlotNetwork):
    """Inputs and outputs as of `SlotNetwork`; numbers are crossed too."""

    all_vars: ClassVar[Tuple[str, ...]] = ("cross", "deep", "logit", "probability")

    def __init__(self, settings: Settings, schema: SlotSchema, padding_id: Optional[int], tables: Tables) -> None:
        super().__init__(settings, schema, padding_id, tables)
        dim, seed = settings.sparse_feature_dim, settings.seed
        rng = np.random.default_rng(seed)
        self.embedding = SlotEmbedding(dim, tables, padding_id=padding_id, seed=seed)
        self.inputs = SideBySide(len(schema.sparse), dim, schema.dense_dim)
        self.cross = CrossLayers(self.inputs.width, settings.cross_layers, rng)
        self.last = Dense(self.inputs.width, 1, rng)
        self.mlp = MLP(self.inputs.width, settings.fc_sizes, rng)

    def variables(self, ids: Tensor, *dense: Tensor) -> Tuple[Tensor, ...]:
        """Return cross and deep part, logit (their sum) and probability, each [batch, 1]."""
        inputs = self.inputs(self.embedding(ids), *dense)
        # One linear layer over both outputs side by side, as in the paper, is the sum of a linear layer over each.
        cross, deep = self.last(self.cross(inputs)), self.mlp(inputs)
        logit = cross + deep
        return cross, deep, logit, ops.sigmoid(logit)
