"""Files of ready rows, written part by part: MindRecord for training with MindSpore, Parquet for everything else."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Callable, Iterator, NamedTuple, Optional, Protocol, Type

import numpy as np

from mindspore_rec.features.batch import Float32, Int64

BLOCK_ROWS = 1000
_DTYPES = (np.int64, np.float32, np.float32)


class Block(NamedTuple):
    """n rows: ids int64[n, F], weights float32[n, F], labels float32[n, 1]."""

    ids: np.ndarray
    weights: np.ndarray
    labels: np.ndarray


class BlockFile(Protocol):
    """A file being written block by block."""

    def put(self, block: Block) -> None:
        """Append a block. The caller may overwrite its arrays after the call."""

    def close(self) -> None:
        """Complete the file."""

    def discard(self) -> None:
        """Stop writing and remove what was written."""


def prepare_format(format: str) -> None:
    """Import what the format needs, before processes are forked that all need it.

    Raises:
        ConfigError: it is not installed.
    """
    if format == "mindrecord":
        import mindspore_rec.data.mindrecord  # noqa: F401
    else:
        from mindspore_rec.data.parquet import require_pyarrow

        require_pyarrow()


class Blocks:
    """Cuts rows that come in any portions into blocks of one size; holds less than a block.

    Args:
        size: rows in a block.
    """

    def __init__(self, size: int) -> None:
        if size < 1:
            raise ValueError(f"block_rows must be at least 1, got {size}")
        self._size = size
        self._begun: Optional[Block] = None
        self._held = 0

    def add(self, rows: Block) -> Iterator[Block]:
        """Take rows in and yield the blocks they complete: views of the rows, or arrays of their own."""
        start, count = 0, len(rows.ids)
        while start < count:
            taken = min(self._size - self._held, count - start)
            part = Block(*(column[start : start + taken] for column in rows))
            start += taken
            if taken == self._size:
                yield part
            elif self._hold(part):
                yield from self.rest()

    def rest(self) -> Iterator[Block]:
        """Yield what is held, if anything."""
        if self._begun is not None:
            block = Block(*(column[: self._held] for column in self._begun))
            self._begun, self._held = None, 0
            yield block

    def _hold(self, part: Block) -> bool:
        """Copy a part behind what is held; True where the block is full now."""
        if self._begun is None:
            self._begun = Block(*(np.empty((self._size, *column.shape[1:]), column.dtype) for column in part))
        end = self._held + len(part.ids)
        for column, source in zip(self._begun, part):
            column[self._held : end] = source
        self._held = end
        return end == self._size


class PartWriter:
    """Writes rows given in any portions as blocks of equal size; the last one may be shorter.

    The file is opened at the first row, so a part without rows leaves none. Leaving the ``with`` statement completes
    the part, or removes it where an exception left it unfinished.

    Args:
        open_file: opens the file.
        block_rows: rows in a block; one block is held in memory.

    Attributes:
        rows: rows written so far.
    """

    def __init__(self, open_file: Callable[[], BlockFile], block_rows: int) -> None:
        self.rows = 0
        self._open_file = open_file
        self._blocks = Blocks(block_rows)
        self._file: Optional[BlockFile] = None
        self._closed = False

    def write(self, ids: Int64, weights: Float32, labels: Float32) -> None:
        """Append rows.

        Args:
            ids: int64[n, F]; F is the same in every call.
            weights: float32[n, F].
            labels: float32[n, 1].

        Raises:
            ValueError: shapes or dtypes differ from these, or the part is closed.
            OSError: the file cannot be written.
        """
        if self._closed:
            raise ValueError("the part is closed")
        rows = Block(ids, weights, labels)
        _check(rows)
        for block in self._blocks.add(rows):
            self._put(block)
        self.rows += len(ids)

    def close(self) -> int:
        """Complete the part and return the rows in it; a second call does nothing more."""
        if not self._closed:
            self._closed = True
            for block in self._blocks.rest():
                self._put(block)
            if self._file is not None:
                self._file.close()
        return self.rows

    def discard(self) -> None:
        """Remove what was written of an unfinished part."""
        if not self._closed:
            self._closed = True
            if self._file is not None:
                self._file.discard()

    def __enter__(self) -> PartWriter:
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.discard()

    def _put(self, block: Block) -> None:
        if self._file is None:
            self._file = self._open_file()
        self._file.put(block)


def open_part(format: str, folder: Path, name: str, block_rows: int = BLOCK_ROWS) -> PartWriter:
    """Begin a part; files of the same name are replaced.

    Args:
        format: ``mindrecord`` (``<name>.mindrecord`` and its index ``<name>.mindrecord.db``) or ``parquet``
            (``<name>.parquet``).
        folder: an existing folder.
        name: the part's name, without a suffix.
        block_rows: rows in a sample of a MindRecord file; a Parquet file has a row a row.

    Raises:
        ConfigError: the format needs a package that is not installed.
        ValueError: another format.
    """
    if format == "mindrecord":
        from mindspore_rec.data.mindrecord import MindRecordFile

        return PartWriter(lambda: MindRecordFile(folder / f"{name}.mindrecord"), block_rows)
    if format == "parquet":
        from mindspore_rec.data.parquet import GROUP_ROWS, ParquetFile, require_pyarrow

        require_pyarrow()
        return PartWriter(lambda: ParquetFile(folder / f"{name}.parquet"), GROUP_ROWS)
    raise ValueError(f"format must be mindrecord or parquet, got {format!r}")


def _check(rows: Block) -> None:
    shapes = (rows.ids.shape, rows.ids.shape, (len(rows.ids), 1))
    for name, column, shape, dtype in zip(rows._fields, rows, shapes, _DTYPES):
        if column.ndim != 2 or column.shape != shape or column.dtype != dtype:
            raise ValueError(f"{name} must be {np.dtype(dtype)}{list(shape)}, got {column.dtype}{list(column.shape)}")
