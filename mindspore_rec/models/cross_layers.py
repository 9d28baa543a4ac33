"""Cross layers (Wang et al. 2021, "DCN V2: Improved Deep & Cross Network")."""

from __future__ import annotations

import numpy as np
from mindspore import Tensor, nn

from mindspore_rec.models.layers import Dense


class CrossLayers(nn.Cell):
    """x_{l+1} = x_0 * (W_l x_l + b_l) + x_l, equation 1 of the paper: layer l has products of up to l + 1 inputs.

    Inputs:
        x: float32 [batch, width].
    Outputs:
        float32 [batch, width].
    """

    def __init__(self, width: int, layers: int, rng: np.random.Generator) -> None:
        super().__init__()
        self.layers = nn.CellList([Dense(width, width, rng) for _ in range(layers)])

    def construct(self, x: Tensor) -> Tensor:
        """Return the output of the last layer."""
        crossed = x
        for layer in self.layers:
            crossed = x * layer(crossed) + crossed
        return crossed
