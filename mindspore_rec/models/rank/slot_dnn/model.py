"""slot_dnn: embeddings summed in each slot, side by side, through an MLP, as PaddleRec's model of that name."""

from __future__ import annotations

from typing import ClassVar, Mapping, Optional, Tuple

import numpy as np
from mindspore import Tensor, ops
from pydantic import Field

from mindspore_rec.data.slot_schema import SlotSchema
from mindspore_rec.job_config import TableParameters
from mindspore_rec.models.layers import MLP
from mindspore_rec.models.slot_embedding import SlotEmbedding
from mindspore_rec.models.slot_network import HyperParameters, OptimizerSettings, SlotNetwork

LOGIT_BOUND = 15.0


class Settings(HyperParameters):
    """Hyper-parameters; the defaults are PaddleRec's."""

    optimizer: OptimizerSettings = Field(OptimizerSettings(learning_rate=5e-6), description="of the dense parameters")
    sparse_feature_dim: int = Field(9, ge=1, le=1024, description="values of an embedding")
    fc_sizes: Tuple[int, ...] = Field((512, 256, 128), description="hidden layers")


class Network(SlotNetwork):
    """Inputs and outputs as of `SlotNetwork`."""

    all_vars: ClassVar[Tuple[str, ...]] = ("embeddings", "logit", "probability")

    def __init__(
        self,
        settings: Settings,
        schema: SlotSchema,
        padding_id: Optional[int],
        tables: Mapping[str, TableParameters],
    ) -> None:
        super().__init__(settings, schema, padding_id, tables)
        dim, seed = settings.sparse_feature_dim, settings.seed
        self.width = dim * len(schema.sparse)
        self.embedding = SlotEmbedding(dim, tables, padding_id=padding_id, seed=seed)
        self.mlp = MLP(self.width + schema.dense_dim, settings.fc_sizes, np.random.default_rng(seed))
        self.join = ops.Concat(axis=1)

    def variables(self, ids: Tensor, *dense: Tensor) -> Tuple[Tensor, ...]:
        """Return embeddings [batch, width], logit [batch, 1] and probability [batch, 1]."""
        embeddings = self.embedding(ids).reshape((-1, self.width))
        logit = ops.clamp(self.mlp(self.join((embeddings, *dense))), -LOGIT_BOUND, LOGIT_BOUND)
        return embeddings, logit, ops.sigmoid(logit)
