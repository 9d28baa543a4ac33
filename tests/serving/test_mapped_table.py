"""Rows in mapped files: found by id, whatever share they are in."""

import numpy as np
import pytest

from mindspore_rec.checkpoint.array_file import write_arrays
from mindspore_rec.checkpoint.checksum import CRC32C
from mindspore_rec.checkpoint.errors import CheckpointError
from mindspore_rec.embedding.table_rows import TableRows
from mindspore_rec.serving.manifest import ExportError
from mindspore_rec.serving.mapped_table import map_table, write_rows


def table_rows(ids, dim=2, seed=0):
    ids = np.sort(np.asarray(ids, np.uint64)).view(np.int64)
    none = np.zeros(ids.size, np.float32)
    weights = np.random.default_rng(seed).random((ids.size, dim), np.float32)
    return TableRows(ids, weights, {}, none, none, none.astype(np.int32))


def test_every_id_is_found_in_its_share(tmp_path):
    rng = np.random.default_rng(1)
    ids = np.unique(rng.integers(0, 2**64, 150_000, np.uint64))  # more than are written at a time
    shares = [table_rows(part) for part in (ids[::2], ids[1::2], [])]
    paths = [tmp_path / f"{k}.safetensors" for k in range(3)]
    for path, rows in zip(paths, shares):
        about = write_rows(path, rows)
        assert (about.size, about.crc32c) == (path.stat().st_size, CRC32C.of_file(path))
    table = map_table(paths, 2)
    assert len(table) == ids.size
    for rows in shares:
        np.testing.assert_array_equal(table.lookup(rows.ids), rows.weights)
    unknown = np.setdiff1d(np.concatenate([ids + np.uint64(1), ids[:1] - np.uint64(1)]), ids).view(np.int64)
    assert not table.lookup(unknown).any()
    assert isinstance(table.shares[0][1].base, np.memmap) or not table.shares[0][1].flags.writeable


def test_no_rows_at_all(tmp_path):
    write_rows(tmp_path / "a", table_rows([]))
    assert map_table([tmp_path / "a"], 2).lookup(np.array([5, -1])).tolist() == [[0, 0], [0, 0]]


@pytest.mark.parametrize("ids", [[2, 1], [1, 1], [-1, 1]])
def test_ids_out_of_order_are_refused(tmp_path, ids):
    rows = table_rows([1, 2])
    wrong = TableRows(np.array(ids), rows.weights, {}, rows.show, rows.click, rows.unseen_days)
    with pytest.raises(ValueError, match="ascending"):
        write_rows(tmp_path / "a", wrong)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_refused(tmp_path, value):
    rows = table_rows(range(100_000))
    rows.weights[99_999, 1] = value
    with pytest.raises(ExportError, match="a weight is not finite"):
        write_rows(tmp_path / "a", rows)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"ids": np.zeros(2, np.int64)}, "expected int64 ids and float32 weights"),
        ({"ids": np.zeros(2, np.int32), "weights": np.zeros((2, 2), np.float32)}, "expected int64 ids"),
        ({"ids": np.zeros(2, np.int64), "weights": np.zeros((2, 3), np.float32)}, r"\[2, 3\], expected \[2, 2\]"),
        ({"ids": np.zeros(3, np.int64), "weights": np.zeros((2, 2), np.float32)}, r"\[2, 2\], expected \[3, 2\]"),
    ],
)
def test_files_of_another_table_are_refused(tmp_path, arrays, message):
    write_arrays(tmp_path / "a", arrays)
    with pytest.raises(ExportError, match=message):
        map_table([tmp_path / "a"], 2)


def test_a_file_that_is_none_is_refused(tmp_path):
    (tmp_path / "a").write_bytes(b"12345678901234")
    with pytest.raises(CheckpointError, match="a cannot be read"):
        map_table([tmp_path / "a"], 2)
