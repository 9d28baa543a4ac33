"""PaddleRec's layout of an inference model: ``__model__``, tables as text, a file for each dense parameter."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Dict, Mapping, Sequence, Tuple

import numpy as np

from mindspore_rec.checkpoint.array_file import Arrays
from mindspore_rec.checkpoint.sparse_meta import Shard
from mindspore_rec.checkpoint.sparse_text import FOLDER, read_sparse_text, write_meta, write_shard
from mindspore_rec.config import ConfigError
from mindspore_rec.embedding.table_rows import TableRows
from mindspore_rec.serving.manifest import FILE_NAME, MANIFEST, ExportError, FileOf, RowType, Share
from mindspore_rec.serving.mapped_table import MappedTable, TableShare
from mindspore_rec.serving.native_layout import file_of

_GRAPH = "__model__"
_TAKEN = (_GRAPH, MANIFEST, FOLDER, "variables.mindir", "model.onnx")


class PaddleLayout:
    """``__model__``, ``embedding.shard/TABLE-RANK.txt`` with ``TABLE.meta``, and parameters under their own names.

    Rows are whole: with optimizer slots, shows and clicks. The file of a parameter is a .npy file without the suffix.
    """

    graph = _GRAPH

    def files_of(self, name: str, ranks: int) -> Tuple[str, ...]:
        """A file for each share, and what describes them."""
        return (*(f"{FOLDER}/{name}-{rank:03d}.txt" for rank in range(ranks)), f"{FOLDER}/{name}.meta")

    def check_row_type(self, row_type: RowType) -> None:
        """Text has float32 alone."""
        if row_type != "float32":
            raise ConfigError(f"--row_type {row_type}: expected float32, which is what the rows of layout paddle are")

    def write_share(
        self, folder: Path, name: str, rank: int, rows: TableRows, row_type: RowType = "float32"
    ) -> Dict[str, FileOf]:
        """See `write_shard`."""
        self.check_row_type(row_type)
        shard = write_shard(folder, name, rows, rank)
        return {f"{FOLDER}/{shard.file}": FileOf(size=shard.bytes, crc32c=shard.crc32c)}

    def finish_table(self, folder: Path, name: str, rows: TableRows, shares: Sequence[Share]) -> Dict[str, FileOf]:
        """See `write_meta`."""
        *files, meta = self.files_of(name, len(shares))
        shards = [
            Shard(file=Path(file).name, rows=share.rows, bytes=share.file.size, crc32c=share.file.crc32c)
            for file, share in zip(files, shares)
        ]
        write_meta(folder, name, rows, shards)
        return {meta: file_of(folder, meta)}

    def read_table(
        self, folder: Path, name: str, files: Sequence[str], dim: int, row_type: RowType = "float32"
    ) -> MappedTable:
        """All rows, in memory."""
        rows = read_sparse_text(folder, name)
        if rows.weights.shape[1] != dim:
            raise ExportError(f"{folder}: table {name} has rows of {rows.weights.shape[1]} weights, expected {dim}")
        return MappedTable(dim, (TableShare(rows.ids, {"weights": rows.weights}),))

    def write_dense(self, folder: Path, parameters: Arrays) -> Dict[str, str]:
        """A file for each."""
        for name, array in parameters.items():
            if not FILE_NAME.fullmatch(name) or name in _TAKEN:
                raise ExportError(f"dense parameter {name!r}: expected a name of letters, digits, '_', '-' and '.'")
            with (folder / name).open("xb") as file:
                np.save(file, array, allow_pickle=False)
                file.flush()
                os.fsync(file.fileno())
        return {name: name for name in parameters}

    def read_dense(self, folder: Path, files: Mapping[str, str]) -> Arrays:
        """From a file for each."""
        found = {}
        for name, file in files.items():
            try:
                with (folder / file).open("rb") as opened:
                    found[name] = np.load(opened, allow_pickle=False)
            except (OSError, ValueError, EOFError) as error:
                raise ExportError(f"{folder / file} cannot be read: {error}") from None
        return found
