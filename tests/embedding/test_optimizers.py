"""The contract of every sparse optimizer; a new one is tested by existing and needs an oracle."""

import inspect

import numpy as np
import pytest

from mindspore_rec.embedding import optimizers
from tests.embedding.optimizer_oracles import EXAMPLES, ORACLES

DIM, ROWS = 3, 40


def discovered():
    return {kind for _, kind in inspect.getmembers(optimizers, inspect.isclass) if hasattr(kind, "kernel")}


def test_every_optimizer_has_an_oracle_and_an_example():
    assert discovered() == set(ORACLES) == {type(example) for example in EXAMPLES}


def new_store(optimizer, rng):
    store = np.zeros((ROWS, DIM * (1 + len(optimizer.slots))), np.float32)
    store[:, :DIM] = rng.normal(size=(ROWS, DIM)) if not isinstance(optimizer, optimizers.FTRL) else 0.0
    for k, first in enumerate(optimizer.slots):
        store[:, DIM * (k + 1) : DIM * (k + 2)] = first
    return store


@pytest.mark.parametrize("optimizer", EXAMPLES, ids=repr)
def test_fifty_steps_equal_the_published_formula(optimizer):
    rng = np.random.default_rng(3)
    store = new_store(optimizer, rng)
    model = store.astype(np.float64)
    for step in range(1, 51):
        rows = rng.choice(ROWS, size=11, replace=False).astype(np.int32)
        grads = rng.normal(size=(11, DIM)).astype(np.float32) * 10.0 ** rng.integers(-3, 3)
        grads[0] = 0.0
        optimizer.kernel(store, rows, grads, step)(0, 11)
        parts = np.split(model[rows], 1 + len(optimizer.slots), axis=1)
        weights, slots = ORACLES[type(optimizer)](optimizer, parts[0], parts[1:], grads.astype(np.float64), step)
        model[rows] = np.concatenate([weights, *slots], axis=1)
    np.testing.assert_allclose(store, model, rtol=2e-4, atol=2e-5)
    assert np.isfinite(store).all()


@pytest.mark.parametrize("optimizer", EXAMPLES, ids=repr)
def test_ranges_are_independent(optimizer):
    rng = np.random.default_rng(4)
    whole = new_store(optimizer, rng)
    halves = whole.copy()
    rows = rng.permutation(ROWS).astype(np.int32)
    grads = rng.normal(size=(ROWS, DIM)).astype(np.float32)
    optimizer.kernel(whole, rows, grads, 1)(0, ROWS)
    apply = optimizer.kernel(halves, rows, grads, 1)
    apply(17, ROWS)
    apply(0, 17)
    np.testing.assert_array_equal(whole, halves)
