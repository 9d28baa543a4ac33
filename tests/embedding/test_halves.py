"""Weights of 16 bits: what they hold, how they are rounded, and tables of them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mindspore_rec.embedding.halves import BFLOAT16, FLOAT16, pack, unpack
from mindspore_rec.embedding.initial import Constant, Uniform
from mindspore_rec.embedding.optimizers import FTRL, SGD, Adagrad
from mindspore_rec.embedding.table import HashTable
from tests.embedding.optimizer_oracles import EXAMPLES

EVERY_PATTERN = np.arange(1 << 16, dtype=np.uint32).astype(np.uint16)
KINDS = {"bfloat16": BFLOAT16, "float16": FLOAT16}
LARGEST = {"bfloat16": np.float32(3.3895314e38), "float16": np.float32(65504.0)}
both_types = pytest.mark.parametrize("row_type", sorted(KINDS))
every_optimizer = pytest.mark.parametrize("optimizer", EXAMPLES, ids=repr)


def meaning(row_type, patterns):
    """float32[n]: what NumPy says the patterns are."""
    if row_type == "float16":
        return patterns.view(np.float16).astype(np.float32)
    return (patterns.astype(np.uint32) << np.uint32(16)).view(np.float32)


def decoded(row_type, patterns):
    values = np.empty((1, patterns.size), np.float32)
    rows = np.zeros(1, np.int32)
    unpack(patterns.reshape(1, -1), rows, patterns.size, KINDS[row_type], values, values.view(np.uint32))
    return values[0]


def encoded(row_type, values, ids=None, seed=1, step=1):
    """uint16[n, dim]: rows of values as they are written, row k that of ids[k]."""
    values = np.array(values, np.float32)
    ids = np.arange(len(values)) if ids is None else ids
    halves, rows = np.empty(values.shape, np.uint16), np.arange(len(values), dtype=np.int32)
    pack(halves, rows, values.shape[1], KINDS[row_type], values, values.view(np.uint32), ids, seed, step)
    return halves


def rounded(row_type, values, **draw):
    return meaning(row_type, encoded(row_type, values, **draw))


def finite(row_type):
    """The finite patterns and what they are, without those of negative numbers."""
    patterns = EVERY_PATTERN[: 1 << 15]
    patterns = patterns[np.isfinite(meaning(row_type, patterns))]
    return patterns, meaning(row_type, patterns)


@both_types
def test_all_finite_patterns_are_what_numpy_says(row_type):
    expected = meaning(row_type, EVERY_PATTERN)
    known = np.isfinite(expected)
    assert known.sum() > 63_000
    found = decoded(row_type, EVERY_PATTERN)
    np.testing.assert_array_equal(found[known].view(np.uint32), expected[known].view(np.uint32))


@both_types
@pytest.mark.parametrize("step", [0, 1, 2**31])
def test_what_16_bits_can_hold_is_kept(row_type, step):
    patterns, values = finite(row_type)
    patterns = np.concatenate([patterns, patterns | 0x8000]).reshape(1, -1)
    assert (encoded(row_type, meaning(row_type, patterns), step=step) == patterns).all()
    assert values.max() == LARGEST[row_type]


@both_types
@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1, max_size=40), st.integers(0, 9))
def test_the_result_is_one_of_the_two_neighbours(row_type, values, step):
    check_neighbours(row_type, np.array(values, np.float32), step)


@both_types
def test_neighbours_over_all_magnitudes(row_type):
    """Subnormal numbers of both types among them, and the step from the largest of those to the smallest normal one."""
    rng = np.random.default_rng(1)
    for low, high in ((-9, -7), (-9, 5), (-45, 38), (-4.3, -4.1)):
        values = (10.0 ** rng.uniform(low, high, 20_000) * rng.choice([-1, 1], 20_000)).astype(np.float32)
        check_neighbours(row_type, values, 7)


def check_neighbours(row_type, values, step):
    _, ladder = finite(row_type)
    found = rounded(row_type, values.reshape(1, -1), step=step)[0]
    assert (np.signbit(found) == np.signbit(values)).all()
    sizes = np.minimum(np.abs(values), LARGEST[row_type])
    above = np.searchsorted(ladder, sizes)
    below = np.searchsorted(ladder, sizes, "right") - 1
    assert ((np.abs(found) == ladder[above]) | (np.abs(found) == ladder[below])).all()


@both_types
@pytest.mark.parametrize("below", ["1", "-3", "0", "a subnormal", "the largest subnormal", "the second largest"])
@pytest.mark.parametrize("fraction", [0.125, 0.5, 0.9375])
def test_rounding_keeps_the_mean(row_type, below, fraction):
    """The upper neighbour comes as often as the value is near it: over ids, over the weights of a row, over steps."""
    _, ladder = finite(row_type)
    normal = int(np.flatnonzero(ladder >= (2.0**-14 if row_type == "float16" else 2.0**-126))[0])
    named = {"0": 0, "a subnormal": normal // 2, "the largest subnormal": normal - 1, "the second largest": -2}
    k = named[below] if below in named else int(np.searchsorted(ladder, abs(float(below))))
    low, high = ladder[k], ladder[k + 1]
    value = (float(low) + fraction * (float(high) - float(low))) * (-1 if below == "-3" else 1)
    count, dim = 12_000, 5
    over_ids = rounded(row_type, np.full((count, dim), value))
    over_steps = np.concatenate([rounded(row_type, [[value] * dim], step=step) for step in range(2000)])
    for found in (*over_ids.T, *over_steps.T):
        share = np.mean(np.abs(found) == high)
        assert share == pytest.approx(fraction, abs=4.5 * np.sqrt(fraction * (1 - fraction) / found.size))


@both_types
def test_weights_of_a_row_and_rows_are_drawn_apart(row_type):
    drawn = rounded(row_type, np.full((4000, 9), 1 + 2.0**-12 if row_type == "float16" else 1 + 2.0**-9)) > 1
    correlations = np.corrcoef(drawn.T) - np.eye(9)
    assert np.abs(correlations).max() < 5 / np.sqrt(4000)


@both_types
def test_what_is_too_large_becomes_the_largest(row_type):
    largest = LARGEST[row_type]
    values = [largest, np.nextafter(largest, np.float32(np.inf)), 3.4e38, np.finfo(np.float32).max, np.inf]
    for step in range(20):
        assert (rounded(row_type, [values], step=step) == largest).all()
        assert (rounded(row_type, [np.negative(values)], step=step) == -largest).all()


@both_types
def test_draws_depend_on_seed_id_and_step_alone(row_type):
    values = np.random.default_rng(2).normal(size=(300, 7)).astype(np.float32)
    ids = np.random.default_rng(3).integers(-(2**63), 2**63 - 1, 300)
    first = encoded(row_type, values, ids, seed=4, step=9)
    order = np.random.default_rng(5).permutation(300)
    assert (encoded(row_type, values[order], ids[order], seed=4, step=9) == first[order]).all()
    for other in ({"ids": ids + 1}, {"seed": 5}, {"step": 10}):
        differ = encoded(row_type, values, **{"ids": ids, "seed": 4, "step": 9, **other}) != first
        assert 0.2 < differ.mean() < 0.5


def new_table(optimizer, row_type, dim=3, **settings):
    init = Constant(0.0) if isinstance(optimizer, FTRL) else Uniform(0.4)
    return HashTable(dim, optimizer, init=init, seed=9, row_type=row_type, **settings)


def train(table, ids, rng):
    batch = table.prepare(ids)
    grads = (rng.integers(-64, 65, (ids.size, table.dim)) * 2.0**-7).astype(np.float32)
    table.apply(batch, table.sum_gradients(batch, grads)[0], seconds=0.0)


def content(table):
    state = table.state()
    return {int(i): row.tobytes() for i, row in zip(state["ids"], state["rows"])}


@pytest.mark.parametrize("dim", [1, 4, 5])
@both_types
@every_optimizer
def test_save_load_continue_equals_uninterrupted(optimizer, row_type, dim):
    rng = np.random.default_rng(6)
    whole, second = new_table(optimizer, row_type, dim), new_table(optimizer, row_type, dim)
    for k in range(6):
        ids = rng.integers(0, 90, 60)
        train(whole, ids, np.random.default_rng(k))
        if k == 2:
            whole.evict(np.array([5, 7]))
            second.load_state({name: array.copy() for name, array in whole.state().items()})
        elif k > 2:
            train(second, ids, np.random.default_rng(k))
    assert content(whole) == content(second)
    assert whole.state()["rows"].dtype == np.uint16


@both_types
@every_optimizer
def test_an_update_rounds_what_float32_would_hold(optimizer, row_type):
    """Slots are those of float32, bit by bit, and weights its neighbours."""
    half, single = new_table(optimizer, row_type), new_table(optimizer, "float32")
    ids = np.arange(2500)  # more than are unpacked at a time
    half.prepare(ids)
    single.prepare(ids)
    for k in range(3):
        state = single.state()
        state["rows"][:, :3] = half.lookup(state["ids"])
        single.load_state({**state, "rows": state["rows"].copy()})
        for table in (half, single):
            train(table, ids, np.random.default_rng(k))
        exact, found = single.lookup(ids), half.lookup(ids)
        _, ladder = finite(row_type)
        low = ladder[np.searchsorted(ladder, np.abs(exact), "right") - 1]
        high = ladder[np.searchsorted(ladder, np.abs(exact))]
        assert ((np.abs(found) == low) | (np.abs(found) == high)).all() and (found * exact >= 0).all()
        for i in (0, 1100, 2499):
            assert half.explain(i).optimizer == single.explain(i).optimizer


@both_types
def test_small_updates_are_not_lost(row_type):
    table = HashTable(2, SGD(1.0), init=Constant(1.0), row_type=row_type)
    ids = np.arange(3000)
    for _ in range(64):
        table.apply(table.prepare(ids), np.full((3000, 2), 2.0**-14, np.float32))
    assert table.lookup(ids).mean() == pytest.approx(1 - 64 * 2.0**-14, abs=4e-4)
    assert np.unique(table.lookup(ids)).size > 1


@both_types
def test_rows_are_read_in_any_order_and_take_less_room(row_type):
    table, single = new_table(Adagrad(), row_type, dim=5), new_table(Adagrad(), "float32", dim=5)
    ids = np.array([4, 9, 4, -1])
    for one in (table, single):
        one.prepare(ids)
    np.testing.assert_allclose(table.lookup(ids), single.lookup(ids), atol=2e-3)
    weights = table.lookup(np.array([4, 77, 9]))
    np.testing.assert_array_equal(weights, table.lookup(ids)[[0, 0, 1]] * [[1], [0], [1]])
    assert single.nbytes - table.nbytes == 3 * 2 * 4, "5 weights of 16 bits take 3 words"


@both_types
def test_threads_change_nothing(row_type):
    ids, states = np.arange(30_000), []
    for threads in (1, 3):
        table = new_table(Adagrad(), row_type, dim=5, threads=threads)
        train(table, ids, np.random.default_rng(1))
        states.append(content(table))
    assert states[0] == states[1]


@pytest.mark.parametrize("wrong", ["", "half", "Float32", None])
def test_other_types_are_refused(wrong):
    with pytest.raises(ValueError, match=rf"^row_type = {wrong!r}: expected one of float32, bfloat16, float16$"):
        HashTable(2, SGD(), row_type=wrong)


@pytest.mark.parametrize(("saved", "loaded"), [("float32", "float16"), ("bfloat16", "float32")])
def test_a_state_of_another_type_is_refused(saved, loaded):
    table = new_table(SGD(), saved)
    table.prepare(np.arange(3))
    with pytest.raises(ValueError, match=r"^table state has rows .*, expected "):
        new_table(SGD(), loaded).load_state(table.state())
