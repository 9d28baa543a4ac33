"""The rows of a phase: which of them a rank reads, in which order, and where bad ones go."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, List

import pytest

from mindspore_rec.config import UserError
from mindspore_rec.distributed.exchange import Alone
from mindspore_rec.job_config import DatasetConfig
from mindspore_rec.train.part_dataset import PartDataset
from mindspore_rec.train.phase_rows import PhaseRows, phase_files
from mindspore_rec.train.place import ALONE, Place


class Rank(Alone):
    """One of several ranks, which are never asked."""

    def __init__(self, rank: int, size: int) -> None:
        self.rank, self.size = rank, size  # type: ignore[misc]


def dataset(folder: Path, **keys: Any) -> DatasetConfig:
    return DatasetConfig(**{"name": "d", "data_path": str(folder), "sparse_slots": "click 1", "batch_size": 4, **keys})


def files(folder: Path, *contents: range) -> Path:
    """A file of each range, with a row for each number, which is its only id."""
    folder.mkdir(exist_ok=True)
    for number, ids in enumerate(contents):
        (folder / f"part-{number}").write_text("".join(f"click:{k % 2} 1:{k}\n" for k in ids), "utf-8")
    return folder


def ids_of(found: PartDataset) -> List[int]:
    return [int(k) for bags, _ in found.create_tuple_iterator() for k in bags.ids]


def rows_of(folder: Path, place: Place = ALONE, **keys: Any) -> PhaseRows:
    return PhaseRows(dataset(folder, **keys), place, folder.parent / "letters.jsonl")


@pytest.mark.parametrize("kind", ["DataLoader", "QueueDataset"])
def test_the_order_of_the_files_is_kept(kind: str, tmp_path: Path) -> None:
    rows = rows_of(files(tmp_path / "data", range(10, 17), range(20, 25)), type=kind)
    for number in (1, 2):
        assert ids_of(rows.epoch(number)) == [*range(10, 17), *range(20, 25)]
    assert [len(bags.ids) for bags, _ in rows.epoch(3).create_tuple_iterator()] == [4, 4, 4]


def test_loaded_rows_are_in_another_order_in_each_epoch(tmp_path: Path) -> None:
    folder = files(tmp_path / "data", range(1, 31))
    rows, again = (rows_of(folder, type="InmemoryDataset") for _ in range(2))
    first, second = ids_of(rows.epoch(1)), ids_of(rows.epoch(2))
    assert sorted(first) == sorted(second) == list(range(1, 31)) == ids_of(rows.in_order())
    assert first != second
    assert (ids_of(again.epoch(1)), ids_of(again.epoch(2))) == (first, second)


@pytest.mark.parametrize("kind", ["DataLoader", "InmemoryDataset"])
def test_workers_share_the_files_and_servers_read_none(kind: str, tmp_path: Path) -> None:
    folder = files(tmp_path / "data", range(1, 3), range(3, 5), range(5, 7))
    found = [rows_of(folder, Place(Rank(rank, 3), servers=1), type=kind) for rank in range(3)]
    assert [sorted(ids_of(rows.epoch(1))) for rows in found] == [[1, 2, 5, 6], [3, 4], []]
    assert [ids_of(rows.in_order()) for rows in found] == [[1, 2, 5, 6], [3, 4], []]


def test_workers_without_a_file_are_told_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = files(tmp_path / "data", range(1, 3))
    for rank in (0, 1):
        rows_of(folder, Place(Rank(rank, 2)))
    assert caplog.messages == [f"data_path = {str(folder)!r}: files: 1, workers: 2; each file is read by one worker"]


def test_bad_rows_are_written_in_the_first_epoch(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = files(tmp_path / "data", range(1, 3))
    with (folder / "part-0").open("a") as file:
        file.write("nonsense\n")
    rows = rows_of(folder)
    for number in (1, 2):
        assert ids_of(rows.epoch(number)) == [1, 2]
        rows.end_epoch()
    (letter,) = map(json.loads, rows.dead_letters.read_text("utf-8").splitlines())
    assert (letter["topic"], letter["row"], letter["reason"]) == (str(folder / "part-0"), 2, "token")
    assert caplog.messages == [f"{folder}: 1 bad rows were left out, {rows.dead_letters} has them"]


def test_where_no_row_is_bad_there_is_no_file(tmp_path: Path) -> None:
    rows = rows_of(files(tmp_path / "data", range(1, 3)))
    ids_of(rows.epoch(1))
    rows.end_epoch()
    assert not rows.dead_letters.exists()


def test_a_folder_that_is_not_there_or_empty(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"dataset\.d\.data_path: .*nowhere: no such folder"):
        phase_files(dataset(tmp_path / "nowhere"))
    (tmp_path / "empty").touch()
    with pytest.raises(UserError, match=r"dataset\.d\.data_path: .*: no data files, expected at least one"):
        phase_files(dataset(files(tmp_path / "data", range(0))))
