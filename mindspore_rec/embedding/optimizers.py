"""Sparse optimizers: pure kernels over (rows, their slots, summed gradients).

A row is stored as ``[weights (dim), slot 1 (dim), slot 2 (dim) ...]``. The gradient an optimizer receives for an id is
that of the *sum* of the losses of the rows of the batch in which the id occurs, so that a setting means the same at
any batch size, and a duplicate id is one update.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable, Tuple

import numpy as np
from numba import njit

ApplyRange = Callable[[int, int], None]


@dataclass(frozen=True)
class SGD:
    """w -= lr * g."""

    learning_rate: float = 0.01

    slots: Tuple[float, ...] = ()

    def kernel(self, store: np.ndarray, rows: np.ndarray, grads: np.ndarray, step: int) -> ApplyRange:
        """Return `apply(begin, end)`, which updates `store[rows[begin:end]]`.

        Args:
            store: float32[*, width], all rows of a table with their slots.
            rows: int32[n], the rows to update.
            grads: float32[n, dim], their summed gradients.
            step: steps of the table, this one included.
        """
        rate = np.float32(self.learning_rate)
        return lambda begin, end: _sgd(store, rows, grads, begin, end, rate)


@dataclass(frozen=True)
class Adagrad:
    """s += g^2; w -= lr * g / sqrt(s)  (Duchi, Hazan, Singer 2011), s starting at `initial_accumulator`."""

    learning_rate: float = 0.05
    initial_accumulator: float = 0.1

    @property
    def slots(self) -> Tuple[float, ...]:
        """First value of each slot."""
        return (self.initial_accumulator,)

    def kernel(self, store: np.ndarray, rows: np.ndarray, grads: np.ndarray, step: int) -> ApplyRange:
        """See `SGD.kernel`."""
        rate = np.float32(self.learning_rate)
        return lambda begin, end: _adagrad(store, rows, grads, begin, end, rate)


@dataclass(frozen=True)
class LazyAdam:
    """Adam (Kingma, Ba 2015, with the bias correction in the step size) for the rows that occur in the batch only.

    m = b1 m + (1 - b1) g; v = b2 v + (1 - b2) g^2; w -= lr * sqrt(1 - b2^t) / (1 - b1^t) * m / (sqrt(v) + eps),
    t counting the steps of the table.
    """

    learning_rate: float = 1e-3
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8

    slots: Tuple[float, ...] = (0.0, 0.0)

    def kernel(self, store: np.ndarray, rows: np.ndarray, grads: np.ndarray, step: int) -> ApplyRange:
        """See `SGD.kernel`; `step` counts from 1."""
        rate = np.float32(self.learning_rate * np.sqrt(1 - self.beta2**step) / (1 - self.beta1**step))
        b1, b2, eps = np.float32(self.beta1), np.float32(self.beta2), np.float32(self.epsilon)
        return lambda begin, end: _adam(store, rows, grads, begin, end, rate, b1, b2, eps)


@dataclass(frozen=True)
class FTRL:
    """FTRL-proximal, per coordinate (McMahan et al. 2013, algorithm 1).

    sigma = (sqrt(n + g^2) - sqrt(n)) / alpha; z += g - sigma w; n += g^2;
    w = 0 if |z| <= l1 else -(z - sign(z) l1) / ((beta + sqrt(n)) / alpha + l2).
    """

    alpha: float = 0.05
    beta: float = 1.0
    l1: float = 0.0
    l2: float = 0.0

    slots: Tuple[float, ...] = (0.0, 0.0)

    def kernel(self, store: np.ndarray, rows: np.ndarray, grads: np.ndarray, step: int) -> ApplyRange:
        """See `SGD.kernel`."""
        alpha, beta = np.float32(self.alpha), np.float32(self.beta)
        l1, l2 = np.float32(self.l1), np.float32(self.l2)
        return lambda begin, end: _ftrl(store, rows, grads, begin, end, alpha, beta, l1, l2)


@njit(cache=True, nogil=True)
def _sgd(store, rows, grads, begin, end, rate):  # type: ignore[no-untyped-def]
    dim = grads.shape[1]
    for k in range(begin, end):
        row = store[rows[k]]
        for d in range(dim):
            row[d] -= rate * grads[k, d]


@njit(cache=True, nogil=True)
def _adagrad(store, rows, grads, begin, end, rate):  # type: ignore[no-untyped-def]
    dim = grads.shape[1]
    for k in range(begin, end):
        row = store[rows[k]]
        for d in range(dim):
            g = grads[k, d]
            s = row[dim + d] + g * g
            row[dim + d] = s
            if g != np.float32(0.0):  # s may be 0 only where g is
                row[d] -= rate * g / np.sqrt(s)


@njit(cache=True, nogil=True)
def _adam(store, rows, grads, begin, end, rate, b1, b2, eps):  # type: ignore[no-untyped-def]
    dim = grads.shape[1]
    one = np.float32(1.0)
    for k in range(begin, end):
        row, grad = store[rows[k]], grads[k]
        weights, first, second = row[:dim], row[dim : 2 * dim], row[2 * dim : 3 * dim]
        for d in range(dim):
            m = b1 * first[d] + (one - b1) * grad[d]
            v = b2 * second[d] + (one - b2) * grad[d] * grad[d]
            first[d] = m
            second[d] = v
            weights[d] -= rate * m / (np.sqrt(v) + eps)


@njit(cache=True, nogil=True)
def _ftrl(store, rows, grads, begin, end, alpha, beta, l1, l2):  # type: ignore[no-untyped-def]
    dim = grads.shape[1]
    for k in range(begin, end):
        row = store[rows[k]]
        for d in range(dim):
            g = grads[k, d]
            z = row[dim + d]
            n = row[2 * dim + d]
            n_next = n + g * g
            sigma = (np.sqrt(n_next) - np.sqrt(n)) / alpha
            z += g - sigma * row[d]
            row[dim + d] = z
            row[2 * dim + d] = n_next
            if abs(z) <= l1:
                row[d] = np.float32(0.0)
            else:
                row[d] = -(z - np.sign(z) * l1) / ((beta + np.sqrt(n_next)) / alpha + l2)
