"""Batches of the rows of a part: all full but the last, no row lost or doubled, rejects counted where they were."""

from __future__ import annotations

import sys
from typing import Any, Iterator, List, Sequence, Tuple

import numpy as np
import pytest

from mindspore_rec.data.part_reader import ReadRows
from mindspore_rec.data.slot_rows import SlotRows
from mindspore_rec.data.slot_schema import SlotSchema
from mindspore_rec.train.part_dataset import PartDataset, batches

SCHEMA = SlotSchema("1", ("2", "3"))
WITH_NUMBERS = SlotSchema("1", ("2", "3"), (("price", 2),))


def rows_of(begin: int, end: int, dense: int = 0, weighted: bool = False) -> SlotRows:
    """Row k has the label k % 2, the ids k and k + 1 in the first slot of every third row, and k + 2 in the second."""
    ids = [[k, k + 1, k + 2] if k % 3 == 0 else [k + 2] for k in range(begin, end)]
    counts = [[2, 1] if k % 3 == 0 else [0, 1] for k in range(begin, end)]
    flat = np.array([id for row in ids for id in row], np.int64)
    labels = (np.arange(begin, end) % 2).astype(np.float32)[:, None]
    numbers = np.repeat(np.arange(begin, end, dtype=np.float32)[:, None], dense, axis=1)
    offsets = np.concatenate(([0], np.cumsum(np.reshape(counts, -1)))).astype(np.int64)
    return SlotRows(2, flat, offsets, labels, numbers, flat.astype(np.float32) / 2 if weighted else None)


def chunks_of(cuts: Sequence[int], rejected: Sequence[int] = (), **kind: Any) -> List[ReadRows]:
    told = [*rejected, *[0] * len(cuts)]
    return [ReadRows(rows_of(a, b, **kind), told[k]) for k, (a, b) in enumerate(zip(cuts[:-1], cuts[1:]))]


def dataset_of(chunks: Sequence[ReadRows], size: int, schema: SlotSchema = SCHEMA) -> PartDataset:
    return PartDataset(lambda: iter(chunks), schema, size)


def read(dataset: PartDataset) -> Tuple[List[Any], List[int]]:
    """The batches and what was rejected before each, asked for as `RecModel` does."""
    found, rejected = [], []
    for batch in dataset.create_tuple_iterator(num_epochs=1, do_copy=False):
        found.append(batch)
        rejected.append(dataset.next_info().rejected)
    return found, rejected


def test_batches_are_full_but_the_last_and_hold_every_row_once() -> None:
    rng = np.random.default_rng(0)
    for size in (1, 3, 16, 1000):
        for _ in range(10):
            cuts = [0, *sorted(rng.integers(0, 60, 4).tolist()), 60]
            found, _ = read(dataset_of(chunks_of(cuts), size))
            assert [bags.shape for bags, _ in found] == [(min(size, 60 - at), 2) for at in range(0, 60, size)]
            wanted = rows_of(0, 60)
            assert np.concatenate([bags.ids for bags, _ in found]).tolist() == wanted.ids.tolist()
            counts = np.concatenate([np.diff(bags.offsets) for bags, _ in found])
            assert counts.tolist() == np.diff(wanted.offsets).tolist()
            np.testing.assert_array_equal(np.concatenate([labels for _, labels in found]), wanted.labels)


def test_rejects_are_counted_once_with_the_rows_that_follow_or_at_the_end() -> None:
    chunks = chunks_of([0, 5, 5, 40, 41, 41], rejected=[1, 10, 100, 1000, 10_000])
    dataset = dataset_of(chunks, 8)
    found, rejected = read(dataset)
    assert (rejected, sum(bags.shape[0] for bags, _ in found)) == ([111, 0, 0, 0, 0, 11_000], 41)
    assert dataset.final_info is None
    even = dataset_of(chunks_of([0, 8, 16, 16], rejected=[1, 2, 4]), 8)
    assert read(even)[1] == [1, 2]
    assert even.final_info is not None and even.final_info.rejected == 4, "what came after the last batch"
    alone = dataset_of(chunks_of([3, 3], rejected=[7]), 8)
    assert read(alone) == ([], [])
    assert alone.final_info is not None and alone.final_info.rejected == 7


