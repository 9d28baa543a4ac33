import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mindspore_rec.embedding.index import SEGMENTS, IdIndex
from mindspore_rec.embedding.index_kernels import MAX_LOAD

EVERY_PATTERN = np.array([0, -1, 1, 2**63 - 1, -(2**63), 2**32, -(2**32)], dtype=np.int64)


def new_index(rows=100_000):
    row_ids = np.zeros(rows, dtype=np.int64)
    return IdIndex(row_ids), row_ids


def test_every_bit_pattern_is_a_valid_id():
    index, row_ids = new_index()
    assert index.find(EVERY_PATTERN).tolist() == [-1] * 7
    assert index.find_or_add(EVERY_PATTERN)[0].tolist() == list(range(7))
    assert index.find(EVERY_PATTERN).tolist() == list(range(7))
    np.testing.assert_array_equal(row_ids[:7], EVERY_PATTERN)


@given(st.lists(st.sets(st.integers(-(2**63), 2**63 - 1), max_size=60), max_size=12))
def test_equals_a_dict_through_growth(batches):
    index, _ = new_index()
    model = {}
    for batch in batches:
        ids = np.array(sorted(batch), dtype=np.int64)
        expected = [model.setdefault(int(i), len(model)) for i in ids]
        assert index.find_or_add(ids)[0].tolist() == expected
        assert index.size == len(model)
        assert index.size <= MAX_LOAD * index.capacity
    known = np.array(list(model), dtype=np.int64)
    assert index.find(known).tolist() == list(model.values())


@pytest.mark.parametrize("stride", [1, 2**20, 2**40, 2**56])
def test_structured_ids_are_found_after_growth(stride):
    index, _ = new_index()
    ids = (np.arange(50_000, dtype=np.int64) * stride) ^ 12345
    ids = np.unique(ids)
    np.testing.assert_array_equal(index.find_or_add(ids)[0], np.arange(ids.size))
    np.testing.assert_array_equal(index.find(ids[::-1].copy()), np.arange(ids.size)[::-1])
    assert (index.find(np.setdiff1d(ids + 1, ids)) == -1).all()


def unmixed(mixed: np.ndarray) -> np.ndarray:
    """The ids that `mix64` turns into these."""
    h = mixed ^ (mixed >> np.uint64(33))
    for multiplier in (0xC4CEB9FE1A85EC53, 0xFF51AFD7ED558CCD):
        h = h * np.uint64(pow(multiplier, -1, 2**64))
        h ^= h >> np.uint64(33)
    return h.view(np.int64)


def test_no_call_moves_more_than_its_ids_pay_for(monkeypatch: pytest.MonkeyPatch) -> None:
    index, _ = new_index(600_000)
    moved = []
    grow = index._grow
    monkeypatch.setattr(index, "_grow", lambda k: (moved.append(int(index._used[k])), grow(k)))
    calls = []
    for begin in range(0, 500_000, 5_000):
        moved.clear()
        index.find_or_add(np.arange(begin, begin + 5_000, dtype=np.int64))
        calls.append(sum(moved))
    largest = int(index._used.max())
    assert max(calls[20:]) <= 4 * 5_000 + (1 << 14) + largest
    assert sum(calls) <= 5 * 500_000, "it grows too often"
    np.testing.assert_array_equal(index.find(np.arange(500_000, dtype=np.int64)), np.arange(500_000))


def test_an_entry_takes_as_much_at_any_size() -> None:
    index, _ = new_index(600_000)
    per_entry = []
    for begin in range(0, 500_000, 5_000):
        index.find_or_add(np.arange(begin, begin + 5_000, dtype=np.int64))
        per_entry.append(index.nbytes / index.size)
    assert max(per_entry[10:]) < 12.5 and min(per_entry[10:]) > 10
    assert 0.64 < index.size / index.capacity < 0.8


