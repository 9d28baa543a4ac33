"""ncf: matrix factorization beside an MLP (He et al. 2017, "Neural Collaborative Filtering", NeuMF, equation 12)."""

from __future__ import annotations

from typing import ClassVar, Optional, Tuple

import numpy as np
from mindspore import Tensor, ops
from pydantic import Field, PositiveInt

from mindspore_rec.data.slot_schema import SlotSchema
from mindspore_rec.models.layers import MLP, Dense
from mindspore_rec.models.slot_embedding import SlotEmbedding
from mindspore_rec.models.slot_network import HyperParameters, SlotNetwork, Tables, expect_slots


class Settings(HyperParameters):
    """Hyper-parameters."""

    mf_dim: int = Field(8, ge=1, le=1024, description="values of a vector of the factorization")
    mlp_dim: int = Field(32, ge=1, le=1024, description="values of a vector of the MLP")
    fc_sizes: Tuple[PositiveInt, ...] = Field((64, 32, 16, 8), description="hidden layers")


class Network(SlotNetwork):
    """Two slots, the user and the item; inputs and outputs as of `SlotNetwork`.

    The tables are ``user`` and ``item``; a row is the vector of the factorization, then that of the MLP.
    """

    all_vars: ClassVar[Tuple[str, ...]] = ("gmf", "mlp", "logit", "probability")

    def __init__(self, settings: Settings, schema: SlotSchema, padding_id: Optional[int], tables: Tables) -> None:
        super().__init__(settings, schema, padding_id, tables)
        expect_slots(schema, "user", "item")
        dim, seed = settings.mf_dim + settings.mlp_dim, settings.seed
        rng = np.random.default_rng(seed)
        self.user = SlotEmbedding(dim, tables, weighted=False, name="user", padding_id=padding_id, seed=seed)
        self.item = SlotEmbedding(dim, tables, weighted=False, name="item", padding_id=padding_id, seed=seed + 1)
        self.last = Dense(settings.mf_dim, 1, rng)
        self.mlp = MLP(2 * settings.mlp_dim, settings.fc_sizes, rng)
        self.mf_dim = settings.mf_dim
        self.join = ops.Concat(axis=1)

    def variables(self, ids: Tensor, *dense: Tensor) -> Tuple[Tensor, ...]:
        """Return generalized factorization, MLP, logit (their sum) and probability, each [batch, 1]."""
        user, item = self.user(ids[:, 0:1])[:, 0], self.item(ids[:, 1:2])[:, 0]
        # One linear layer over both outputs side by side, as in the paper, is the sum of a linear layer over each.
        gmf = self.last(user[:, : self.mf_dim] * item[:, : self.mf_dim])
        mlp = self.mlp(self.join((user[:, self.mf_dim :], item[:, self.mf_dim :])))
        logit = gmf + mlp
        return gmf, mlp, logit, ops.sigmoid(logit)