def test_it_is_read_again_from_its_beginning() -> None:
    dataset = dataset_of(chunks_of([0, 8, 8], rejected=[1, 2]), 3)
    first, again = read(dataset), read(dataset)
    assert first[1] == again[1] == [1, 0, 2]
    assert [bags.ids.tolist() for bags, _ in first[0]] == [bags.ids.tolist() for bags, _ in again[0]]
    ends = dataset_of(chunks_of([0, 8, 8], rejected=[1, 2]), 8)
    read(ends)
    assert ends.final_info is not None
    ends.stop()
    assert (read(ends), ends.final_info) == (([], []), None)


def test_no_rows_are_no_batches() -> None:
    for chunks in ([], chunks_of([4, 4])):
        dataset = dataset_of(chunks, 8)
        assert (read(dataset), dataset.final_info) == (([], []), None)


def test_it_ends_after_the_batch_that_is_being_read() -> None:
    begun: List[int] = []

    def chunks() -> Iterator[ReadRows]:
        for k in range(9):
            begun.append(k)
            yield ReadRows(rows_of(0, 4), 0)

    dataset = PartDataset(chunks, SCHEMA, 4)
    batches_of = dataset.create_tuple_iterator()
    next(batches_of)
    dataset.stop()
    assert (list(batches_of), begun, dataset.stopped) == ([], [0, 1], True)


def test_it_ends_where_somebody_says_so() -> None:
    """Before a batch: where none is left, nothing was stopped."""
    for batches_before, stopped in ((0, True), (2, True), (3, False)):
        read_of: List[Any] = []
        dataset = PartDataset(
            lambda: iter(chunks_of([0, 12])),
            SCHEMA,
            4,
            lambda: len(read_of) == batches_before,  # noqa: B023
        )
        for batch in dataset.create_tuple_iterator():
            read_of.append(batch)
        assert (len(read_of), dataset.stopped) == (batches_before, stopped)


@pytest.mark.parametrize("weighted", [False, True])
def test_columns(weighted: bool) -> None:
    (bags, numbers, labels), *_ = read(dataset_of(chunks_of([0, 6], dense=2, weighted=weighted), 4, WITH_NUMBERS))[0]
    assert numbers.tolist() == [[k, k] for k in range(4)]
    assert labels.tolist() == [[0], [1], [0], [1]]
    if weighted:
        np.testing.assert_array_equal(bags.weights, bags.ids / np.float32(2))
    else:
        assert bags.weights is None


def test_a_batch_without_rows_has_the_columns_of_one_with_rows() -> None:
    for schema, dense in ((SCHEMA, 0), (WITH_NUMBERS, 2)):
        dataset = dataset_of(chunks_of([0, 6], dense=dense), 4, schema)
        (*inputs, labels), none = read(dataset)[0][0], dataset.empty_batch()
        assert [(column.shape[0], *column.shape[1:]) for column in none] == [
            (0, *column.shape[1:]) for column in (*inputs, labels)
        ]


def test_what_is_known_of_a_batch() -> None:
    dataset = dataset_of(chunks_of([0, 4]), 4)
    next(dataset.create_tuple_iterator())
    info = dataset.next_info()
    assert (info.position, info.event_time_max) == (None, -1), "the model's clock says when"
    assert dataset.get_dataset_size() == sys.maxsize


def test_a_chunk_is_asked_for_when_its_rows_are_wanted() -> None:
    asked = []

    def chunks() -> Iterator[ReadRows]:
        for k in range(3):
            asked.append(k)
            yield ReadRows(rows_of(0, 6), 0)

    made = batches(chunks(), 4)
    next(made)
    assert asked == [0]
    next(made)
    assert asked == [0, 1]
