"""Logs as they grow, and readers that do not keep up."""

from __future__ import annotations

import os
from pathlib import Path
from typing import List

import pytest

from mindspore_rec.launch.log_lines import PIECE, TAIL_BYTES, GrowingLog, write_if_ready


class Reader:
    """Takes so many bytes at once."""

    def __init__(self, room: int = PIECE) -> None:
        self.room = room
        self.got = b""

    def take(self, piece: bytes) -> int:
        taken = piece[: self.room]
        self.got += taken
        return len(taken)


def test_whole_lines_are_passed_on_and_the_rest_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"of another run\n")
    log, reader = GrowingLog(path), Reader()
    assert log.pass_on(reader.take) and reader.got == b""
    with path.open("ab", buffering=0) as file:
        file.write(b"one\ntw")
        assert log.pass_on(reader.take) and reader.got == b"one\n"
        file.write(b"o\nthree")
        assert log.pass_on(reader.take) and reader.got == b"one\ntwo\n"
    assert log.pass_on(reader.take, unfinished=True) and reader.got == b"one\ntwo\nthree"
    assert log.pass_on(reader.take, unfinished=True) and reader.got == b"one\ntwo\nthree"


def test_a_file_that_is_not_there_yet(tmp_path: Path) -> None:
    log, reader = GrowingLog(tmp_path / "log"), Reader()
    assert log.pass_on(reader.take, unfinished=True) and log.tail(3) == []
    (tmp_path / "log").write_bytes(b"first\n")
    assert log.pass_on(reader.take) and reader.got == b"first\n"


@pytest.mark.parametrize("room", [1, 7, PIECE])
@pytest.mark.parametrize("content", [b"x" * 3 * PIECE + b"\nend\n", b"a line\n" * PIECE, b"\n" * 9], ids=len)
def test_nothing_is_lost_or_doubled(content: bytes, room: int, tmp_path: Path) -> None:
    log, reader = GrowingLog(tmp_path / "log"), Reader(room)
    (tmp_path / "log").write_bytes(content)
    assert log.pass_on(reader.take)
    assert reader.got == content
    reader.room = 0
    with (tmp_path / "log").open("ab") as file:
        file.write(b"more\n")
    assert not log.pass_on(reader.take)
    reader.room = room
    assert log.pass_on(reader.take) and reader.got == content + b"more\n"


def test_the_last_lines(tmp_path: Path) -> None:
    log = GrowingLog(tmp_path / "log")
    (tmp_path / "log").write_bytes(b"one\n\xff\n" + b"x" * TAIL_BYTES + b"\nlast\n")
    assert log.tail(1) == ["last"]
    assert len(log.tail(5)) == 2


def test_a_pipe_nobody_reads_does_not_block() -> None:
    reading, writing = os.pipe()
    try:
        written: List[int] = []
        while not written or written[-1]:
            written.append(write_if_ready(writing, b"x" * PIECE))
        assert sum(written) >= PIECE
        assert os.read(reading, PIECE) == b"x" * PIECE
        assert write_if_ready(writing, b"y" * PIECE) == PIECE
    finally:
        os.close(reading)
    assert write_if_ready(writing, b"gone") == 4  # SIGPIPE is ignored in Python
    os.close(writing)
    assert write_if_ready(writing, b"closed") == 6
