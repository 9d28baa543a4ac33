"""The counting sketch against exact counts."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mindspore_rec.embedding.sketch import DEPTH, LARGEST, CountingSketch

IDS = st.one_of(st.integers(0, 40), st.integers(-(2**63), 2**63 - 1))
BATCHES = st.lists(st.dictionaries(IDS, st.integers(1, 9), max_size=60), max_size=12)


def arrays(batch):
    return np.array(list(batch), np.int64), np.array(list(batch.values()), np.int32)


def copied(sketch):
    return {key: array.copy() for key, array in sketch.state().items()}


@given(BATCHES, st.sampled_from([512, 4096, 1 << 20]), st.integers(0, 5))
def test_counts_are_never_too_low(batches, nbytes, seed):
    sketch, exact = CountingSketch(nbytes, seed), Counter()
    for batch in batches:
        sketch.add(*arrays(batch))
        exact.update(batch)
        ids, counts = arrays(exact)
        assert (sketch.counts(ids) >= counts).all()
        if nbytes == 1 << 20:
            assert (sketch.counts(ids) == counts).all(), "there is room for all of these"


@given(BATCHES, st.randoms(use_true_random=False))
def test_the_order_of_ids_in_a_batch_does_not_matter(batches, random):
    one, other = CountingSketch(512, 1), CountingSketch(512, 1)
    for batch in batches:
        ids, counts = arrays(batch)
        order = list(range(ids.size))
        random.shuffle(order)
        one.add(ids, counts)
        other.add(ids[order], counts[order])
        np.testing.assert_array_equal(one.state()["cells"], other.state()["cells"])


def test_a_crowded_sketch_is_off_by_little():
    """By at most e / width of all occurrences for all but e**-depth of the ids (Cormode, Muthukrishnan, theorem 1)."""
    rng = np.random.default_rng(1)
    sketch, exact = CountingSketch(8192, 2), Counter()
    for _ in range(20):
        ids, counts = np.unique(rng.zipf(1.2, 2000) % 20_000, return_counts=True)
        sketch.add(ids, counts.astype(np.int32))
        exact.update(dict(zip(ids.tolist(), counts.tolist())))
    ids, counts = arrays(exact)
    over = sketch.counts(ids) - counts
    width = sketch.state()["cells"].shape[1]
    assert over.min() == 0 and over.max() > 0
    assert (over > np.e / width * counts.sum()).mean() <= np.exp(-DEPTH)


def test_only_counters_that_are_too_low_are_raised():
    """The conservative update: where every occurrence raised all four counters, each row would sum up to them all."""
    sketch, rng = CountingSketch(512, 3), np.random.default_rng(2)
    for _ in range(300):
        sketch.add(rng.integers(0, 400, 1), np.ones(1, np.int32))
    assert (sketch.state()["cells"].sum(axis=1) < 200).all()


def test_counts_stop_at_the_largest():
    sketch, ids = CountingSketch(4096, 0), np.array([7, 8])
    sketch.add(ids, np.array([LARGEST - 1, 70_000], np.int32))
    assert sketch.counts(ids).tolist() == [LARGEST - 1, LARGEST]
    for _ in range(3):
        sketch.add(ids, np.ones(2, np.int32))
    assert sketch.counts(ids).tolist() == [LARGEST, LARGEST]


def test_halving_rounds_down():
    sketch, ids = CountingSketch(1 << 16, 0), np.arange(5)
    sketch.add(ids, np.arange(5, dtype=np.int32))
    sketch.halve()
    assert sketch.counts(ids).tolist() == [0, 0, 1, 1, 2]


@pytest.mark.parametrize("nbytes", [512, 513, 1000, 1024, 65_535, 10**6])
def test_it_takes_the_bytes_it_may_and_never_more(nbytes):
    sketch = CountingSketch(nbytes, 0)
    assert nbytes / 2 < sketch.nbytes <= nbytes
    before = sketch.nbytes
    sketch.add(np.arange(10_000), np.ones(10_000, np.int32))
    assert sketch.nbytes == before == sketch.state()["cells"].nbytes


def test_a_sketch_of_a_state_goes_on_as_the_one_it_is_of():
    rng = np.random.default_rng(3)
    sketch, other = CountingSketch(1024, 5), CountingSketch(1024, 5)
    for k in range(10):
        ids = np.unique(rng.integers(0, 500, 80))
        sketch.add(ids, np.ones(ids.size, np.int32))
        if k == 4:
            other.load_state(copied(sketch))
            third = CountingSketch.of_state(copied(sketch))
        if k > 4:
            other.add(ids, np.ones(ids.size, np.int32))
            third.add(ids, np.ones(ids.size, np.int32))
    for loaded in (other, third):
        np.testing.assert_array_equal(loaded.counts(np.arange(500)), sketch.counts(np.arange(500)))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({}, r"^table state has no counting sketch uint16\[4, 128\]$"),
        (copied(CountingSketch(2048, 5)), r"^table state has no counting sketch uint16\[4, 128\]$"),
        ({**copied(CountingSketch(1024, 5)), "cells": np.zeros((4, 128))}, r"^table state has no counting sketch"),
        (copied(CountingSketch(1024, 6)), r"^table state has a counting sketch of seed \[6\], expected 5$"),
        ({"cells": np.zeros((4, 128), np.uint16)}, r"^table state has a counting sketch of seed \[\], expected 5$"),
    ],
    ids=["none", "size", "type", "seed", "no seed"],
)
def test_another_state_is_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        CountingSketch(1024, 5).load_state(wrong)
