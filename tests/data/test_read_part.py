"""Every format keeps the same contract: all rows in order, numbered in their files, bad ones as rejects."""

from __future__ import annotations

import gzip
import os
import random
from pathlib import Path
from typing import Callable, Dict, Iterator, List

import fsspec
import numpy as np
import pytest

from mindspore_rec.config import FeatureConfig, UserError
from mindspore_rec.data import part_formats
from mindspore_rec.data.part_files import open_part
from mindspore_rec.data.part_folder import list_part
from mindspore_rec.data.part_formats import PartFormat, feasign_slot, parquet, raw_tsv, slot_feasign
from mindspore_rec.data.read_part import PartChunk, read_part
from mindspore_rec.data.slot_rows import concatenate_rows
from mindspore_rec.data.slot_schema import SlotSchema
from mindspore_rec.features.engine import make_engine
from mindspore_rec.stream import raw_lines

SCHEMA = SlotSchema.from_keys("label 1 2")
ENGINE = make_engine(FeatureConfig(dense_dim=1, slot_dim=2))
BAD = {3, 50, 51, 99}
ROWS = 100


def feasign_line(row: int) -> bytes:
    return b"%d:1 1:label %d:2" % (row, row + 2**63) if row not in BAD else b"%d:1" % row


def slot_line(row: int) -> bytes:
    return b"label:1 2:%d 1:%d" % (row + 2**63, row) if row not in BAD else b"label:x"


def tsv_line(row: int) -> bytes:
    return b"1\t%d\tblue\tv%d" % (row, row) if row not in BAD else b"7\t\t\t"


FORMATS: Dict[str, PartFormat] = {
    "feasign_slot": feasign_slot(SCHEMA),
    "slot_feasign": slot_feasign(SCHEMA),
    "raw_tsv": raw_tsv(ENGINE),
    "parquet": parquet(),
}
LINES: Dict[str, Callable[[int], bytes]] = {
    "feasign_slot": feasign_line,
    "slot_feasign": slot_line,
    "raw_tsv": tsv_line,
}


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(raw_lines, "CHUNK_BYTES", 256)


def part_bytes(name: str, rows: range, folder: Path) -> bytes:
    if name in LINES:
        return b"".join(LINES[name](row) + (b"\n" if row % 7 else b"\r\n\n") for row in rows)
    pytest.importorskip("pyarrow")
    labels = np.array([[7.0 if row in BAD else 1.0] for row in rows], np.float32)
    with open_part("parquet", folder, "written") as part:
        part.write(np.array([[row, row + 1] for row in rows]), np.ones((len(rows), 2), np.float32), labels)
    return (folder / "written.parquet").read_bytes()


