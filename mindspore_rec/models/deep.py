"""The deep part of a model, and the settings of the models that have one."""

from __future__ import annotations

from typing import Sequence, Tuple

import numpy as np
from mindspore import Tensor, nn, ops
from pydantic import Field, PositiveInt

from mindspore_rec.models.layers import MLP
from mindspore_rec.models.slot_network import HyperParameters


class DeepSettings(HyperParameters):
    """Hyper-parameters of a model with embeddings and hidden layers."""

    sparse_feature_dim: int = Field(9, ge=2, le=1024, description="values of an embedding: a weight and a vector")
    fc_sizes: Tuple[PositiveInt, ...] = Field((512, 256, 128), description="hidden layers")


class SideBySide(nn.Cell):
    """The embeddings of a row and its numbers, side by side.

    Args:
        slots: slots of a row.
        dim: values of an embedding.
        dense_dim: numbers of a row.

    Inputs:
        embeddings: float32 [batch, slots, dim].
        dense: float32 [batch, dense_dim]; left out where there are no numbers.
    Outputs:
        float32 [batch, width].
    """

    def __init__(self, slots: int, dim: int, dense_dim: int) -> None:
        super().__init__()
        self.embedded = slots * dim
        self.width = self.embedded + dense_dim
        self.has_dense = dense_dim > 0
        self.join = ops.Concat(axis=1)

    def construct(self, embeddings: Tensor, *dense: Tensor) -> Tensor:
        """Return them."""
        flat = embeddings.reshape((-1, self.embedded))
        return self.join((flat, dense[0])) if self.has_dense else flat


class Deep(nn.Cell):
    """`SideBySide` through an MLP; inputs as there. Outputs: logits, float32 [batch, 1]."""

    def __init__(self, slots: int, dim: int, dense_dim: int, layers: Sequence[int], rng: np.random.Generator) -> None:
        super().__init__()
        self.inputs = SideBySide(slots, dim, dense_dim)
        self.mlp = MLP(self.inputs.width, layers, rng)

    def construct(self, embeddings: Tensor, *dense: Tensor) -> Tensor:
        """Return logits."""
        return self.mlp(self.inputs(embeddings, *dense))
