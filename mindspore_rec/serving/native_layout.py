"""Our own layout of an exported model: safetensors files, whose rows are mapped to memory."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Dict, Mapping, Sequence, Tuple

from mindspore_rec.checkpoint.array_file import Arrays, read_arrays, write_arrays
from mindspore_rec.checkpoint.checksum import CRC32C
from mindspore_rec.embedding.table_rows import TableRows
from mindspore_rec.serving.manifest import ExportError, FileOf, RowType, Share
from mindspore_rec.serving.mapped_table import MappedTable, map_table, write_rows


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
        """A file for each share."""
        return tuple(f"sparse/{name}-{rank:03d}.safetensors" for rank in range(ranks))

    def check_row_type(self, row_type: RowType) -> None:
        """All are fine."""

    def write_share(
        self, folder: Path, name: str, rank: int, rows: TableRows, row_type: RowType = "float32"
    ) -> Dict[str, FileOf]:
        """Ids and weights alone."""
        file = self.files_of(name, rank + 1)[rank]
        (folder / file).parent.mkdir(exist_ok=True)
        return {file: write_rows(folder / file, rows, row_type)}

    def finish_table(self, folder: Path, name: str, rows: TableRows, shares: Sequence[Share]) -> Dict[str, FileOf]:
        """The shares are all there is."""
        return {}

    def read_table(
        self, folder: Path, name: str, files: Sequence[str], dim: int, row_type: RowType = "float32"
    ) -> MappedTable:
        """Mapped to memory."""
        return map_table([folder / file for file in files], dim, row_type)

    def write_dense(self, folder: Path, parameters: Arrays) -> Dict[str, str]:
        """One file for all; none where there are none."""
        if not parameters:
            return {}
        (folder / self._dense).parent.mkdir(exist_ok=True)
        write_arrays(folder / self._dense, parameters)
        return dict.fromkeys(parameters, self._dense)

    def read_dense(self, folder: Path, files: Mapping[str, str]) -> Arrays:
        """All at once."""
        content = {file: read_arrays(folder / file) for file in set(files.values())}
        missing = [name for name, file in files.items() if name not in content[file]]
        if missing:
            raise ExportError(f"{folder / files[missing[0]]} has no parameter {missing[0]}")
        return {name: content[file][name] for name, file in files.items()}
