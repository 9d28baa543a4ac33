"""Gradients of dense parameters over all ranks: the mean over all real rows of a batch."""

from __future__ import annotations

from typing import List, NamedTuple, Sequence

import numpy as np

from mindspore_rec.distributed.exchange import Exchange


class Combined(NamedTuple):
    """What all ranks found together.

    Attributes:
        rows: of all ranks.
        loss: mean over them.
        usable: whether all ranks found finite gradients of their rows.
        grads: the mean over all rows of the gradient of each parameter.
    """

    rows: int
    loss: float
    usable: bool
    grads: List[np.ndarray]


def combine(exchange: Exchange, rows: int, loss: float, usable: bool, grads: Sequence[np.ndarray]) -> Combined:
    """Combine the ranks' sums over their own rows. Collective; every rank gets the same bits.

    Args:
        rows: of this rank.
        loss: summed over them.
        usable: whether the gradients of embedding rows are finite.
        grads: gradients of the summed loss, all float32 or all float64.

    Returns:
        means over the rows of all ranks, gradients in float32.

    >>> from mindspore_rec.distributed.exchange import Alone
    >>> combine(Alone(), 2, 1.0, True, [np.array([[2.0, 6.0]], np.float32)])
    Combined(rows=2, loss=0.5, usable=True, grads=[array([[1., 3.]], dtype=float32)])
    """
    sizes = [grad.size for grad in grads]
    flat = np.concatenate([np.array([rows, loss, not usable], grads[0].dtype), *(grad.reshape(-1) for grad in grads)])
    total = exchange.sum(flat)
    count = int(total[0])
    means = (total[3:] / max(count, 1)).astype(np.float32)
    parts = np.split(means, np.cumsum(sizes)[:-1])
    return Combined(
        count,
        float(total[1]) / max(count, 1),
        total[2] == 0,
        [part.reshape(grad.shape) for part, grad in zip(parts, grads)],
    )
