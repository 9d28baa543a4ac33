"""Ids are found where a binary search finds them, however they are spread."""

import numpy as np
import pytest

from mindspore_rec.serving.id_directory import IdDirectory

RNG = np.random.default_rng(3)
TOP = 2**64 - 1
SPREADS = {
    "none": [],
    "one": [7],
    "the last id there is": [TOP],
    "first and last": [0, TOP],
    "a few, far apart": [3, 7, 2**63, TOP],
    "small numbers": range(1000),
    "random": RNG.integers(0, 2**64, 5000, np.uint64),
    "random, few": RNG.integers(0, 2**64, 17, np.uint64),
    "crowded, but for one": [*range(2**40, 2**40 + 3000), TOP],
    "one id, then a crowd": [0, *range(2**63, 2**63 + 3000)],
    "every power of two": [2**k for k in range(64)],
}


@pytest.mark.parametrize("ids", SPREADS.values(), ids=SPREADS)
def test_it_finds_what_is_there(ids):
    own = np.unique(np.asarray(ids, np.uint64))
    near = np.concatenate([own, own + np.uint64(1), own - np.uint64(1), RNG.integers(0, 2**64, 300, np.uint64)])
    wanted = RNG.permutation(np.concatenate([near, np.array([0, TOP], np.uint64)]))
    expected = np.full(wanted.size, -1)
    places = np.searchsorted(own, wanted)
    there = np.flatnonzero(np.append(own, np.uint64(0))[places] == wanted)
    there = there[places[there] < own.size]
    expected[there] = 10 + places[there]
    found = np.full(wanted.size, -1, np.int64)
    IdDirectory(own.view(np.int64)).find(wanted.view(np.int64), 10, found)
    np.testing.assert_array_equal(found, expected)


def test_what_was_found_before_stays():
    found = np.array([5, -1, -1], np.int64)
    IdDirectory(np.array([1, 2])).find(np.array([1, 2, 3]), 0, found)
    assert found.tolist() == [5, 1, -1]


def test_random_ids_cost_a_byte_each_at_most():
    ids = np.unique(RNG.integers(0, 2**64, 100_000, np.uint64)).view(np.int64)
    assert IdDirectory(ids).nbytes <= ids.size + 8


@pytest.mark.parametrize("ids", [[2, 1], [1, 1], [-1, 1], [1, 5, 3, 9], [1, -1, 5], [0, 9, 4, 8]])
def test_ids_out_of_order_are_refused(ids):
    with pytest.raises(ValueError, match="ids are not ascending"):
        IdDirectory(np.array(ids))
