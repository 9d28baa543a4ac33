from __future__ import annotations

import gzip
import random
from pathlib import Path
from typing import List

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mindspore_rec.config import ConfigError, UserError
from mindspore_rec.stream import raw_lines
from mindspore_rec.stream.raw_lines import cut_blocks, drop_rows, file_chunks, generated_chunks, take_rows


def chunked(rows: List[bytes], sizes: List[int]) -> List[bytes]:
    """Rows in chunks of these sizes, the last size over and over."""
    chunks, start = [], 0
    while start < len(rows):
        size = sizes[min(len(chunks), len(sizes) - 1)]
        chunks.append(b"".join(rows[start : start + size]))
        start += size
    return chunks


ROWS = st.integers(0, 60).map(lambda count: [b"%d\tx\n" % row for row in range(count)])
SIZES = st.lists(st.integers(1, 20), min_size=1, max_size=5)


@given(ROWS, SIZES, st.integers(0, 100), st.integers(1, 15))
def test_blocks_end_at_multiples_of_their_size(rows: List[bytes], sizes: List[int], first: int, size: int) -> None:
    blocks = list(cut_blocks(chunked(rows, sizes), first, size))
    assert b"".join(lines for _, lines in blocks) == b"".join(rows)
    row = first
    for start, lines in blocks:
        assert start == row
        row += lines.count(b"\n")
        assert row - start <= size and start // size == (row - 1) // size
        assert row % size == 0 or row == first + len(rows)


@given(ROWS, SIZES, st.integers(0, 70))
def test_taking_and_dropping(rows: List[bytes], sizes: List[int], count: int) -> None:
    chunks = chunked(rows, sizes)
    assert b"".join(take_rows(chunks, count)) == b"".join(rows[:count])
    assert b"".join(drop_rows(chunks, count)) == b"".join(rows[count:])


def test_taking_asks_for_no_more_than_it_needs() -> None:
    def chunks() -> object:
        yield b"a\nb\n"
        raise AssertionError("asked for more")

    assert list(take_rows(chunks(), 2)) == [b"a\nb\n"]  # type: ignore[arg-type]
    assert list(take_rows(chunks(), 0)) == []  # type: ignore[arg-type]


@pytest.fixture(params=[False, True], ids=["plain", "gzip"])
def zipped(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


def written(path: Path, content: bytes, zipped: bool) -> str:
    path.write_bytes(gzip.compress(content) if zipped else content)
    return str(path)


@pytest.mark.parametrize("first_row", [0, 1, 777, 2999, 3000, 9999])
def test_a_file_is_read_from_a_row_on(
    tmp_path: Path, zipped: bool, first_row: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(raw_lines, "CHUNK_BYTES", 1000)
    noise = random.Random(1)
    rows = [b"%d\t" % row + b"x" * noise.randrange(60) + b"\n" for row in range(3000)]
    path = written(tmp_path / "day_0", b"".join(rows), zipped)
    chunks = list(file_chunks(path, first_row))
    assert b"".join(chunks) == b"".join(rows[first_row:])
    assert all(chunk.endswith(b"\n") for chunk in chunks)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", b""),
        (b"a", b"a\n"),
        (b"a\nb", b"a\nb\n"),
        (b"\n\na\n\n\nb\n\n", b"a\nb\n"),
        (b"a\r\n\r\nb\r\n", b"a\nb\n"),
        (b"a\r\nb\rc", b"a\nb\rc\n"),
        (b"a\r\r\nb\n", b"a\nb\n"),
        (b"a\n\r\r\nb\r\r\r", b"a\nb\n"),
        (b"\r\r\n\r\n\r", b""),
        (b"\ra\r\r\r\n", b"\ra\n"),
    ],
)
@pytest.mark.parametrize("chunk_bytes", [1, 2, 1000])
def test_line_ends(
    tmp_path: Path, zipped: bool, content: bytes, expected: bytes, chunk_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(raw_lines, "CHUNK_BYTES", chunk_bytes)
    assert b"".join(file_chunks(written(tmp_path / "f", content, zipped), 0)) == expected


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^data_file: cannot read .*nothing: No such file"):
        list(file_chunks(str(tmp_path / "nothing"), 0))
    with pytest.raises(ConfigError, match=r"^data_file: cannot read .*: Is a directory"):
        list(file_chunks(str(tmp_path), 0))


def test_a_file_without_lines_is_refused(tmp_path: Path, zipped: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(raw_lines, "CHUNK_BYTES", 1000)
    monkeypatch.setattr(raw_lines, "MAX_LINE_BYTES", 3000)
    with pytest.raises(UserError, match=r"f has a line of more than 3000 bytes"):
        list(file_chunks(written(tmp_path / "f", b"x" * 10000, zipped), 0))


@pytest.mark.parametrize("before", [0, 1, 499, 500, 997, 998, 999, 1000, 1500])
@pytest.mark.parametrize("end", [b"", b"\n", b"\nafter\n"])
@pytest.mark.parametrize("limit", [1000, 2500])
def test_how_long_a_line_may_be_does_not_depend_on_what_is_beside_it(
    tmp_path: Path, before: int, end: bytes, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(raw_lines, "CHUNK_BYTES", 1000)
    monkeypatch.setattr(raw_lines, "MAX_LINE_BYTES", limit)
    first = b"a" * before + b"\n" if before <= limit else b"a\n"
    path = written(tmp_path / "f", first + b"x" * limit + end, zipped=False)
    assert b"".join(file_chunks(path, 0)) == (first * bool(before) + b"x" * limit + (end or b"\n"))
    path = written(tmp_path / "f", first + b"x" * (limit + 1) + end, zipped=False)
    read: List[bytes] = []
    with pytest.raises(UserError, match=rf"f has a line of more than {limit} bytes"):
        read.extend(file_chunks(path, 0))
    assert b"".join(read) == first * bool(before)


def test_a_gzip_file_that_breaks_off_gives_what_it_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(raw_lines, "CHUNK_BYTES", 1000)
    noise = random.Random(2)
    content = b"".join(b"%d\t%s\n" % (row, noise.randbytes(20).hex().encode()) for row in range(2000))
    whole = gzip.compress(content)
    path = tmp_path / "f.gz"
    path.write_bytes(whole[: len(whole) // 2])
    read: List[bytes] = []
    with pytest.raises(UserError, match=r"^data_file: .* is damaged"):
        read.extend(file_chunks(str(path), 0))
    path.write_bytes(whole[:1000] + bytes(100) + whole[1100:])
    with pytest.raises(UserError, match=r"^data_file: .* is damaged"):
        read.extend(file_chunks(str(path), 0))
    assert content.startswith(read[0]) and read[0]


def test_generated_rows_go_on_for_ever() -> None:
    def lines(start: int, rows: int) -> bytes:
        return b"".join(b"%d\n" % row for row in range(start, start + rows))

    assert b"".join(take_rows(generated_chunks(lines, 5, rows=3), 7)) == b"5\n6\n7\n8\n9\n10\n11\n"
