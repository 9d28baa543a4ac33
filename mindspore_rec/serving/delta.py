"""The files of a delta: what changed of each table, and all dense parameters."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List, Mapping

import numpy as np
from crc32c import crc32c
from safetensors.numpy import save

from mindspore_rec.checkpoint.array_file import Arrays
from mindspore_rec.checkpoint.checksum import CRC32C, crc32c_digits
from mindspore_rec.checkpoint.errors import CheckpointError
from mindspore_rec.checkpoint.mapped_arrays import map_arrays
from mindspore_rec.embedding.table_rows import ChangedRows
from mindspore_rec.serving.manifest import ExportError, FileOf
from mindspore_rec.serving.publication import PUBLICATION, PublicationError, PublicationManifest, read_publication

DENSE = "dense/parameters.safetensors"


@dataclass(frozen=True)
class Delta:
    """A delta that was read.

    Attributes:
        manifest: what it says of itself.
        changed: of each table, one entry a rank.
        dense: all dense parameters, by name.
    """

    manifest: PublicationManifest
    changed: Dict[str, List[ChangedRows]]
    dense: Arrays


def share_name(table: str, rank: int) -> str:
    """Path of what a rank has of a table, in a delta."""
    return f"sparse/{table}-{rank:03d}.safetensors"


def write_share(folder: Path, table: str, rank: int, changed: ChangedRows) -> Dict[str, FileOf]:
    """Write what changed of a rank's share of a table; return what was written.

    Raises:
        ExportError: a weight is not finite.
        OSError: it cannot be written.
    """
    if not np.isfinite(changed.weights).all():
        raise ExportError(f"table {table}: a weight is not finite: nothing was published")
    name = share_name(table, rank)
    return {name: _write(folder / name, vars(changed))}


def read_share(folder: Path, file: str, about: FileOf) -> ChangedRows:
    """Read what `write_share` wrote and verify every byte of it.

    Raises:
        PublicationError: it is damaged, or something else.
    """
    arrays = _read(folder, file, about)
    if arrays.keys() != {"ids", "weights", "removed"}:
        raise PublicationError(f"{folder}: {file}: expected ids, weights and removed, got {', '.join(sorted(arrays))}")
    found = ChangedRows(**arrays)
    wanted = (found.ids.dtype, found.removed.dtype, found.weights.dtype) == (np.int64, np.int64, np.float32)
    if not wanted or found.ids.ndim != 1 or found.removed.ndim != 1 or found.weights.shape[:1] != found.ids.shape:
        raise PublicationError(f"{folder}: {file}: expected int64 ids, float32 rows and int64 removed ids")
    return found


def write_dense(folder: Path, parameters: Arrays) -> Dict[str, FileOf]:
    """Write dense parameters; return what was written.

    Raises:
        ExportError: one is not finite.
        OSError: it cannot be written.
    """
    for name, array in parameters.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise ExportError(f"dense parameter {name} is not finite: nothing was published")
    return {DENSE: _write(folder / DENSE, parameters)} if parameters else {}


def read_delta(folder: Path) -> Delta:
    """Read a delta and verify every byte of it.

    Raises:
        PublicationError: it is damaged, incomplete, or no delta; the message says which.
    """
    manifest = read_publication(folder)
    if manifest.kind != "delta":
        raise PublicationError(f"{folder} is no delta: {PUBLICATION} says {manifest.kind}")
    changed = {
        name: [read_share(folder, file, manifest.files[file]) for file in update.files]
        for name, update in manifest.tables.items()
    }
    for name, update in manifest.tables.items():
        if sum(part.ids.size for part in changed[name]) != update.rows:
            raise PublicationError(f"{folder}: table {name} has not the {update.rows} rows that {PUBLICATION} names")
    dense = _read(folder, manifest.dense, manifest.files[manifest.dense]) if manifest.dense is not None else {}
    return Delta(manifest, changed, dense)


def _write(path: Path, arrays: Mapping[str, np.ndarray]) -> FileOf:
    # Not synced: what a crash of the machine leaves of it fails its checksum, and the next trainer begins anew.
    content = save({name: np.ascontiguousarray(array) for name, array in arrays.items()})
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    return FileOf(size=len(content), crc32c=crc32c_digits(crc32c(content)))


def _read(folder: Path, file: str, about: FileOf) -> Arrays:
    """Arrays of a file, mapped to memory: the lock of the interpreter is held for moments only."""
    path = folder / file
    try:
        whole = path.stat().st_size == about.size and CRC32C.of_file(path) == about.crc32c
    except OSError as error:
        raise PublicationError(f"{folder}: {file}: {error.strerror}") from None
    if not whole:
        raise PublicationError(f"{folder}: {file} is damaged: it is not what {PUBLICATION} says")
    try:
        return map_arrays(path)
    except CheckpointError as error:
        raise PublicationError(str(error)) from None
