"""Rows know their file and their number in it, through everything that is done with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, List

import numpy as np
import pytest

from mindspore_rec.data.part_folder import PartFile
from mindspore_rec.data.part_reader import PartReader, part_data
from mindspore_rec.data.slot_rows import SlotRows, concatenate_rows, slice_rows, take_rows
from mindspore_rec.job_config import DatasetConfig

FILES = ["1:1 7:2\nbad\n\n0:1 8:2\n", "0:1 9:2\n", "bad\n1:1 1:2\n0:1 2:2\n1:1 3:2\n"]
ORIGINS = {7: [0, 0], 8: [0, 2], 9: [1, 0], 1: [2, 1], 2: [2, 2], 3: [2, 3]}  # by the only id of each row


def files(folder: Path) -> List[PartFile]:
    found = []
    for number, text in enumerate(FILES):
        path = folder / f"part-{number}"
        path.write_text(text)
        found.append(PartFile(str(path), None))
    return found


def reader(**options: Any) -> PartReader:
    config = DatasetConfig(name="d", data_path="x", data_format="feasign_slot", sparse_slots="1 2")
    return PartReader(part_data(config), 2, **options)


def assert_right(rows: SlotRows) -> None:
    assert rows.origins is not None
    assert rows.origins.tolist() == [ORIGINS[id] for id in rows.ids.tolist()]


@pytest.mark.parametrize(("share", "of"), [(0, 1), (0, 2), (1, 2)])
def test_a_reader_counts_rejects_and_the_files_of_others(tmp_path: Path, share: int, of: int) -> None:
    loaded = reader(share=share, of=of).load(files(tmp_path)).rows
    assert set(loaded.ids.tolist()) == {id for id, (file, _) in ORIGINS.items() if file % of == share}
    assert_right(loaded)


def test_rows_taken_sliced_and_put_together(tmp_path: Path) -> None:
    rows = reader().load(files(tmp_path)).rows
    assert_right(take_rows(rows, np.array([5, 0, 3, 3])))
    assert_right(slice_rows(rows, 1, 4))
    assert_right(concatenate_rows([slice_rows(rows, 4, 6), slice_rows(rows, 0, 0), slice_rows(rows, 0, 2)]))


def test_rows_with_and_without_are_not_put_together(tmp_path: Path) -> None:
    rows = reader().load(files(tmp_path)).rows
    unknown = SlotRows(rows.num_slots, rows.ids, rows.offsets, rows.labels, rows.dense)
    assert slice_rows(unknown, 0, 2).origins is None
    assert take_rows(unknown, np.array([1])).origins is None
    assert concatenate_rows([unknown, unknown]).origins is None
    with pytest.raises(ValueError, match="origins"):
        concatenate_rows([rows, unknown])
    with pytest.raises(ValueError, match=r"origins of 6 rows must be \[6, 2\], got \[5, 2\]"):
        SlotRows(rows.num_slots, rows.ids, rows.offsets, rows.labels, rows.dense, None, rows.origins[1:])
