"""Rows in mapped files: found by id, whatever share they are in."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from mindspore_rec.checkpoint.array_file import write_arrays
from mindspore_rec.checkpoint.checksum import CRC32C
from mindspore_rec.checkpoint.errors import CheckpointError
from mindspore_rec.embedding.table_rows import TableRows
from mindspore_rec.serving.manifest import ExportError
from mindspore_rec.serving.mapped_table import MappedTable, TableShare, map_table, write_rows

ROW_TYPES = ("float32", "float16", "int8")


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


@pytest.mark.parametrize("row_type", ROW_TYPES)
def test_rows_of_any_type_read_as_float32_of_mapped_files(tmp_path, row_type):
    shares = [table_rows(range(begin, 300, 2), dim=3, seed=begin) for begin in (0, 1)]
    paths = [tmp_path / f"{k}.safetensors" for k in range(2)]
    for path, rows in zip(paths, shares):
        write_rows(path, rows, row_type)
    table = map_table(paths, 3, row_type)
    for rows in shares:
        found = table.lookup(rows.ids)
        assert found.dtype == np.float32
        np.testing.assert_allclose(
            found, rows.weights, atol={"float32": 0, "float16": 2**-12, "int8": 0.5 / 126}[row_type]
        )
    for array in (table.shares[0].ids, *table.shares[0].arrays.values()):
        while array.base is not None and not isinstance(array, np.memmap):
            array = array.base
        assert isinstance(array, np.memmap)


def test_rows_are_numbered_through_the_shares():
    ids = [np.array([4, 8, -2]), np.array([], np.int64), np.array([5, -1])]
    weights = [np.arange(part.size * 2, dtype=np.float32).reshape(-1, 2) + 10 * k for k, part in enumerate(ids)]
    table = MappedTable(2, [TableShare(own, {"weights": rows}) for own, rows in zip(ids, weights)])
    rows = table.find(np.array([-1, 4, 7, -2, 5]))
    assert rows.tolist() == [4, 0, -1, 2, 3]
    out = np.full((5, 2), -1.0, np.float32)
    table.read(rows, out)
    assert out.tolist() == [[22, 23], [0, 1], [-1, -1], [4, 5], [20, 21]]
    wide = np.zeros((5, 4), np.float32)
    table.read(rows, wide[:, 1:3])
    np.testing.assert_array_equal(wide[:, 1:3], np.where(out < 0, 0, out))
    for wrong in (np.zeros((5, 3), np.float32), np.zeros((4, 2), np.float32), np.zeros((5, 2))):
        with pytest.raises(ValueError, match=r"expected float32 \[5, 2\]"):
            table.read(rows, wrong)


def test_ids_and_rows_may_lie_apart_or_be_read_only():
    table = MappedTable(2, [TableShare(np.arange(10), {"weights": np.arange(20, dtype=np.float32).reshape(10, 2)})])
    ids = np.frombuffer(np.arange(10).tobytes(), np.int64)
    assert table.find(ids[::3]).tolist() == [0, 3, 6, 9]
    assert table.lookup(ids[::3])[:, 0].tolist() == [0, 6, 12, 18]
    out = np.zeros((4, 2), np.float32)
    table.read(ids[::3], out)
    assert out[:, 1].tolist() == [1, 7, 13, 19]


def test_many_threads_find_and_read():
    ids = np.unique(np.random.default_rng(0).integers(0, 2**64, 20_000, np.uint64)).view(np.int64)
    weights = np.random.default_rng(1).random((ids.size, 4), np.float32)
    table = MappedTable(4, [TableShare(ids[k::2], {"weights": weights[k::2]}) for k in range(2)])

    def same(seed):
        places = np.random.default_rng(seed).integers(0, ids.size, 5000)
        return all(np.array_equal(table.lookup(ids[places]), weights[places]) for _ in range(10))

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(same, range(16)))


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
        ({"ids": np.zeros(2, np.int64)}, "expected float32 weights"),
        ({"ids": np.array([2, 1]), "weights": np.zeros((2, 2), np.float32)}, "a: ids are not ascending"),
        ({"ids": np.zeros(2, np.int32), "weights": np.zeros((2, 2), np.float32)}, "expected int64 ids"),
        ({"ids": np.zeros(2, np.int64), "weights": np.zeros((2, 3), np.float32)}, r"\[2, 3\], expected \[2, 2\]"),
        ({"ids": np.zeros(3, np.int64), "weights": np.zeros((2, 2), np.float32)}, r"\[2, 2\], expected \[3, 2\]"),
    ],
)
def test_files_of_another_table_are_refused(tmp_path, arrays, message):
    write_arrays(tmp_path / "a", arrays)
    with pytest.raises(ExportError, match=message):
        map_table([tmp_path / "a"], 2)


@pytest.mark.parametrize(
    ("written", "read", "message"),
    [
        ("float32", "float16", "expected float16 weights"),
        ("int8", "float32", "expected float32 weights"),
        ("float16", "int8", "expected int8 weights"),
    ],
)
def test_rows_of_another_type_are_refused(tmp_path, written, read, message):
    write_rows(tmp_path / "a", table_rows([1, 2]), written)
    with pytest.raises(ExportError, match=message):
        map_table([tmp_path / "a"], 2, read)


def test_scales_that_are_missing_are_refused(tmp_path):
    write_arrays(tmp_path / "a", {"ids": np.zeros(1, np.int64), "weights": np.zeros((1, 2), np.int8)})
    with pytest.raises(ExportError, match="expected float32 scales"):
        map_table([tmp_path / "a"], 2, "int8")


def test_a_weight_that_does_not_fit_names_the_file(tmp_path):
    rows = table_rows([1, 2])
    rows.weights[1, 0] = 1e5
    with pytest.raises(ExportError, match="a: a weight is 100000, expected at most 65504"):
        write_rows(tmp_path / "a", rows, "float16")


def test_a_file_that_is_none_is_refused(tmp_path):
    (tmp_path / "a").write_bytes(b"12345678901234")
    with pytest.raises(CheckpointError, match="a cannot be read"):
        map_table([tmp_path / "a"], 2)
