"""The linear part of a model: weights of ids, numbers times weights, and a bias."""

from __future__ import annotations

import numpy as np
from mindspore import Parameter, Tensor, nn, ops


class FirstOrder(nn.Cell):
    """The sum of the weights of a row's ids, a product with its numbers, and a bias; all of them begin at zero.

    Args:
        dense_dim: numbers of a row; 0: none.

    Inputs:
        weights: float32 [batch, slots, 1].
        dense: float32 [batch, dense_dim]; left out where there are no numbers.
    Outputs:
        float32 [batch, 1].
    """

    def __init__(self, dense_dim: int) -> None:
        super().__init__()
        self.bias = Parameter(Tensor(np.zeros(1, np.float32)), name="bias")
        self.has_dense = dense_dim > 0
        if self.has_dense:
            self.dense_weight = Parameter(Tensor(np.zeros((dense_dim, 1), np.float32)), name="dense_weight")
            self.product = ops.MatMul()

    def construct(self, weights: Tensor, *dense: Tensor) -> Tensor:
        """Return the sums."""
        total = weights.sum(axis=1) + self.bias
        return total + self.product(dense[0], self.dense_weight) if self.has_dense else total
