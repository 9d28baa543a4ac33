"""ctr_dnn: the network of rank/dnn, for training pass by pass, as PaddleRec's model of that name."""

from __future__ import annotations

from mindspore_rec.models.rank.dnn import model as dnn


class Settings(dnn.Settings):
    """Hyper-parameters."""


class Network(dnn.Network):
    """Inputs and outputs as of `SlotNetwork`."""
