"""The second order of a factorization machine (Rendle 2010, "Factorization Machines")."""

from __future__ import annotations

from mindspore import Tensor, nn, ops


class PairProducts(nn.Cell):
    """The sum of the products <v_i, v_j> of all pairs i < j of a row's vectors, in time linear in their number.

    It is ((sum_i v_i)^2 - sum_i v_i^2) / 2, summed over the dimensions: lemma 3.1 of the paper, with x_i = 1.

    Inputs:
        vectors: float32 [batch, slots, dim].
    Outputs:
        float32 [batch, 1].
    """

    def construct(self, vectors: Tensor) -> Tensor:
        """Return the sums."""
        return 0.5 * (ops.square(vectors.sum(axis=1)) - ops.square(vectors).sum(axis=1)).sum(axis=1, keepdims=True)
