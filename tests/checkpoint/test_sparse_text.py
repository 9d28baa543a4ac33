"""Tables as text, there and back: of one rank and of several, from random rows and from tables."""

import os

import numpy as np
import pytest

from mindspore_rec.checkpoint.errors import CheckpointError
from mindspore_rec.checkpoint.sparse_text import FOLDER, read_sparse_text, write_meta, write_shard, write_sparse_text
from mindspore_rec.embedding.delta_score import DeltaScore
from mindspore_rec.embedding.export_rule import ExportRule
from mindspore_rec.embedding.optimizers import FTRL, SGD, LazyAdam, SharedAdagrad
from mindspore_rec.embedding.table import HashTable
from tests.checkpoint.table_rows_examples import SLOTS, assert_same, part_of, random_rows


@pytest.mark.parametrize("slots", SLOTS)
@pytest.mark.parametrize("dim", [1, 3])
@pytest.mark.parametrize("count", [0, 1, 50])
def test_there_and_back(tmp_path, slots, dim, count):
    rows = random_rows(dim, count, dim, SLOTS[slots])
    write_sparse_text(tmp_path, "deep", rows)
    assert_same(read_sparse_text(tmp_path, "deep"), rows)
    assert sorted(os.listdir(tmp_path)) == [FOLDER]
    assert sorted(os.listdir(tmp_path / FOLDER)) == ["deep-000.txt", "deep.meta"]


def write_ranks(folder, rows, owners, ranks):
    shards = [write_shard(folder, "deep", part_of(rows, owners == k), rank) for k, rank in enumerate(ranks)]
    write_meta(folder, "deep", part_of(rows, owners < 0), shards)


@pytest.mark.parametrize("ranks", [(0, 1), (3, 0, 12)])
def test_shards_are_read_together(tmp_path, ranks):
    rows = random_rows(1, 60, slots=SLOTS["adam"])
    write_ranks(tmp_path, rows, np.random.default_rng(0).integers(0, len(ranks), 60), ranks)
    assert_same(read_sparse_text(tmp_path, "deep"), rows)
    files = sorted(os.listdir(tmp_path / FOLDER))
    assert files == sorted([*(f"deep-{rank:03d}.txt" for rank in ranks), "deep.meta"])


def test_a_rank_may_own_nothing(tmp_path):
    rows = random_rows(2, 9)
    write_ranks(tmp_path, rows, np.zeros(9, int), (0, 1, 2))
    assert_same(read_sparse_text(tmp_path, "deep"), rows)


def test_rows_in_any_order_are_read_in_the_order_of_ids(tmp_path):
    rows = random_rows(3, 30, slots=SLOTS["before"])
    write_sparse_text(tmp_path, "deep", part_of(rows, np.random.default_rng(1).permutation(30)))
    assert_same(read_sparse_text(tmp_path, "deep"), rows)


@pytest.mark.parametrize(("first", "second"), [(2, 20), (20, 2), (0, 15), (30, 15), (39, 38)])
def test_an_id_twice_is_named(tmp_path, first, second):
    rows = random_rows(4, 40)
    rows.ids[second] = rows.ids[first]
    write_ranks(tmp_path, rows, np.arange(40) // 15, (0, 1, 2))
    places = [
        f"{tmp_path / FOLDER}/deep-{place // 15:03d}.txt: line {place % 15 + 1}" for place in sorted((first, second))
    ]
    with pytest.raises(CheckpointError) as error:
        read_sparse_text(tmp_path, "deep")
    assert str(error.value) == f"{places[1]}: id {int(rows.ids[first]) % 2**64} is in {places[0]} too"


def test_damage_names_the_file(tmp_path):
    rows = random_rows(5, 40)
    write_ranks(tmp_path, rows, np.arange(40) % 2, (0, 1))
    path = tmp_path / FOLDER / "deep-001.txt"
    content = path.read_text()
    path.write_text(content.replace("\n", " 1\n", 1))
    with pytest.raises(CheckpointError, match=rf"^{path}: line 1: expected 8 columns, found 9$"):
        read_sparse_text(tmp_path, "deep")
    path.unlink()
    with pytest.raises(CheckpointError, match=rf"^{path} cannot be read: No such file or directory$"):
        read_sparse_text(tmp_path, "deep")


def test_shards_without_their_meta_are_no_table(tmp_path):
    rows = random_rows(6, 5)
    shard = write_shard(tmp_path, "deep", rows)
    with pytest.raises(CheckpointError, match=r"deep\.meta cannot be read: No such file or directory$"):
        read_sparse_text(tmp_path, "deep")
    write_meta(tmp_path, "deep", rows, [shard])
    write_shard(tmp_path, "deep", random_rows(7, 5))
    with pytest.raises(CheckpointError, match=r"deep-000\.txt.* "):  # those of another time
        read_sparse_text(tmp_path, "deep")


def test_several_tables_side_by_side(tmp_path):
    tables = {name: random_rows(seed, 20) for seed, name in enumerate(["deep", "deep-000", "wide"])}
    for name, rows in tables.items():
        write_sparse_text(tmp_path / "20190720" / "6", name, rows)
    for name, rows in tables.items():
        assert_same(read_sparse_text(tmp_path / "20190720" / "6", name), rows)


def test_a_name_of_no_file_writes_nothing(tmp_path):
    with pytest.raises(CheckpointError, match=r"^table '\.\./deep' cannot be saved as text"):
        write_sparse_text(tmp_path, "../deep", random_rows(8, 5))
    with pytest.raises(CheckpointError, match=r"^table 'deep' has 65542 columns"):
        write_sparse_text(tmp_path, "deep", random_rows(8, 1, dim=65_537))
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("row_type", ["float32", "bfloat16"])
@pytest.mark.parametrize("optimizer", [SGD(), SharedAdagrad(), LazyAdam(), FTRL()], ids=repr)
def test_exports_of_a_table(tmp_path, optimizer, row_type):
    rng = np.random.default_rng(9)
    table = HashTable(4, optimizer, row_type=row_type, delta_score=DeltaScore())
    for step in range(4):
        batch = table.prepare(rng.integers(-(2**63), 2**63 - 1, 30))
        table.apply(batch, rng.standard_normal((30, 4), dtype=np.float32), seconds=float(step))
        table.end_day()
    delta = table.export_delta(ExportRule(base_threshold=0.0, delta_threshold=0.0, delta_keep_days=2))
    assert len(delta) == 60
    for name, rows in (("delta", delta), ("all", table.export_all())):
        write_sparse_text(tmp_path, name, rows)
        assert_same(read_sparse_text(tmp_path, name), rows)
