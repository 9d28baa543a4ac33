"""The rows of a pass: loaded ones come in an order that is drawn, the others in that of the files each time."""

from __future__ import annotations

from pathlib import Path
from typing import List, Tuple

import numpy as np
import pytest

from mindspore_rec.data.part_folder import list_part
from mindspore_rec.data.part_reader import PartReader, ReadRows, part_data
from mindspore_rec.data.slot_rows import concatenate_rows
from mindspore_rec.stream.pass_schedule import PassKey
from mindspore_rec.stream.ready_parts import Part
from mindspore_rec.train import loaded_part
from mindspore_rec.train.loaded_part import LoadedPart
from tests.train.small_passes import dataset_of

PART = Part(PassKey("20190720", 1), ("20190720/0000",))
ROWS = 50


@pytest.fixture(autouse=True)
def _some_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loaded_part, "_ROWS_AT_ONCE", 7)


def parts_of(folder: Path) -> Tuple[PartReader, LoadedPart, LoadedPart]:
    """A reader, and a pass of two files that is in its files, or loaded; every tenth row is none."""
    for part in range(2):
        rows = range(part * ROWS // 2, (part + 1) * ROWS // 2)
        lines = [f"{row % 2}:1 {row}:2 {row + 1}:2\n" if row % 10 else "bad\n" for row in rows]
        (folder / f"part-{part}").write_text("".join(lines))
    reader, files = PartReader(part_data(dataset_of(folder)), 2), list_part(str(folder))
    return reader, LoadedPart(PART, files), LoadedPart(PART, files, reader.load(files))


def rows_in(chunks: List[ReadRows]) -> List[int]:
    rows = concatenate_rows([chunk.rows for chunk in chunks])
    firsts = rows.ids[rows.offsets[:-1:3]].tolist()
    np.testing.assert_array_equal(rows.labels[:, 0], np.array(firsts) % 2)
    assert rows.ids.reshape(-1, 2).tolist() == [[row, row + 1] for row in firsts]
    return [int(row) for row in firsts]


GOOD = [row for row in range(ROWS) if row % 10]


def test_the_order_is_a_function_of_the_draws(tmp_path: Path) -> None:
    reader, _, loaded = parts_of(tmp_path)
    orders = [rows_in(list(loaded.shuffled(reader, np.random.default_rng(seed)))) for seed in (1, 1, 2)]
    assert orders[0] == orders[1] != orders[2] != GOOD != orders[0]
    assert sorted(orders[0]) == sorted(orders[2]) == GOOD


def test_rows_in_files_keep_their_order(tmp_path: Path) -> None:
    reader, in_files, loaded = parts_of(tmp_path)
    for _ in range(2):
        assert rows_in(list(in_files.shuffled(reader, np.random.default_rng(1)))) == GOOD
        for part in (in_files, loaded):
            assert rows_in(list(part.in_order(reader))) == GOOD


def test_every_reject_is_counted_once(tmp_path: Path) -> None:
    reader, in_files, loaded = parts_of(tmp_path)
    for part in (in_files, loaded):
        for chunks in (part.in_order(reader), part.shuffled(reader, np.random.default_rng(1))):
            assert sum(chunk.rejected for chunk in chunks) == ROWS - len(GOOD)


def test_how_many_rows_there_are(tmp_path: Path) -> None:
    _, in_files, loaded = parts_of(tmp_path)
    assert (in_files.row_count, loaded.row_count, loaded.key) == (None, len(GOOD), PART.key)


def test_no_rows_but_rejects(tmp_path: Path) -> None:
    (tmp_path / "part-0").write_text("bad\nbad\n")
    reader, files = PartReader(part_data(dataset_of(tmp_path)), 2), list_part(str(tmp_path))
    loaded = LoadedPart(PART, files, reader.load(files))
    (chunk,) = loaded.shuffled(reader, np.random.default_rng(0))
    assert (len(chunk.rows), chunk.rejected) == (0, 2)
