"""Sparse optimizers: settings and formulas; `optimizer_kernels.py` applies them to (rows, slots, summed gradients).

A row is stored as `[weights (dim), slot 1, slot 2 ...]`; a slot holds `dim` values, or one where the row shares it. The
gradient an optimizer receives for an id is that of the *sum* of the losses of the rows of the batch in which the id
occurs, so that a setting means the same at any batch size, and a duplicate id is one update.

In the formulas g is that gradient, w a weight and lr the learning rate times the factor of the id, where there is one.
With `weight_bounds` (low, high) a weight is clipped to them after its update; new rows are not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from mindspore_rec.embedding.optimizer_kernels import adagrad, adam, ftrl, sgd, shared_adagrad

ApplyRange = Callable[[int, int], None]
Bounds = Optional[Tuple[float, float]]

_NO_RATES = np.empty(0, dtype=np.float32)


class Slot(NamedTuple):
    """What an optimizer keeps of a row: its first value, one for every weight or one for the row."""

    name: str
    first: float
    per_row: bool = False


def first_values(slots: Sequence[Slot], dim: int) -> np.ndarray:
    """Return float32[values], the slots of a new row of `dim` weights.

    >>> first_values([Slot("moment", 0.0), Slot("sum", 3.0, per_row=True)], 2)
    array([0., 0., 3.], dtype=float32)
    """
    return np.array([s.first for s in slots for _ in range(1 if s.per_row else dim)], dtype=np.float32)


@dataclass(frozen=True)
class SGD:
    """w -= lr g  (Robbins, Monro 1951, "A Stochastic Approximation Method", equation 5)."""

    learning_rate: float = 0.01
    weight_bounds: Bounds = None

    def __post_init__(self) -> None:
        _limits(self.weight_bounds)

    @property
    def slots(self) -> Tuple[Slot, ...]:
        """What is kept of a row besides its weights."""
        return ()

    def kernel(
        self, store: np.ndarray, rows: np.ndarray, grads: np.ndarray, step: int, rates: Optional[np.ndarray] = None
    ) -> ApplyRange:
        """Return `apply(begin, end)`, which updates `store[rows[begin:end]]`.

        Args:
            store: float32[*, width], all rows of a table with their slots.
            rows: int32[n], the rows to update, each once.
            grads: float32[n, dim], their summed gradients.
            step: steps of the table, this one included; counts from 1.
            rates: float32[n], factors of the learning rate, positive; default: all 1.
        """
        rate, factors = np.float32(self.learning_rate), _NO_RATES if rates is None else rates
        low, high = _limits(self.weight_bounds)
        return lambda begin, end: sgd(store, rows, grads, factors, low, high, begin, end, rate)


@dataclass(frozen=True)
class Adagrad:
    """s += g^2; w -= lr g / sqrt(s), s starting at `initial_accumulator`.

    Duchi, Hazan, Singer 2011, "Adaptive Subgradient Methods for Online Learning and Stochastic Optimization",
    equation 1 with the diagonal of G.
    """

    learning_rate: float = 0.05
    initial_accumulator: float = 0.1
    weight_bounds: Bounds = None

    def __post_init__(self) -> None:
        _limits(self.weight_bounds)

    @property
    def slots(self) -> Tuple[Slot, ...]:
        """See `SGD.slots`."""
        return (Slot("accumulator", self.initial_accumulator),)

    def kernel(
        self, store: np.ndarray, rows: np.ndarray, grads: np.ndarray, step: int, rates: Optional[np.ndarray] = None
    ) -> ApplyRange:
        """See `SGD.kernel`."""
        rate, factors = np.float32(self.learning_rate), _NO_RATES if rates is None else rates
        low, high = _limits(self.weight_bounds)
        return lambda begin, end: adagrad(store, rows, grads, factors, low, high, begin, end, rate)


@dataclass(frozen=True)
class SharedAdagrad:
    """w -= lr g sqrt(G0 / (G0 + s)), then s += mean(g^2) over the weights of the row; s starts at 0.

    One accumulator a row: `SparseAdaGradSGDRule` of Paddle (paddle/fluid/distributed/ps/table/sparse_sgd_rule.cc), with
    G0 = `initial_g2sum` and its defaults; there the weights are bounded by (-10, 10).
    """

    learning_rate: float = 0.05
    initial_g2sum: float = 3.0
    weight_bounds: Bounds = None

    def __post_init__(self) -> None:
        _limits(self.weight_bounds)
        if not 0 < np.float32(self.initial_g2sum) < np.inf:
            raise ValueError(f"initial_g2sum = {self.initial_g2sum!r}: expected a positive number")

    @property
    def slots(self) -> Tuple[Slot, ...]:
        """See `SGD.slots`."""
        return (Slot("g2sum", 0.0, per_row=True),)

    def kernel(
        self, store: np.ndarray, rows: np.ndarray, grads: np.ndarray, step: int, rates: Optional[np.ndarray] = None
    ) -> ApplyRange:
        """See `SGD.kernel`."""
        rate, factors = np.float32(self.learning_rate), _NO_RATES if rates is None else rates
        low, high = _limits(self.weight_bounds)
        start = np.float32(self.initial_g2sum)
        return lambda begin, end: shared_adagrad(store, rows, grads, factors, low, high, begin, end, rate, start)


@dataclass(frozen=True)
class LazyAdam:
    """Adam for the rows that occur in the batch only; the moments of the others stay as they are.

    m = b1 m + (1 - b1) g; v = b2 v + (1 - b2) g^2; w -= lr sqrt(1 - b2^t) / (1 - b1^t) m / (sqrt(v) + eps), t counting
    the steps of the table: Kingma, Ba 2015, "Adam: A Method for Stochastic Optimization", algorithm 1 in the order of
    the end of its section 2.
    """

    learning_rate: float = 1e-3
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    weight_bounds: Bounds = None

    def __post_init__(self) -> None:
        _limits(self.weight_bounds)

    @property
    def slots(self) -> Tuple[Slot, ...]:
        """See `SGD.slots`."""
        return (Slot("m", 0.0), Slot("v", 0.0))

    def kernel(
        self, store: np.ndarray, rows: np.ndarray, grads: np.ndarray, step: int, rates: Optional[np.ndarray] = None
    ) -> ApplyRange:
        """See `SGD.kernel`."""
        rate = np.float32(self.learning_rate * np.sqrt(1 - self.beta2**step) / (1 - self.beta1**step))
        b1, b2, eps = np.float32(self.beta1), np.float32(self.beta2), np.float32(self.epsilon)
        factors, (low, high) = _NO_RATES if rates is None else rates, _limits(self.weight_bounds)
        return lambda begin, end: adam(store, rows, grads, factors, low, high, begin, end, rate, b1, b2, eps)


@dataclass(frozen=True)
class FTRL:
    """FTRL-proximal, per coordinate.

    sigma = (sqrt(n + g^2) - sqrt(n)) / alpha; z += g - sigma w; n += g^2;
    w = 0 if |z| <= l1 else -(z - sign(z) l1) / ((beta + sqrt(n)) / alpha + l2): McMahan et al. 2013, "Ad Click
    Prediction: a View from the Trenches", algorithm 1. Bounds clip that w, which makes it the minimizer within them.
    A factor multiplies alpha; it should be the same at each update of an id, as alpha is in the paper.
    """

    alpha: float = 0.05
    beta: float = 1.0
    l1: float = 0.0
    l2: float = 0.0
    weight_bounds: Bounds = None

    def __post_init__(self) -> None:
        _limits(self.weight_bounds)

    @property
    def slots(self) -> Tuple[Slot, ...]:
        """See `SGD.slots`."""
        return (Slot("z", 0.0), Slot("n", 0.0))

    def kernel(
        self, store: np.ndarray, rows: np.ndarray, grads: np.ndarray, step: int, rates: Optional[np.ndarray] = None
    ) -> ApplyRange:
        """See `SGD.kernel`."""
        alpha, beta = np.float32(self.alpha), np.float32(self.beta)
        l1, l2 = np.float32(self.l1), np.float32(self.l2)
        factors, (low, high) = _NO_RATES if rates is None else rates, _limits(self.weight_bounds)
        return lambda begin, end: ftrl(store, rows, grads, factors, low, high, begin, end, alpha, beta, l1, l2)


def _limits(bounds: Bounds) -> Tuple[np.float32, np.float32]:
    """Return the bounds as float32, infinite where there are none."""
    if bounds is None:
        return np.float32(-np.inf), np.float32(np.inf)
    with np.errstate(over="ignore"):
        low, high = (np.float32(bound) for bound in bounds)
    if not (np.isfinite(low) and np.isfinite(high) and low < high):
        raise ValueError(f"weight_bounds = {bounds!r}: expected (low, high), finite float32 with low < high")
    return low, high
