"""MindRecord files of ready rows: written block by block, read again as batches of any size.

A sample is a block of rows: id int64[n, F], weight float32[n, F], label float32[n, 1]; all blocks of a file but the
last have as many rows. ``mindrecord_dataset`` makes batches of them. ``MindDataset(files, ["id", "weight", "label"])``
reads the blocks themselves; without the list of columns MindSpore orders them by name, the label in the middle.
"""

from __future__ import annotations

from pathlib import Path
from typing import Iterator, Optional, Sequence, Tuple

import numpy as np
from mindspore.dataset import GeneratorDataset, MindDataset, Sampler, SequentialSampler
from mindspore.mindrecord import FileWriter

from mindspore_rec.config import UserError
from mindspore_rec.data.part_files import Block, Blocks

COLUMNS = ("id", "weight", "label")


# A file begins with a header of this size, the places of its pages in it, and ends with a whole page: MindSpore's own
# choice, 16 and 32 MiB, is more than the rows of a small part.
_HEADER_BYTES = 4 << 20
_PAGE_BYTES = 4 << 20
_LARGEST_PAGE_BYTES = 256 << 20


class MindRecordFile:
    """A MindRecord file being written, a sample a block; ``<path>.db`` is its index.

    Both may be moved to another folder together.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.discard()  # FileWriter refuses to replace files, or warns about it
        self._writer = FileWriter(str(path))
        self._has_schema = False

    def put(self, block: Block) -> None:
        """Write a sample."""
        if not self._has_schema:
            shapes = [[-1, *column.shape[1:]] for column in block]
            types = [{"type": column.dtype.name, "shape": shape} for column, shape in zip(block, shapes)]
            self._writer.set_page_size(_page_bytes(block))
            self._writer.set_header_size(_HEADER_BYTES)
            self._writer.add_schema(dict(zip(COLUMNS, types)), "blocks of rows: ids, weights, labels")
            self._has_schema = True
        sample = {name: np.ascontiguousarray(column) for name, column in zip(COLUMNS, block)}
        self._writer.write_raw_data([sample])

    def close(self) -> None:
        """Write the index."""
        self._writer.commit()
        for path in files_of(self._path):
            path.chmod(path.parent.stat().st_mode & 0o666)  # MindSpore lets only the owner read them

    def discard(self) -> None:
        """Stop writing and remove both files."""
        for path in files_of(self._path):
            path.unlink(missing_ok=True)


def _page_bytes(block: Block) -> int:
    """A page holds several samples; a power of two."""
    needed = 4 * sum(column.nbytes for column in block)
    return min(max(_PAGE_BYTES, 1 << (needed - 1).bit_length()), _LARGEST_PAGE_BYTES)


def files_of(path: Path) -> Tuple[Path, Path]:
    """A MindRecord file and its index."""
    return path, path.with_name(path.name + ".db")


def count_rows(path: Path) -> int:
    """Rows in a file, from the sizes of its first and its last block.

    Raises:
        UserError: the file or its index is missing or damaged, or it holds no blocks of rows.
    """
    try:
        samples = MindDataset(str(path)).get_dataset_size()
        first, last = (_block_rows(path, at) for at in (0, samples - 1))
    except (RuntimeError, ValueError, OSError) as error:
        raise UserError(f"{path} cannot be read as MindRecord: {_reason(error)}") from None
    return (samples - 1) * first + last


def mindrecord_dataset(files: Sequence[Path], batch_size: int) -> GeneratorDataset:
    """The rows of some files, in their order, as a data set for ``RecModel.train``, ``eval`` and ``online_train``.

    Args:
        files: MindRecord files with columns id, weight and label, written by ``open_part``.
        batch_size: rows in a batch.

    Returns:
        a data set of columns id int64[batch_size, F], weight float32[batch_size, F], label float32[batch_size, 1]; the
        last batch is shorter where the rows do not divide. ``get_dataset_size()`` is the number of batches.

    Raises:
        UserError: there are no files, or one cannot be read.
        ValueError: batch_size is below 1.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size}")
    if not files:
        raise UserError("no MindRecord files to read")
    dataset = GeneratorDataset(
        _Batches(files, batch_size),
        column_names=list(COLUMNS),
        shuffle=False,
        num_parallel_workers=1,
        python_multiprocessing=False,
    )
    dataset.batch_size = batch_size
    return dataset


class _Batches:
    """Batches of the rows of some files; every iteration begins anew."""

    def __init__(self, files: Sequence[Path], batch_size: int) -> None:
        self._files = [(path, count_rows(path)) for path in files]
        self._batch_size = batch_size

    def __len__(self) -> int:
        return -(-sum(rows for _, rows in self._files) // self._batch_size)

    def __iter__(self) -> Iterator[Block]:
        batches = Blocks(self._batch_size)
        for path, expected in self._files:  # one after the other: MindSpore keeps the index of all it opens in memory
            rows = 0
            for block in _blocks(path):
                rows += len(block.ids)
                yield from batches.add(block)
            if rows != expected:
                raise UserError(f"{path}: its blocks differ in size: {rows} rows, {expected} expected")
        yield from batches.rest()


def _blocks(path: Path, sampler: Optional[Sampler] = None) -> Iterator[Block]:
    order = {"shuffle": False} if sampler is None else {"sampler": sampler}
    data = MindDataset(str(path), list(COLUMNS), num_parallel_workers=1, **order)
    for columns in data.create_tuple_iterator(num_epochs=1, output_numpy=True):
        yield Block(*columns)


def _block_rows(path: Path, at: int) -> int:
    return sum(len(block.ids) for block in _blocks(path, SequentialSampler(at, 1)))


def _reason(error: Exception) -> str:
    """The line of MindSpore's message that says what is wrong: of several, the one marked as the error."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    marked = [line for line in lines if line.startswith("[ERROR]")]
    return (marked or lines)[0].replace("[ERROR] ", "").replace("[Internal ERROR] ", "")
