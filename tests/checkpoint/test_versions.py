"""Checkpoints of every version of the format that was released, or used before one was: this version reads them.

A folder of fixtures/ holds what that version wrote: version 2 one of step 2, later ones also a delta of step 4.
"""

from pathlib import Path

import numpy as np
import pytest

from mindspore_rec.checkpoint.chain import read_state
from mindspore_rec.checkpoint.history import verified
from mindspore_rec.checkpoint.manifest import FORMAT_VERSION, OLDEST_VERSION
from mindspore_rec.checkpoint.store import CheckpointStore
from mindspore_rec.embedding.admission import MinCount
from mindspore_rec.embedding.eviction import Unseen
from mindspore_rec.embedding.optimizers import Adagrad
from mindspore_rec.embedding.table import HashTable

FIXTURES = Path(__file__).with_name("fixtures")
VERSIONS = range(OLDEST_VERSION, FORMAT_VERSION + 1)
UNIT = 10**17


def restored(path: Path) -> HashTable:
    table = HashTable(2, Adagrad(), admission=MinCount(2), eviction=[Unseen(steps=50)], seed=4)
    table.load_state(read_state(path).groups["table-deep"])
    return table


def test_there_is_a_fixture_of_every_version():
    assert sorted(path.name for path in FIXTURES.iterdir()) == [f"version-{version}" for version in VERSIONS]


@pytest.mark.parametrize("version", VERSIONS)
def test_it_is_read_as_it_was_written(version):
    store = CheckpointStore(FIXTURES / f"version-{version}")
    assert [error for _, error in verified(store.paths())] == [None] * len(store.paths())
    state = read_state(store.paths()[0])
    assert state.manifest.format_version == version
    np.testing.assert_array_equal(state.groups["dense"]["weight"], np.arange(6).reshape(2, 3) + 2)
    assert state.meta["progress"]["position"]["next"] == {"0": [2, 0]}
    table = restored(store.paths()[0])
    assert (len(table), table.step, table.stats().waiting) == (3, 2, 6)
    row = table.lookup(np.array([3, 5, 0]) * UNIT)
    assert (row[:2] != 0).all()
    assert (row[2] == 0).all()
    assert [table.explain(id_ * UNIT).show for id_ in (0, 4, 9)] == [1, 2, None]


@pytest.mark.parametrize("version", [version for version in VERSIONS if version >= 3])
def test_its_deltas_too(version):
    table = restored(FIXTURES / f"version-{version}" / "delta-000000000004")
    assert table.step == 4
    assert (table.lookup(np.array([4]) * UNIT) == 0).all(), "evicted"
    assert (table.lookup(np.array([6, 11]) * UNIT) != 0).all(), "new"
