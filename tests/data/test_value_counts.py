from __future__ import annotations

import random
from collections import Counter
from typing import Dict, List, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mindspore_rec.data.value_counts import CountedValues, ValueCounts
from mindspore_rec.features.batch import UInt64
from mindspore_rec.features.dictionary import dictionary_seeds
from mindspore_rec.features.hashing import hash_values, join_values

SEED = dictionary_seeds(1)


def add(table: ValueCounts, values: Sequence[bytes], hashes: UInt64) -> None:
    buffer, offsets = join_values(values)
    spans = (offsets[:-1].astype(np.uint64) << np.uint64(24)) | np.diff(offsets).astype(np.uint64)
    table.add(buffer, hashes, spans)


def count(table: ValueCounts, values: Sequence[bytes]) -> None:
    add(table, values, hash_values(values, SEED))


def values_of(content: CountedValues) -> List[bytes]:
    return [content.values[start:end].tobytes() for start, end in zip(content.offsets, content.offsets[1:])]


def assert_counts(table: ValueCounts, expected: Dict[bytes, int]) -> None:
    content = table.content()
    assert len(content) == len(table) == len(expected)
    values = values_of(content)
    assert dict(zip(values, content.counts.tolist())) == expected
    assert np.array_equal(content.hashes, hash_values(values, SEED))
    assert (content.hashes[1:] > content.hashes[:-1]).all()
    dtypes = [content.hashes.dtype, content.counts.dtype, content.offsets.dtype, content.values.dtype]
    assert dtypes == [np.uint64, np.int64, np.int64, np.uint8]
    assert content.offsets[0] == 0 and content.offsets[-1] == len(content.values)


@pytest.mark.parametrize("batch", [1, 7, 613, 614, 615, 10_000])
def test_growing_table(batch: int) -> None:
    rng = random.Random(batch)
    size = 3_000 if batch == 1 else 30_000
    values = [b"%x" % min(int(rng.paretovariate(0.1)), 10**18) for _ in range(size)]
    table = ValueCounts()
    for begin in range(0, size, batch):
        count(table, values[begin : begin + batch])
    assert_counts(table, Counter(values))
    assert len(table) > size / 3 and max(Counter(values).values()) > size / 30
    assert table.nbytes >= 16 * len(table) + sum(map(len, set(values)))


@pytest.mark.parametrize("distinct", [0, 1, 613, 614, 615, 616, 1228, 1229])
def test_every_size_around_a_growth(distinct: int) -> None:
    values = [b"%d" % i for i in range(distinct)]
    table = ValueCounts()
    count(table, values)
    count(table, values[::-1])
    assert_counts(table, dict.fromkeys(values, 2))


def test_long_values_and_the_empty_one() -> None:
    rng = np.random.default_rng(3)
    long = [rng.bytes(size) for size in (100_000, 100_000, (1 << 14) - 3, 70_000, (1 << 16) + 1, 9, 17)]
    values = [b"", *long, b"", b"\0", b"\0\0", *long[:3], b""]
    together, alone = ValueCounts(), ValueCounts()
    count(together, values)
    for value in values:
        count(alone, [value])
    assert_counts(together, Counter(values))
    assert_counts(alone, Counter(values))


@settings(deadline=None)
@given(st.lists(st.lists(st.binary(max_size=3) | st.binary(max_size=40)), max_size=5))
def test_any_values_in_any_batches(batches: List[List[bytes]]) -> None:
    table = ValueCounts()
    for values in batches:
        count(table, values)
    assert_counts(table, Counter(value for values in batches for value in values))


def test_values_that_share_a_slot_are_kept_apart() -> None:
    values = [b"%d" % i for i in range(700)]
    hashes = (np.arange(700, dtype=np.uint64) << np.uint64(40)) | np.uint64(1023)
    table = ValueCounts()
    add(table, values, hashes)
    add(table, values[:350], hashes[:350])
    content = table.content()
    assert np.array_equal(content.hashes, hashes) and values_of(content) == values
    assert content.counts.tolist() == [2] * 350 + [1] * 350


def test_values_of_one_hash_count_as_one() -> None:
    table = ValueCounts()
    add(table, [b"first", b"other", b"second"], np.array([5, 6, 5], np.uint64))
    content = table.content()
    assert values_of(content) == [b"first", b"other"] and content.counts.tolist() == [2, 1]


def test_content_outlives_the_table() -> None:
    table = ValueCounts()
    count(table, [b"red", b"blue", b"red"])
    content = table.content()
    count(table, [b"red", b"green"])
    table.clear()
    count(table, [b"yellow"] * 4)
    assert dict(zip(values_of(content), content.counts.tolist())) == {b"red": 2, b"blue": 1}


def test_a_cleared_table_is_a_new_one() -> None:
    table, fresh = ValueCounts(), ValueCounts().nbytes
    count(table, [b"%d" % i for i in range(20_000)])
    assert table.nbytes > fresh
    table.clear()
    assert (len(table), table.nbytes) == (0, fresh)
    assert_counts(table, {})
    count(table, [b"7", b"x", b"7"])
    assert_counts(table, {b"7": 2, b"x": 1})


def test_take_puts_values_in_any_order() -> None:
    table = ValueCounts()
    values = [b"", b"a", b"bb", b"long enough not to fit a word", b"\xff"]
    count(table, [value for i, value in enumerate(values) for _ in range(i + 1)])
    content = table.content()
    expected = list(zip(values_of(content), content.counts.tolist(), content.hashes.tolist()))
    for order in ([4, 2, 0, 1, 3], [3], [], [1, 1, 0]):
        taken = content.take(np.array(order, np.int64))
        assert len(taken) == len(order) and taken.offsets[0] == 0
        found = list(zip(values_of(taken), taken.counts.tolist(), taken.hashes.tolist()))
        assert found == [expected[i] for i in order]
