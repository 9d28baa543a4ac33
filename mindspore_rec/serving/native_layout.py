"""Our own layout of an exported model: safetensors files, whose rows are mapped to memory."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Dict, Mapping, Sequence, Tuple

from mindspore_rec.checkpoint.array_file import Arrays, read_arrays, write_arrays
from mindspore_rec.checkpoint.checksum import CRC32C
from mindspore_rec.embedding.table_rows import TableRows
from mindspore_rec.serving.manifest import FileOf
from mindspore_rec.serving.mapped_table import MappedTable, map_table, write_rows

Files = Dict[str, FileOf]


def file_of(folder: Path, name: str) -> FileOf:
    """Have a file that was written on disk, and describe it.

    Raises:
        OSError: it cannot be read.
    """
    path = folder / name
    with path.open("rb") as file:
        os.fsync(file.fileno())
    return FileOf(size=path.stat().st_size, crc32c=CRC32C.of_file(path))


class NativeLayout:
    """``model.mindir``, ``sparse/TABLE-RANK.safetensors`` and ``dense/parameters.safetensors``."""

    graph = "model.mindir"
    _dense = "dense/parameters.safetensors"

    def files_of(self, name: str, ranks: int) -> Tuple[str, ...]:
        """The files of a table's shares."""
        return tuple(f"sparse/{name}-{rank:03d}.safetensors" for rank in range(ranks))

    def write_table(self, folder: Path, name: str, rank: int, rows: TableRows) -> Files:
        """Write a rank's share of a table; return the file."""
        file = self.files_of(name, rank + 1)[rank]
        (folder / file).parent.mkdir(exist_ok=True)
        return {file: write_rows(folder / file, rows)}

    def read_table(self, folder: Path, files: Sequence[str], dim: int) -> MappedTable:
        """Open a table of `dim` values a row."""
        return map_table([folder / file for file in files], dim)

    def write_dense(self, folder: Path, parameters: Arrays) -> Dict[str, str]:
        """Write dense parameters; return the file of each."""
        (folder / self._dense).parent.mkdir(exist_ok=True)
        write_arrays(folder / self._dense, parameters)
        return dict.fromkeys(parameters, self._dense)

    def read_dense(self, folder: Path, files: Mapping[str, str]) -> Arrays:
        """Read dense parameters."""
        content = {file: read_arrays(folder / file) for file in set(files.values())}
        return {name: content[file][name] for name, file in files.items()}