def test_ids_chosen_to_collide_are_refused() -> None:
    index, _ = new_index()
    tags = np.arange(60_000, dtype=np.uint64) << np.uint64(32)  # all in the first segment, in a short stretch of it
    with pytest.raises(MemoryError, match=f"fall into one of {SEGMENTS} segments"):
        index.find_or_add(unmixed(tags))


@pytest.mark.parametrize("segment", [5, SEGMENTS - 1])
def test_a_pile_at_the_end_of_a_segment_stays_in_it(segment: int) -> None:
    index, _ = new_index()
    tag = np.uint64((segment << 25) + (1 << 25) - 1)
    few = np.arange(1500, dtype=np.uint64)
    np.testing.assert_array_equal(index.find_or_add(unmixed((tag << np.uint64(32)) + few))[0], few)
    with pytest.raises(MemoryError, match="fall into one of"):
        index.find_or_add(unmixed((tag << np.uint64(32)) + np.arange(1500, 9000, dtype=np.uint64)))
    np.testing.assert_array_equal(index.find(unmixed((tag << np.uint64(32)) + few)), few)


def test_ids_of_one_tag_are_told_apart() -> None:
    index, _ = new_index()
    ids = unmixed((np.uint64(77) << np.uint64(32)) + np.arange(500, dtype=np.uint64))
    np.testing.assert_array_equal(index.find_or_add(ids[::2].copy())[0], np.arange(250))
    np.testing.assert_array_equal(index.find(ids)[::2], np.arange(250))
    assert (index.find(ids)[1::2] == -1).all()


@st.composite
def operations(draw: st.DrawFn) -> list:
    """Additions and removals of ids, few enough to meet again, some in one cluster."""
    spread, clustered = np.arange(60, dtype=np.int64), unmixed(np.arange(60, dtype=np.uint64) << np.uint64(32))
    known = draw(st.sampled_from([spread, clustered]))
    steps = draw(st.lists(st.tuples(st.booleans(), st.sets(st.integers(0, 59), max_size=40)), max_size=15))
    return [(adds, known[sorted(chosen)]) for adds, chosen in steps]


@given(operations())
def test_equals_a_dict_through_removals(steps: list) -> None:
    index, row_ids = new_index()
    model: dict = {}
    for adds, ids in steps:
        if adds:
            rows, added = index.find_or_add(ids)
            new = [row for i, row in zip(ids.tolist(), rows.tolist()) if i not in model]
            assert sorted(added.tolist()) == sorted(new)
            model.update(zip(ids.tolist(), rows.tolist()))
        else:
            gone = [model.pop(i) for i in ids.tolist() if i in model]
            assert index.remove(ids).tolist() == gone
        assert index.size == len(model) == len(set(model.values()))
        assert sorted([*model.values(), *index.free_rows.tolist()]) == list(range(index.end))
        known = np.array(list(model), dtype=np.int64)
        assert index.find(known).tolist() == list(model.values())
        np.testing.assert_array_equal(row_ids[index.find(known)], known)
        absent = np.setdiff1d(np.concatenate([ids, np.arange(60)]), known)
        assert (index.find(absent) == -1).all()


def test_many_removals_then_growth() -> None:
    index, _ = new_index(400_000)
    ids = np.arange(200_000, dtype=np.int64)
    index.find_or_add(ids)
    assert index.remove(ids[::3].copy()).size == 66_667
    np.testing.assert_array_equal(index.find(ids) < 0, ids % 3 == 0)
    rows, added = index.find_or_add(ids + 1_000_000)
    assert index.end == 200_000 + 200_000 - 66_667 and added.size == 200_000
    assert (index.find(ids)[ids % 3 != 0] >= 0).all()
    np.testing.assert_array_equal(index.find(ids + 1_000_000), rows)


def test_no_row_beyond_the_last() -> None:
    index, _ = new_index(50)
    with pytest.raises(MemoryError, match="no row left: all 50 are in use"):
        index.find_or_add(np.arange(51, dtype=np.int64))
    assert index.size == index.end == 50
    index.remove(np.array([3]))
    assert index.find_or_add(np.array([99]))[0].tolist() == [3]
