"""Parquet as process_data.py writes it, read again; and files that are something else."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any, Dict

import numpy as np
import pytest

from mindspore_rec.config import ConfigError, UserError
from mindspore_rec.data import parquet, parquet_rows
from mindspore_rec.data.parquet_rows import parquet_chunks
from mindspore_rec.data.part_files import open_part
from mindspore_rec.data.slot_rows import concatenate_rows

pyarrow = pytest.importorskip("pyarrow")


def columns(n: int, fields: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    bounds = np.iinfo(np.int64)
    ids = rng.integers(bounds.min, bounds.max, (n, fields), endpoint=True)
    return ids, rng.standard_normal((n, fields)).astype(np.float32), rng.integers(0, 2, (n, 1)).astype(np.float32)


def written(folder: Path, *rows: np.ndarray) -> bytes:
    with open_part("parquet", folder, "part") as part:
        part.write(*rows)
    return (folder / "part.parquet").read_bytes()


def table(**changed: Any) -> bytes:
    """A file of two rows with some columns changed."""
    lists: Dict[str, Any] = {
        "id": pyarrow.array([[1, 2], [3, 4]], pyarrow.list_(pyarrow.int64(), 2)),
        "weight": pyarrow.array([[1, 2], [3, 4]], pyarrow.list_(pyarrow.float32(), 2)),
        "label": pyarrow.array([0, 1], pyarrow.float32()),
        **changed,
    }
    file = io.BytesIO()
    from pyarrow.parquet import write_table

    write_table(pyarrow.table({name: column for name, column in lists.items() if column is not None}), file)
    return file.getvalue()


def test_rows_are_read_as_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet_rows, "BATCH_ROWS", 30)
    monkeypatch.setattr(parquet, "GROUP_ROWS", 70)
    ids, weights, labels = columns(200, 3)
    chunks = list(parquet_chunks(io.BytesIO(written(tmp_path, ids, weights, labels)), "part"))
    assert max(chunk.count for chunk in chunks) == 30 and sum(chunk.count for chunk in chunks) == 200
    assert all(chunk.numbers.tolist() == list(range(chunk.count)) and not chunk.rejects for chunk in chunks)
    rows = concatenate_rows([chunk.rows for chunk in chunks])
    assert (rows.num_slots, rows.dense.shape) == (3, (200, 0))
    assert rows.ids.tobytes() == ids.tobytes() and rows.labels.tobytes() == labels.tobytes()
    assert rows.weights is not None and rows.weights.tobytes() == weights.tobytes()
    assert rows.offsets.tolist() == list(range(601))


def test_bad_rows_are_rejects() -> None:
    weights = pyarrow.array([[1, float("nan")], [3, 4]], pyarrow.list_(pyarrow.float32(), 2))
    labels = pyarrow.array([0, 0.5], pyarrow.float32())
    (chunk,) = parquet_chunks(io.BytesIO(table(weight=weights, label=labels)), "part")
    assert chunk.rejects == [(0, "non-finite", b""), (1, "label", b"")] and chunk.count == 2 and not len(chunk.rows)
    (chunk,) = parquet_chunks(io.BytesIO(table(weight=weights)), "part")
    assert chunk.rows.ids.tolist() == [3, 4] and chunk.numbers.tolist() == [1]


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("id", None),
        ("label", None),
        ("id", [[1, 2], [3, 4]]),
        ("id", [1, 2]),
        ("label", ["0", "1"]),
        ("weight", "three"),
        ("weight", "doubles"),
    ],
)
def test_other_columns(name: str, column: Any) -> None:
    if column == "three":
        column = pyarrow.array([[1, 2, 3], [3, 4, 5]], pyarrow.list_(pyarrow.float32(), 3))
    elif column == "doubles":
        column = pyarrow.array([[1, 2], [3, 4]], pyarrow.list_(pyarrow.float64(), 2))
    with pytest.raises(UserError, match="part-7 has columns id: ") as caught:
        list(parquet_chunks(io.BytesIO(table(**{name: column})), "part-7"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["id", "weight", "label"])
def test_a_column_that_is_there_twice(name: str) -> None:
    from pyarrow import parquet as files

    whole = files.read_table(io.BytesIO(table()))
    file = io.BytesIO()
    files.write_table(whole.append_column(name, whole.column(name)), file)
    with pytest.raises(UserError, match=f"^part-7 has 2 columns {name}; expected one$"):
        list(parquet_chunks(file, "part-7"))


def test_empty_cells() -> None:
    for name, cells in (
        ("id", pyarrow.array([[1, None], [3, 4]], pyarrow.list_(pyarrow.int64(), 2))),
        ("weight", pyarrow.array([[1, None], [3, 4]], pyarrow.list_(pyarrow.float32(), 2))),
        ("label", pyarrow.array([1, None], pyarrow.float32())),
    ):
        with pytest.raises(UserError, match="part-7 has empty cells"):
            list(parquet_chunks(io.BytesIO(table(**{name: cells})), "part-7"))


def test_a_damaged_file(tmp_path: Path) -> None:
    whole = written(tmp_path, *columns(2000, 3))
    for content in (b"", b"0:1 7:2\n", whole[: len(whole) // 2], b"PAR1" + bytes(50) + b"PAR1"):
        with pytest.raises(UserError, match="part-7 is no Parquet file or is damaged") as caught:
            list(parquet_chunks(io.BytesIO(content), "part-7"))
        assert "\n" not in str(caught.value)


def test_without_pyarrow_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="criteo"):
        list(parquet_chunks(io.BytesIO(b""), "part"))