@pytest.fixture(params=["local", "memory"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    filesystem = fsspec.filesystem(request.param)
    root = str(tmp_path / "part") if request.param == "local" else "/20190720/0010"
    filesystem.makedirs(root, exist_ok=True)
    yield root if request.param == "local" else f"memory:/{root}"
    filesystem.rm(root, recursive=True)


def put(folder: str, name: str, content: bytes) -> None:
    filesystem, inner = fsspec.core.url_to_fs(folder)
    filesystem.pipe(f"{inner}/{name}", content)


def source_rows(chunks: List[PartChunk], starts: List[int]) -> List[int]:
    """Kept rows counted over all files."""
    files: Dict[str, int] = {path: starts[i] for i, path in enumerate(dict.fromkeys(chunk.path for chunk in chunks))}
    return [files[chunk.path] + number for chunk in chunks for number in chunk.parsed.numbers.tolist()]


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("name", FORMATS)
def test_all_rows_in_order_and_rejects_by_row(name: str, zipped: bool, folder: str, tmp_path: Path) -> None:
    if zipped and name == "parquet":
        pytest.skip("Parquet is compressed inside")
    contents = [part_bytes(name, rows, tmp_path) for rows in (range(40), range(40, ROWS))]
    put(folder, "part-2", contents[0])
    put(folder, "part-10.gz" if zipped else "part-10", gzip.compress(contents[1]) if zipped else contents[1])
    put(folder, "part-3", gzip.compress(b"") if zipped else b"")
    put(folder, "_SUCCESS", b"done")
    put(folder, "go", b"done")
    chunks = list(read_part(list_part(folder, "go"), FORMATS[name]))
    assert source_rows(chunks, [0, 40]) == [row for row in range(ROWS) if row not in BAD]
    assert [reject.row for chunk in chunks for reject in chunk.parsed.rejects] == [3, 10, 11, 59]
    assert {reject.reason for chunk in chunks for reject in chunk.parsed.rejects} == {"label"}
    if name in LINES:
        raw = [reject.raw for chunk in chunks for reject in chunk.parsed.rejects]
        assert raw == [LINES[name](row) for row in sorted(BAD)]
        assert len(chunks) > 6
    next_row: Dict[str, int] = {}
    for chunk in chunks:
        assert chunk.first_row == next_row.get(chunk.path, 0)
        next_row[chunk.path] = chunk.first_row + chunk.parsed.count
    assert list(next_row.values()) == [40, 60]
    rows = concatenate_rows([chunk.parsed.rows for chunk in chunks])
    assert rows.ids.dtype == np.int64 and len(rows) == ROWS - len(BAD)


def test_values_of_the_formats(folder: str) -> None:
    kept = [row for row in range(ROWS) if row not in BAD]
    for name in ("feasign_slot", "slot_feasign"):
        put(folder, "part", b"\n".join(map(LINES[name], range(ROWS))))
        rows = concatenate_rows([chunk.parsed.rows for chunk in read_part(list_part(folder), FORMATS[name])])
        assert rows.ids.view(np.uint64).reshape(-1, 2).tolist() == [[row, row + 2**63] for row in kept]
    put(folder, "part", b"\n".join(map(tsv_line, range(ROWS))))
    rows = concatenate_rows([chunk.parsed.rows for chunk in read_part(list_part(folder), FORMATS["raw_tsv"])])
    features = ENGINE.transform([b"\n".join(map(tsv_line, range(ROWS)))], "block")
    assert rows.num_slots == 3 and rows.weights is not None
    assert rows.ids.tobytes() == features.ids.tobytes() and rows.weights.tobytes() == features.weights.tobytes()
    assert rows.labels.tobytes() == features.labels.tobytes()


def test_many_short_rows_are_parsed_a_few_at_a_time(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(part_formats, "_MOST_CELLS", 14)
    (tmp_path / "part").write_bytes(b"\n".join(map(feasign_line, range(ROWS))))
    chunks = list(read_part(list_part(str(tmp_path)), feasign_slot(SCHEMA)))
    assert max(chunk.parsed.count for chunk in chunks) == 7
    assert source_rows(chunks, [0]) == [row for row in range(ROWS) if row not in BAD]


def test_a_file_that_is_gone_or_damaged(folder: str) -> None:
    whole = gzip.compress(b"".join(b"%d:1 1:label\n" % (row * 2654435761 % 2**64) for row in range(3000)))
    put(folder, "part-0", b"5:1 1:label\n")
    put(folder, "part-1.gz", whole[: len(whole) // 2])
    files = list_part(folder)
    found = read_part(files, feasign_slot(SCHEMA))
    assert len(next(found).parsed.rows) == 1
    with pytest.raises(UserError, match=r"part-1\.gz is damaged or cut off") as caught:
        list(found)
    assert "\n" not in str(caught.value)
    filesystem, inner = fsspec.core.url_to_fs(folder)
    filesystem.rm(f"{inner}/part-0")
    with pytest.raises(UserError, match="part-0: cannot be read: no such file"):
        next(read_part(files, feasign_slot(SCHEMA)))


def test_a_file_that_cannot_be_read_to_its_end(tmp_path: Path) -> None:
    (tmp_path / "part").write_bytes(b"5:1 1:label\n")

    def format(file: object, path: str) -> Iterator[None]:
        raise OSError(5, "Input/output error")
        yield

    with pytest.raises(UserError, match="part: cannot be read: Input/output error"):
        list(read_part(list_part(str(tmp_path)), format))  # type: ignore[arg-type]


def test_a_line_that_does_not_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(raw_lines, "MAX_LINE_BYTES", 1000)
    (tmp_path / "part").write_bytes(b"5:1 1:label\n" + b"9" * 2000)
    with pytest.raises(UserError, match="part has a line of more than 1000 bytes"):
        list(read_part(list_part(str(tmp_path)), feasign_slot(SCHEMA)))


def test_files_of_other_slots(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    for name, fields in (("a", 2), ("b", 3)):
        with open_part("parquet", tmp_path, name) as part:
            part.write(np.ones((4, fields), np.int64), np.ones((4, fields), np.float32), np.ones((4, 1), np.float32))
    with pytest.raises(UserError, match=r"b\.parquet: rows of 3 slots, in the files before it of 2"):
        list(read_part(list_part(str(tmp_path)), parquet()))


def test_hostile_bytes_never_fail(tmp_path: Path) -> None:
    rng = random.Random(4)
    for name in LINES:
        lines = b"\n".join(map(LINES[name], range(ROWS)))
        for trial in range(60):
            content = bytearray(lines)
            for _ in range(rng.choice([1, 30, 300])):
                content[rng.randrange(1, len(content))] = rng.choice([*b"0: \t\r\n\x00\xff", rng.randrange(256)])
            (tmp_path / "part").write_bytes(content)
            chunks = list(read_part(list_part(str(tmp_path)), FORMATS[name]))
            lines_left = [line for line in content.split(b"\n") if line.rstrip(b"\r")]
            counted = [len(chunk.parsed.rows) + len(chunk.parsed.rejects) for chunk in chunks]
            assert counted == [chunk.parsed.count for chunk in chunks], trial
            assert sum(counted) == len(lines_left), trial


def test_the_real_files(monkeypatch: pytest.MonkeyPatch) -> None:
    root = os.environ.get("MSREC_SAMPLE_DIR")
    if not root:
        pytest.skip("MSREC_SAMPLE_DIR is not set")
    monkeypatch.setattr(raw_lines, "CHUNK_BYTES", 50_000)
    files = {Path(file.path).name: file for file in list_part(root)}
    schema = SlotSchema.from_keys(" ".join(str(number) for number in range(1, 302)))
    for name, format, rows, slots in (
        ("slot_dnn_sample.txt", feasign_slot(schema), 10, 300),
        ("criteo_real_sample.tsv", raw_tsv(make_engine(FeatureConfig())), 1999, 39),
    ):
        chunks = list(read_part([files[name]], format))
        assert len(chunks) > 1 and all(not chunk.parsed.rejects for chunk in chunks)
        found = concatenate_rows([chunk.parsed.rows for chunk in chunks])
        assert (len(found), found.num_slots) == (rows, slots)
