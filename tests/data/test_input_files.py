"""Data files: found in order, read from any row, refused when damaged or changed."""

import gzip
import os
import random
from pathlib import Path
from typing import Dict, List

import pytest

from mindspore_rec.config import ConfigError, UserError
from mindspore_rec.data.input_files import InputFile, RowReader, find_files, read_chunks
from mindspore_rec.stream import raw_lines


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(raw_lines, "CHUNK_BYTES", 64)


def written(folder: Path, contents: Dict[str, bytes]) -> List[InputFile]:
    for name, content in contents.items():
        (folder / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    return find_files(folder, "day_*")


def lines(first: int, last: int) -> bytes:
    return b"".join(b"row %d\n" % row for row in range(first, last))


@pytest.fixture
def days(tmp_path: Path) -> List[InputFile]:
    """Rows 0 to 99 in a plain file, an empty one, a gzip file and one with blank lines and carriage returns."""
    return written(
        tmp_path,
        {
            "day_0": lines(0, 40),
            "day_1": b"",
            "day_2.gz": lines(40, 75),
            "day_10": b"\n" + lines(75, 90).replace(b"\n", b"\r\n") + b"\n\n" + lines(90, 100)[:-1],
        },
    )


def test_files_come_in_natural_order_without_side_files(tmp_path: Path) -> None:
    for name in ("day_10", "day_9.gz", "day_9.oracle.npy", "day_1.part", "synthetic.json", "other"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "day_3").mkdir()
    assert [Path(file.path).name for file in find_files(tmp_path, "day_*")] == ["day_9.gz", "day_10"]


def test_only_the_ten_digits_make_numbers(tmp_path: Path) -> None:
    for name in ("day_1\u00b2", "day_\u0663", "day_10", "day_2"):
        (tmp_path / name).write_bytes(b"x")
    names = [Path(file.path).name for file in find_files(tmp_path, "day_*")]
    assert names == ["day_1\u00b2", "day_2", "day_10", "day_\u0663"]


def test_no_folder_and_no_file_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^data_path: .*absent, no such folder"):
        find_files(tmp_path / "absent", "day_*")
    with pytest.raises(ConfigError, match=r"^pattern: 'day_\*', no file of "):
        find_files(tmp_path, "day_*")


def test_chunks_from_any_row_of_any_file(days: List[InputFile]) -> None:
    assert [len(b"".join(c for k, c in read_chunks(days) if k == number).splitlines()) for number in range(4)] == [
        40,
        0,
        35,
        25,
    ]
    for number, row, expected in ((0, 0, lines(0, 100)), (0, 39, lines(39, 100)), (2, 7, lines(47, 100))):
        assert b"".join(chunk for _, chunk in read_chunks(days, number, row)) == expected


def test_progress_adds_up_to_the_sizes(days: List[InputFile]) -> None:
    taken: List[int] = []
    list(read_chunks(days, on_bytes=taken.append))
    assert sum(taken) == sum(file.size for file in days)


def test_any_rows_in_any_order(days: List[InputFile]) -> None:
    reader, random_rows = RowReader(days, [40, 0, 35, 25]), random.Random(5)
    for _ in range(60):
        begin = random_rows.randrange(101)
        end = random_rows.randrange(begin, 101)
        pieces = list(reader.chunks(begin, end))
        assert b"".join(piece for _, piece in pieces) == lines(begin, end)
        assert [row for row, _ in pieces] == [
            begin + sum(p.count(b"\n") for _, p in pieces[:k]) for k in range(len(pieces))
        ]


def test_neighbouring_rows_are_read_without_a_search(days: List[InputFile], monkeypatch: pytest.MonkeyPatch) -> None:
    reader = RowReader(days, [40, 0, 35, 25])
    assert b"".join(piece for _, piece in reader.chunks(0, 33)) == lines(0, 33)
    monkeypatch.setattr(reader, "_open", None)
    assert b"".join(piece for _, piece in reader.chunks(33, 100)) == lines(33, 100)


def test_a_changed_file_is_refused(days: List[InputFile]) -> None:
    os.utime(days[2].path, ns=(0, 0))
    with pytest.raises(UserError, match=r"^data_path: .*day_2.gz has changed"):
        list(RowReader(days, [40, 0, 35, 25]).chunks(0, 1))


def test_fewer_rows_than_counted_are_refused(days: List[InputFile]) -> None:
    with pytest.raises(UserError, match=r"^data_path: fewer rows than were counted"):
        list(RowReader(days, [40, 0, 35, 26]).chunks(90, 101))


def test_a_gzip_file_cut_off_gives_what_it_holds_and_its_name(tmp_path: Path) -> None:
    noise = random.Random(3)
    content = b"".join(b"%d\n" % noise.getrandbits(64) for _ in range(20_000))
    (tmp_path / "day_0.gz").write_bytes(gzip.compress(content)[:-100_000])
    read = []
    with pytest.raises(UserError, match=r"^data_path: .*day_0.gz is damaged or cut off .*download it again"):
        read.extend(chunk for _, chunk in read_chunks(find_files(tmp_path, "day_*")))
    assert read and content.startswith(b"".join(read))
