"""Parquet files of ready rows: id and weight as lists of fixed size, label as a number; a row a row."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from mindspore_rec.config import ConfigError
from mindspore_rec.data.part_files import Block

GROUP_ROWS = 65_536


def require_pyarrow() -> None:
    """Check that pyarrow is installed.

    Raises:
        ConfigError: it is not; the message names the extra.
    """
    if find_spec("pyarrow") is None:
        raise ConfigError("format: parquet needs pyarrow: pip install 'mindspore-rec-online[criteo]'")


class ParquetFile:
    """A Parquet file being written, a row group a block, compressed with zstd.

    Columns: id ``fixed_size_list<int64>[F]``, weight ``fixed_size_list<float32>[F]``, label ``float32``.
    """

    def __init__(self, path: Path) -> None:
        import pyarrow
        from pyarrow import parquet

        self._arrow, self._parquet = pyarrow, parquet
        self._path = path
        self._writer: Any = None

    def put(self, block: Block) -> None:
        """Write a row group."""
        columns = [self._lists(block.ids), self._lists(block.weights), self._arrow.array(block.labels.ravel())]
        batch = self._arrow.record_batch(columns, names=["id", "weight", "label"])
        if self._writer is None:
            # ids are hashes, weights floats: dictionaries of them cost time and save nothing
            self._writer = self._parquet.ParquetWriter(
                self._path, batch.schema, compression="zstd", use_dictionary=False, write_statistics=False
            )
        self._writer.write_batch(batch)

    def close(self) -> None:
        """Write the footer."""
        if self._writer is not None:
            self._writer.close()

    def discard(self) -> None:
        """Remove the file."""
        self.close()
        self._path.unlink(missing_ok=True)

    def _lists(self, column: np.ndarray) -> Any:
        """A matrix as lists of its rows, without a copy."""
        values = self._arrow.array(np.ascontiguousarray(column).reshape(-1))
        return self._arrow.FixedSizeListArray.from_arrays(values, column.shape[1])
