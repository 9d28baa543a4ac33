"""A rank's share of the files of a part: in order whatever reads ahead, bad rows told, damage in one line."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any, Iterator, List, Tuple

import fsspec
import numpy as np
import pytest

from mindspore_rec.config import ConfigError, UserError
from mindspore_rec.data import part_reader
from mindspore_rec.data.part_files import open_part
from mindspore_rec.data.part_folder import PartFile, list_part
from mindspore_rec.data.part_reader import PartData, PartReader, part_data
from mindspore_rec.job_config import DatasetConfig
from mindspore_rec.stream import raw_lines

SIZES = (5, 300, 1, 80, 0, 40)  # rows of the files
BAD = 7  # every so many rows one is none


def config_of(**options: Any) -> DatasetConfig:
    given = {"name": "days", "data_path": "data", "data_format": "feasign_slot", "sparse_slots": "1 2 3"}
    return DatasetConfig(**{**given, **options})


SLOTS = part_data(config_of())


def line(row: int) -> bytes:
    return b"%d:1 %d:2 %d:3 %d:3\n" % (row % 2, row, row + 2**63, row + 1) if row % BAD else b"%d:2\n" % row


def files_of(folder: Path) -> List[PartFile]:
    """Rows counted through all files."""
    row = 0
    for number, size in enumerate(SIZES):
        (folder / f"part-{number}").write_bytes(b"".join(line(k) for k in range(row, row + size)))
        row += size
    return list_part(str(folder))


def good_rows(numbers: Iterator[int]) -> List[int]:
    return [number for number in numbers if number % BAD]


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(raw_lines, "CHUNK_BYTES", 256)


@pytest.mark.parametrize("threads", [1, 3, 100])
def test_rows_come_in_the_order_of_the_files(tmp_path: Path, threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(part_reader.os, "cpu_count", lambda: 8)
    files = files_of(tmp_path)
    chunks = list(PartReader(SLOTS, threads).read(files))
    assert len(chunks) > 10
    firsts = np.concatenate([chunk.rows.ids[chunk.rows.offsets[:-1:2]] for chunk in chunks])
    assert firsts.tolist() == good_rows(iter(range(sum(SIZES))))
    loaded = PartReader(SLOTS, threads).load(files)
    assert loaded.rows.ids[loaded.rows.offsets[:-1:2]].tolist() == firsts.tolist()
    assert loaded.rejected == sum(chunk.rejected for chunk in chunks) == sum(SIZES) - len(firsts)


def test_every_file_is_read_by_one_rank(tmp_path: Path) -> None:
    files = files_of(tmp_path)
    bounds = np.cumsum([0, *SIZES])
    for ranks in (1, 2, 9):
        for rank in range(ranks):
            rows = PartReader(SLOTS, 2, rank, ranks).load(files).rows
            listed = [k for k in range(len(SIZES)) if SIZES[k]]  # empty files are not
            mine = listed[rank::ranks]
            wanted = [row for k in mine for row in good_rows(iter(range(bounds[k], bounds[k + 1])))]
            assert rows.ids[rows.offsets[:-1:2]].tolist() == wanted


def test_bad_rows_are_told_each_time_they_are_read(tmp_path: Path) -> None:
    files = files_of(tmp_path)
    told: List[Tuple[str, int, str, bytes]] = []
    reader = PartReader(SLOTS, 3, on_reject=lambda *row: told.append(row))
    reader.load(files)
    starts = dict(zip((f"part-{k}" for k in range(len(SIZES))), np.cumsum([0, *SIZES])))
    bad = [row for row in range(sum(SIZES)) if not row % BAD]
    assert [starts[Path(path).name] + row for path, row, _, _ in told] == bad
    assert [(reason, raw) for _, _, reason, raw in told] == [("label", line(row)[:-1]) for row in bad]
    list(reader.read(files))
    assert told == told[: len(bad)] * 2


def test_no_files_are_no_rows() -> None:
    data = part_data(config_of(dense_slots="price:2 age:1"))
    rows, rejected = PartReader(data, 4).load([])
    assert (len(rows), rows.num_slots, rows.dense.shape, rejected) == (0, 2, (0, 3), 0)
    assert list(PartReader(data, 4).read([])) == []


def test_loading_ends_where_it_is_asked_to(tmp_path: Path) -> None:
    files, asked = files_of(tmp_path), []
    rows = PartReader(SLOTS, 2).load(files, lambda: asked.append(None) or len(asked) > 3).rows
    wanted = [chunk.rows for chunk in PartReader(SLOTS, 2).read(files)][:3]
    assert len(rows) == sum(len(chunk) for chunk in wanted) < sum(SIZES) / 2


def test_a_file_that_was_cut_off_is_one_line(tmp_path: Path) -> None:
    files_of(tmp_path)
    whole = gzip.compress(b"".join(line(row) for row in range(20_000)))
    (tmp_path / "part-0").write_bytes(whole[: len(whole) // 2])
    reader = PartReader(SLOTS, 2)
    with pytest.raises(UserError, match="part-0 is damaged or cut off: ") as found:
        reader.load(list_part(str(tmp_path)))
    assert "\n" not in str(found.value)
    read = reader.read(list_part(str(tmp_path)))
    assert len(next(read).rows), "what came before the damage"
    with pytest.raises(UserError, match="part-0 is damaged"):
        list(read)


def test_rows_of_other_slots_are_refused(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    with open_part("parquet", tmp_path, "rows") as part:
        part.write(np.ones((2, 3), np.int64), np.ones((2, 3), np.float32), np.ones((2, 1), np.float32))
    reader = PartReader(part_data(config_of(data_format="parquet")), 1)
    with pytest.raises(UserError, match=r"rows\.parquet: rows of 3 slots, expected 2"):
        reader.load(list_part(str(tmp_path)))


def test_any_filesystem() -> None:
    memory = fsspec.filesystem("memory")
    memory.pipe({"/pass/part-0": line(1) + line(2), "/pass/part-1": line(3)})
    try:
        rows = PartReader(SLOTS, 2).load(list_part("memory://pass")).rows
    finally:
        memory.rm("/pass", recursive=True)
    assert rows.ids.tolist() == [1, 1 - 2**63, 2, 2, 2 - 2**63, 3, 3, 3 - 2**63, 4]


def test_what_the_formats_hold() -> None:
    def about(**options: Any) -> Tuple[str, Tuple[str, ...], int, Any]:
        data: PartData = part_data(config_of(**options))
        return data.schema.label, data.schema.sparse, data.schema.dense_dim, data.padding_id

    assert about(dense_slots="price:2") == ("1", ("2", "3"), 2, 0)
    assert about(data_format="slot_feasign") == ("1", ("2", "3"), 0, 0)
    assert about(data_format="parquet") == ("label", ("2", "3"), 0, None)
    fields = tuple([f"I{k}" for k in range(1, 14)] + [f"C{k}" for k in range(1, 27)])
    assert about(data_format="raw_tsv", sparse_slots="") == ("label", fields, 0, None)
    assert about(data_format="parquet", sparse_slots="") == ("label", fields, 0, None)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"sparse_slots": ""}, "sparse_slots"),
        ({"sparse_slots": "1 2 2"}, "slot '2': is there twice"),
        ({"dense_slots": "price"}, "dense_slots: 'price'"),
        (
            {"data_format": "raw_tsv", "sparse_slots": "click a b"},
            "sparse_slots: 2 names after the label's; expected 39",
        ),
        ({"data_format": "raw_tsv", "sparse_slots": "", "dense_slots": "price:1"}, "dense_slots = 'price:1'"),
        ({"data_format": "parquet", "dense_slots": "price:1"}, "dense_slots = 'price:1'"),
    ],
)
def test_keys_that_do_not_go_together(options: Any, told: str) -> None:
    with pytest.raises(ConfigError) as found:
        part_data(config_of(**options))
    assert told in str(found.value) and "\n" not in str(found.value)
