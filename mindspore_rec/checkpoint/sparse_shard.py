"""One file of a table as text: its rows, written and read a block at a time, and what is wrong with it by line."""

from __future__ import annotations

from io import FileIO
from pathlib import Path
from typing import NoReturn, Sequence, Tuple

import numpy as np
from crc32c import crc32c

from mindspore_rec.checkpoint import row_text
from mindspore_rec.checkpoint.checksum import crc32c_digits
from mindspore_rec.checkpoint.errors import CheckpointError
from mindspore_rec.checkpoint.row_text import longest_line, put_rows, scan_rows
from mindspore_rec.checkpoint.sparse_meta import Shard
from mindspore_rec.embedding.delta_score import NAME as DELTA_SCORE
from mindspore_rec.embedding.table_rows import TableRows
from mindspore_rec.features.float_text import float_of
from mindspore_rec.published_file import published

_BLOCK_BYTES = 4 << 20
_LONGEST_VALUE = 65  # bytes of a column and what ends it that are read
_EXPECTED = {0: "an unsigned 64-bit number", 1: "whole days, less than 2**31"}


def write_rows(path: Path, rows: TableRows) -> Shard:
    """Write a file of rows; it is there when all of it is on disk, and not at all where that fails.

    Raises:
        CheckpointError: a value is not finite.
        OSError: it cannot be written.
    """
    delta_score = rows.slots.get(DELTA_SCORE, np.zeros((len(rows), 1), np.float32))
    slots = [values for slot, values in rows.slots.items() if slot != DELTA_SCORE]
    columns = [delta_score, rows.show[:, None], rows.click[:, None], rows.weights, *slots]
    longest = longest_line(sum(column.shape[1] for column in columns))
    count = max(1, _BLOCK_BYTES // longest)
    out = np.empty(min(count, len(rows)) * longest, np.uint8)
    size = crc = 0
    with published(path) as part, part.open("wb") as file:
        for begin in range(0, len(rows), count):
            block = slice(begin, begin + count)
            numbers = np.concatenate([column[block] for column in columns], axis=1)
            ids, days = (np.ascontiguousarray(column[block]) for column in (rows.ids, rows.unseen_days))
            if not np.isfinite(numbers).all():
                id_ = ids[~np.isfinite(numbers).all(axis=1)].view(np.uint64)[0]
                raise CheckpointError(f"{path} was not written: the row of id {id_} has a value that is not finite")
            text = out[: put_rows(ids.view(np.uint64), days, numbers.view(np.uint32), out)]
            file.write(text.data)
            crc = crc32c(text.data, crc)
            size += text.size
    return Shard(file=path.name, rows=len(rows), bytes=size, crc32c=crc32c_digits(crc))


class ShardLines:
    """A file of rows, to be read once.

    Args:
        path: of the file.
        shard: what is known of it.
        names: of the columns.

    Attributes:
        room: the most rows that a file of its size can have, at most those it should have.

    Raises:
        CheckpointError: it is not there.
    """

    def __init__(self, path: Path, shard: Shard, names: Sequence[str]) -> None:
        self._path, self._shard, self._names = path, shard, names
        try:
            size = path.stat().st_size
        except OSError as error:
            raise CheckpointError(f"{path} cannot be read: {error.strerror}") from None
        self._block = min(_BLOCK_BYTES, size + 1)
        self.room = min(shard.rows, size // (2 * len(names)))  # a column has a digit, and one byte behind it

    def read(self, ids: np.ndarray, days: np.ndarray, numbers: np.ndarray) -> None:
        """Fill uint64[r], int32[r] and float32[r, columns - 2] of `room` rows.

        Raises:
            CheckpointError: it is not what was written; the message names the line.
        """
        try:
            with FileIO(str(self._path)) as file:
                rows, size, crc = self._scan(file, ids, days, numbers)
        except OSError as error:
            raise CheckpointError(f"{self._path} cannot be read: {error.strerror}") from None
        if rows != self._shard.rows:
            self._fail(rows, f"expected {self._shard.rows} rows, but the file ends here")
        if (size, crc32c_digits(crc)) != (self._shard.bytes, self._shard.crc32c):
            raise CheckpointError(f"{self._path} is damaged: its checksum is not that of the .meta file")

    def _scan(self, file: FileIO, ids: np.ndarray, days: np.ndarray, numbers: np.ndarray) -> Tuple[int, int, int]:
        """Rows, bytes and CRC-32C of the file."""
        longest = _LONGEST_VALUE * len(self._names)
        room = max(self._block, 2 * longest)
        buffer = np.empty(room + row_text.PADDING, np.uint8)
        row = kept = size = crc = 0
        while count := file.readinto(buffer.data[kept:room]):
            crc = crc32c(buffer.data[kept : kept + count], crc)
            size, filled = size + count, kept + count
            end = buffer[:filled].tobytes().rfind(b"\n") + 1
            row = self._rows(buffer, end, ids, days, numbers, row)
            kept = filled - end
            if kept > longest:
                self._fail(row, f"longer than {longest} bytes")
            buffer[:kept] = buffer[end:filled].copy()
        if kept:
            self._fail(row, "cut off: it does not end")
        return row, size, crc

    def _rows(
        self, buffer: np.ndarray, end: int, ids: np.ndarray, days: np.ndarray, numbers: np.ndarray, row: int
    ) -> int:
        """Read the lines before `end`; return the next row."""
        position = column = 0
        while True:
            found, position, row, column = scan_rows(buffer, position, end, ids, days, numbers, row, column)
            if found == row_text.END:
                return row
            text = _token(buffer, position)
            if found != row_text.OPEN:
                self._refuse(found, buffer, position, row, column)
            numbers[row, column - 2] = number = float_of(text)
            if not np.isfinite(number):
                self._refuse(row_text.WRONG_NUMBER, buffer, position, row, column)
            position, column = position + len(text) + 1, column + 1
            if column == len(self._names):
                row, column = row + 1, 0

    def _refuse(self, found: int, buffer: np.ndarray, position: int, row: int, column: int) -> NoReturn:
        if found == row_text.WRONG_NUMBER:
            expected = _EXPECTED.get(column, "a finite number")
            self._fail(row, f"column {self._names[column]}: {_token(buffer, position)!r}: expected {expected}")
        if found == row_text.TOO_MANY_ROWS:
            self._fail(row, f"expected {self._shard.rows} rows")
        begin = buffer[:position].tobytes().rfind(b"\n") + 1
        line = buffer[begin:].tobytes().split(b"\n", 1)[0]
        self._fail(row, f"expected {len(self._names)} columns, found {len(line.split(b' '))}")

    def _fail(self, row: int, what: str) -> NoReturn:
        raise CheckpointError(f"{self._path}: line {row + 1}: {what}")


def _token(buffer: np.ndarray, position: int) -> str:
    content = buffer[position : position + _LONGEST_VALUE + 1].tobytes()
    return content.replace(b"\n", b" ").split(b" ", 1)[0].decode("ascii", "replace")
