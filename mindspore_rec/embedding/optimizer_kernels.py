"""Kernels of the sparse optimizers, which give their formulas: updates of rows, each once, by their summed gradients.

`factors` is float32[n], or empty where every factor of the learning rate is 1; [low, high] bounds the weights. Parts of
a row are sliced before the inner loop and it has no branches: so it compiles to vector instructions.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from mindspore_rec.features.words import prefetch

_AHEAD = 16  # rows: their cache misses overlap
_LINE = 16  # float32 values of a cache line
_SMALLEST = np.float32(1e-36)  # below it a square may have underflowed to 0


@njit(cache=True, nogil=True, inline="always")
def _ask_for(store, rows, k, end):  # type: ignore[no-untyped-def]
    if k < end:
        flat, width = store.reshape(-1), store.shape[1]
        first = np.int64(rows[k]) * width
        for line in range(0, width, _LINE):
            prefetch(flat, first + line)


@njit(cache=True, nogil=True, inline="always")
def _within(value, low, high):  # type: ignore[no-untyped-def]
    raised = low if value < low else value
    return high if raised > high else raised


@njit(cache=True, nogil=True)
def sgd(store, rows, grads, factors, low, high, begin, end, rate):  # type: ignore[no-untyped-def]
    dim = grads.shape[1]
    for k in range(begin, end):
        _ask_for(store, rows, k + _AHEAD, end)
        weights, grad = store[rows[k]][:dim], grads[k]
        lr = rate * factors[k] if factors.size else rate
        for d in range(dim):
            weights[d] = _within(weights[d] - lr * grad[d], low, high)


@njit(cache=True, nogil=True)
def adagrad(store, rows, grads, factors, low, high, begin, end, rate):  # type: ignore[no-untyped-def]
    dim = grads.shape[1]
    for k in range(begin, end):
        _ask_for(store, rows, k + _AHEAD, end)
        row, grad = store[rows[k]], grads[k]
        weights, sums = row[:dim], row[dim : 2 * dim]
        lr = rate * factors[k] if factors.size else rate
        for d in range(dim):
            g = grad[d]
            s = sums[d] + g * g
            sums[d] = s
            weights[d] = _within(weights[d] - lr * g / np.sqrt(s if s > _SMALLEST else _SMALLEST), low, high)


@njit(cache=True, nogil=True)
def shared_adagrad(store, rows, grads, factors, low, high, begin, end, rate, start):  # type: ignore[no-untyped-def]
    dim = grads.shape[1]
    share = np.float32(1.0) / np.float32(dim)
    for k in range(begin, end):
        _ask_for(store, rows, k + _AHEAD, end)
        row, grad = store[rows[k]], grads[k]
        weights = row[:dim]
        lr = rate * factors[k] if factors.size else rate
        lr *= np.sqrt(start / (start + row[dim]))
        mean = np.float32(0.0)
        for d in range(dim):
            mean += share * grad[d] * grad[d]
        for d in range(dim):
            weights[d] = _within(weights[d] - lr * grad[d], low, high)
        row[dim] += mean


@njit(cache=True, nogil=True)
def adam(store, rows, grads, factors, low, high, begin, end, rate, b1, b2, eps):  # type: ignore[no-untyped-def]
    dim = grads.shape[1]
    one = np.float32(1.0)
    for k in range(begin, end):
        _ask_for(store, rows, k + _AHEAD, end)
        row, grad = store[rows[k]], grads[k]
        weights, first, second = row[:dim], row[dim : 2 * dim], row[2 * dim : 3 * dim]
        lr = rate * factors[k] if factors.size else rate
        for d in range(dim):
            m = b1 * first[d] + (one - b1) * grad[d]
            v = b2 * second[d] + (one - b2) * grad[d] * grad[d]
            first[d] = m
            second[d] = v
            weights[d] = _within(weights[d] - lr * m / (np.sqrt(v) + eps), low, high)


@njit(cache=True, nogil=True)
def ftrl(store, rows, grads, factors, low, high, begin, end, alpha, beta, l1, l2):  # type: ignore[no-untyped-def]
    dim = grads.shape[1]
    for k in range(begin, end):
        _ask_for(store, rows, k + _AHEAD, end)
        row, grad = store[rows[k]], grads[k]
        weights, pulls, squares = row[:dim], row[dim : 2 * dim], row[2 * dim : 3 * dim]
        a = alpha * factors[k] if factors.size else alpha
        for d in range(dim):
            g = grad[d]
            n = squares[d]
            n_next = n + g * g
            root = np.sqrt(n_next)
            z = pulls[d] + (g - (root - np.sqrt(n)) / a * weights[d])
            pulls[d] = z
            squares[d] = n_next
            shrunk = (z + l1 if z < np.float32(0.0) else z - l1) / ((beta + root) / a + l2)
            weights[d] = _within(np.float32(0.0) if abs(z) <= l1 else -shrunk, low, high)
