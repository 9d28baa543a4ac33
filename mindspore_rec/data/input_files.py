"""The files of a data set: found, told apart from changed ones, and read from any row on.

Rows are counted from 0 in each file, blank lines are none, as in `stream/raw_lines.py`.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Iterator, List, Sequence, Tuple, Union

import numpy as np

from mindspore_rec.config import ConfigError, UserError
from mindspore_rec.data.read_ahead import read_ahead
from mindspore_rec.stream.raw_lines import DAMAGE, drop_rows, end_of_rows, line_chunks, open_lines

_SIDE_FILES = (".npy", ".json", ".part", ".md5")


@dataclass(frozen=True)
class InputFile:
    """A file as it was when it was found: path, size in bytes, time of the last change in nanoseconds."""

    path: str
    size: int
    changed_ns: int


def find_files(folder: Path, pattern: str) -> List[InputFile]:
    """Files of a folder that match a pattern, ``day_2`` before ``day_10``; but not what lies beside data files.

    Raises:
        ConfigError: there is no such folder, or nothing in it matches.
    """
    if not folder.is_dir():
        raise ConfigError(f"data_path: {folder}, no such folder; expected one with the data files")
    found = (path for path in folder.glob(pattern) if path.is_file() and path.suffix not in _SIDE_FILES)
    paths = sorted(found, key=lambda path: natural_order(path.name))
    if not paths:
        raise ConfigError(f"pattern: {pattern!r}, no file of {folder} matches; expected the data files")
    states = [(path, path.stat()) for path in paths]
    return [InputFile(str(path), state.st_size, state.st_mtime_ns) for path, state in states]


def natural_order(name: str) -> List[Union[int, str]]:
    """Sorting key of a file name: numbers in it compare as numbers. Text and numbers take turns, so they never meet."""
    return [int(part) if part.isascii() and part.isdigit() else part for part in re.split(r"([0-9]+)", name)]


def read_chunks(
    files: Sequence[InputFile],
    first_file: int = 0,
    first_row: int = 0,
    on_bytes: Callable[[int], object] = lambda size: None,
) -> Iterator[Tuple[int, bytes]]:
    """(file, whole lines) of all rows from ``first_row`` of ``first_file`` on.

    Args:
        on_bytes: called with the bytes of the file that were taken in for each chunk, those skipped among them.

    Raises:
        UserError: a file cannot be read, breaks off or is damaged; what came before it was yielded.
    """
    for number in range(first_file, len(files)):
        path = files[number].path
        skip = first_row if number == first_file else 0
        try:
            with open(path, "rb") as raw, open_lines(raw) as lines:
                taken = 0
                for chunk in drop_rows(line_chunks(lines, path), skip):
                    position = raw.tell()
                    on_bytes(position - taken)
                    taken = position
                    yield number, chunk
        except DAMAGE as error:
            raise UserError(f"data_path: {path} is damaged or cut off ({error}); download it again") from None
        except OSError as error:
            raise UserError(f"data_path: cannot read {path}: {error.strerror}") from None


class RowReader:
    """Reads any rows of the data set, numbered over all its files; without a search where the last ones ended.

    Args:
        files: the data.
        file_rows: rows of each file.
    """

    def __init__(self, files: Sequence[InputFile], file_rows: Sequence[int]) -> None:
        self._files = files
        self._starts = np.cumsum([0, *file_rows])
        self._stream: Iterator[Tuple[int, bytes]] = iter(())
        self._left = b""
        self._row = -1

    def chunks(self, begin: int, end: int) -> Iterator[Tuple[int, bytes]]:
        """(first row, whole lines) of rows ``begin`` to ``end``.

        Raises:
            UserError: a file cannot be read, or is not what it was.
        """
        if begin != self._row:
            self._open(begin)
        while self._row < end:
            chunk = self._left or self._next_chunk()
            rows = chunk.count(b"\n")
            taken = min(rows, end - self._row)
            piece = chunk if taken == rows else chunk[: end_of_rows(chunk, taken)]
            self._left = chunk[len(piece) :]
            first, self._row = self._row, self._row + taken
            yield first, piece

    def _open(self, row: int) -> None:
        for known in self._files:
            if not unchanged(known):
                raise UserError(f"data_path: {known.path} has changed meanwhile; start again")
        file = int(np.searchsorted(self._starts, row, side="right")) - 1
        self._stream = read_ahead(read_chunks(self._files, file, row - int(self._starts[file])), 2)
        self._left, self._row = b"", row

    def _next_chunk(self) -> bytes:
        for _, chunk in self._stream:
            return chunk
        raise UserError("data_path: fewer rows than were counted; start again")


def unchanged(file: InputFile) -> bool:
    """Whether a file is still what it was when it was found."""
    try:
        state = os.stat(file.path)
    except OSError:
        return False
    return (state.st_size, state.st_mtime_ns) == (file.size, file.changed_ns)
