"""The contract of every sparse optimizer; a new one is tested by existing and needs an oracle."""

import dataclasses
import inspect

import numpy as np
import pytest

from mindspore_rec.embedding import optimizers
from mindspore_rec.embedding.initial import Constant, Uniform
from mindspore_rec.embedding.optimizers import FTRL, SharedAdagrad, first_values
from mindspore_rec.embedding.table import HashTable
from tests.embedding.optimizer_oracles import BOUNDED, EXAMPLES, ORACLES, UNBOUNDED, after_update, first_slots

DIM, ROWS, STEPS = 3, 40, 50
IDS = np.random.default_rng(0).integers(-(2**63), 2**63 - 1, size=ROWS)
KINDS = sorted(ORACLES, key=lambda kind: kind.__name__)
every_example = pytest.mark.parametrize("optimizer", EXAMPLES, ids=repr)
with_rates = pytest.mark.parametrize("rated", [False, True], ids=["one rate", "rates"])


def discovered():
    return {kind for _, kind in inspect.getmembers(optimizers, inspect.isclass) if hasattr(kind, "kernel")}


def test_every_optimizer_has_an_oracle_and_examples_with_and_without_bounds():
    assert discovered() == set(ORACLES) == set(map(type, UNBOUNDED)) == set(map(type, BOUNDED))


@pytest.mark.parametrize("kind", KINDS)
def test_the_docstring_names_a_publication(kind):
    assert any(word in kind.__doc__ for word in ("algorithm", "equation", "Paddle"))


def factors(ids):
    """float32[n]: a factor an id, the same at each of its updates."""
    return (0.5 + 0.25 * (np.asarray(ids) % 5)).astype(np.float32)


def new_table(optimizer, dim=DIM):
    return HashTable(dim, optimizer, init=Constant(0.0) if isinstance(optimizer, FTRL) else Uniform(0.4), seed=7)


def random_batch(rng, dim=DIM):
    """Ids with duplicates, and gradients whose sums are exact in any order."""
    ids = rng.choice(IDS[: rng.integers(1, ROWS)], size=30)
    grads = rng.integers(-64, 65, size=(30, dim)) * 2.0 ** rng.integers(-12, 1)
    grads[ids == ids[0]] = 0.0
    return ids, grads.astype(np.float32)


def train(table, ids, grads, rated):
    batch = table.prepare(ids)
    sums, usable = table.sum_gradients(batch, grads)
    assert usable
    table.apply(batch, sums, factors(batch.distinct.ids) if rated else None)


def content(table):
    state = table.state()
    return {int(i): row.tobytes() for i, row in zip(state["ids"], state["rows"])}


@with_rates
@every_example
@pytest.mark.parametrize("dim", [1, DIM])
def test_fifty_steps_with_duplicates_equal_the_published_formula(optimizer, rated, dim):
    rng = np.random.default_rng(3)
    table = new_table(optimizer, dim)
    table.prepare(IDS)
    weights, slots = table.lookup(IDS).astype(np.float64), first_slots(optimizer, ROWS, dim)
    for step in range(1, STEPS + 1):
        ids, grads = random_batch(rng, dim)
        train(table, ids, grads, rated)
        known = np.isin(IDS, ids)
        sums = np.array([grads[ids == i].sum(axis=0, dtype=np.float64) for i in IDS[known]])
        rates = factors(IDS[known])[:, None].astype(np.float64) if rated else np.ones((known.sum(), 1))
        weights[known], after = after_update(
            optimizer, weights[known], [slot[known] for slot in slots], sums, step, rates
        )
        for slot, new in zip(slots, after):
            slot[known] = new
    rows = table.state()["rows"]
    np.testing.assert_allclose(rows, np.concatenate([weights, *slots], axis=1), rtol=2e-4, atol=2e-5)
    assert np.isfinite(rows).all()
    assert rows.dtype == np.float32


@every_example
def test_large_gradients_leave_finite_values(optimizer):
    table = new_table(optimizer)
    for value in (9e17, -9e17, 1e-30, 0.0):
        train(table, IDS, np.full((ROWS, DIM), value, np.float32), True)
    assert np.isfinite(table.state()["rows"]).all()


