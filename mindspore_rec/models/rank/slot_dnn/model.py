"""slot_dnn: the network of rank/dnn with bounded logits, for hundreds of slots, as PaddleRec's model of that name."""

from __future__ import annotations

from mindspore import Tensor, ops
from pydantic import Field

from mindspore_rec.models.rank.dnn import model as dnn
from mindspore_rec.models.slot_network import OptimizerSettings

LOGIT_BOUND = 15.0


class Settings(dnn.Settings):
    """Hyper-parameters; the defaults are PaddleRec's."""

    optimizer: OptimizerSettings = Field(OptimizerSettings(learning_rate=5e-6), description="of the dense parameters")


class Network(dnn.Network):
    """Inputs and outputs as of `SlotNetwork`."""

    def bounded(self, logit: Tensor) -> Tensor:
        """Return the logit, within the bound."""
        return ops.clamp(logit, -LOGIT_BOUND, LOGIT_BOUND)