@with_rates
@every_example
def test_the_order_of_ids_in_a_batch_does_not_matter(optimizer, rated):
    rng = np.random.default_rng(5)
    one, other = new_table(optimizer), new_table(optimizer)
    for _ in range(10):
        ids, grads = random_batch(rng)
        order = rng.permutation(ids.size)
        train(one, ids, grads, rated)
        train(other, ids[order], grads[order], rated)
    assert content(one) == content(other)


@with_rates
@every_example
def test_save_load_continue_equals_uninterrupted(optimizer, rated):
    rng = np.random.default_rng(6)
    batches = [random_batch(rng) for _ in range(10)]
    whole, first, second = new_table(optimizer), new_table(optimizer), new_table(optimizer)
    for ids, grads in batches:
        train(whole, ids, grads, rated)
    for ids, grads in batches[:5]:
        train(first, ids, grads, rated)
    second.load_state({name: array.copy() for name, array in first.state().items()})
    for ids, grads in batches[5:]:
        train(second, ids, grads, rated)
    assert content(whole) == content(second)


@with_rates
@every_example
def test_ranges_are_independent(optimizer, rated):
    rng = np.random.default_rng(4)
    table = new_table(optimizer)
    table.prepare(IDS)
    whole = table.state()["rows"].copy()
    halves = whole.copy()
    rows = rng.permutation(ROWS).astype(np.int32)
    grads = rng.normal(size=(ROWS, DIM)).astype(np.float32)
    rates = factors(IDS) if rated else None
    optimizer.kernel(whole, rows, grads, 1, rates)(0, ROWS)
    apply = optimizer.kernel(halves, rows, grads, 1, rates)
    apply(17, ROWS)
    apply(0, 17)
    np.testing.assert_array_equal(whole, halves)


@every_example
def test_factors_of_one_change_no_bit(optimizer):
    rng = np.random.default_rng(8)
    plain, rated = new_table(optimizer), new_table(optimizer)
    for _ in range(5):
        ids, grads = random_batch(rng)
        train(plain, ids, grads, False)
        batch = rated.prepare(ids)
        rated.apply(batch, rated.sum_gradients(batch, grads)[0], np.ones(batch.distinct.ids.size, np.float32))
    assert content(plain) == content(rated)


@pytest.mark.parametrize("optimizer", BOUNDED, ids=repr)
def test_weights_reach_their_bounds_and_stay_within(optimizer):
    low, high = np.float32(optimizer.weight_bounds)
    for sign, end in ((-1.0, high), (1.0, low)):
        table = new_table(optimizer)
        for _ in range(200):
            train(table, IDS, np.full((ROWS, DIM), 5.0 * sign, np.float32), False)
            weights = table.lookup(IDS)
            assert weights.min() >= low
            assert weights.max() <= high
        assert (weights == end).all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bounds", [(1.0, 1.0), (1.0, -1.0), (-np.inf, 1.0), (0.0, np.nan), (-1.0, 1e39), (0.0, 1e-60)])
def test_bounds_that_cannot_be_used_are_refused(kind, bounds):
    with pytest.raises(ValueError, match=r"weight_bounds = .*: expected \(low, high\)") as error:
        kind(weight_bounds=bounds)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("start", [0.0, -1.0, np.nan, np.inf, 1e-60])
def test_a_first_g2sum_that_cannot_be_used_is_refused(start):
    with pytest.raises(ValueError, match=r"initial_g2sum = .*: expected a positive"):
        SharedAdagrad(initial_g2sum=start)


def test_shared_adagrad_keeps_one_float_a_row():
    assert first_values(SharedAdagrad().slots, 16).tolist() == [0.0]
    table = HashTable(16, SharedAdagrad())
    table.prepare(IDS)
    assert table.state()["rows"].shape == (ROWS, 17)
    assert (SharedAdagrad().learning_rate, SharedAdagrad().initial_g2sum) == (0.05, 3.0)


@pytest.mark.parametrize("rates", [np.ones(2), np.ones(3, np.float32), np.ones((2, 1), np.float32)])
def test_rates_of_another_shape_or_type_are_refused(rates):
    table = HashTable(DIM, SharedAdagrad())
    batch = table.prepare(np.array([1, 2]))
    with pytest.raises(ValueError, match=r"expected float32\[2\]"):
        table.apply(batch, np.zeros((2, DIM), np.float32), rates)
    assert table.step == 0


@every_example
def test_settings_cannot_change_behind_a_table(optimizer):
    with pytest.raises(dataclasses.FrozenInstanceError):
        optimizer.weight_bounds = None
