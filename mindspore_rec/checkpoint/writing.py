"""Writing the files of one checkpoint."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, Dict, Mapping, Sequence, Tuple

import numpy as np

from mindspore_rec.checkpoint.array_file import ArrayFile, Arrays, bytes_of, sync_folder, write_synced
from mindspore_rec.checkpoint.capture import Capture, Rows
from mindspore_rec.checkpoint.checksum import CRC32C
from mindspore_rec.checkpoint.errors import CheckpointError
from mindspore_rec.checkpoint.format import MANIFEST, SUFFIX
from mindspore_rec.checkpoint.manifest import FORMAT_VERSION, GroupOf, Manifest, RowsOf
from mindspore_rec.checkpoint.merge import REMOVED
from mindspore_rec.checkpoint.parts import Part
from mindspore_rec.kill_points import reached


def write_groups(folder: Path, capture: Capture) -> Part:
    """Write the arrays of a capture into a folder, a file for each group, and have them on disk.

    Raises:
        CheckpointError: a value is not finite.
        OSError: it cannot be written.
    """
    sizes, groups, sums = {}, {}, {}
    for group, arrays in capture.groups.items():
        name = group + SUFFIX
        groups[group], file = _write_group(folder / name, group, arrays, capture)
        sizes[name], sums[name] = file.size, file.checksum
        reached("checkpoint-write")
    return Part(groups=groups, sizes=sizes, sums=sums)


def write_manifest(folder: Path, step: int, number: int, capture: Capture, parts: Sequence[Part]) -> None:
    """Make the files that were written into a folder a checkpoint.

    Args:
        step: updates made.
        number: how many full checkpoints of the run there are by then.
        parts: what was written, by all ranks.

    Raises:
        OSError: it cannot be written.
    """
    groups = {group: about for part in parts for group, about in part.groups.items()}
    sums = {file: found for part in parts for file, found in part.sums.items()}
    manifest = Manifest(
        format_version=FORMAT_VERSION,
        kind="delta" if capture.parent else "full",
        step=step,
        number=number,
        deltas=capture.deltas,
        parent=capture.parent,
        digest=state_digest(groups, capture.meta),
        groups=groups,
        files={file: size for part in parts for file, size in part.sizes.items()},
        meta=capture.meta,
    )
    content = manifest.to_json()
    write_synced(folder / MANIFEST, content)
    sums[MANIFEST] = CRC32C.of([content])
    write_synced(folder / CRC32C.list_name, "".join(f"{sums[file]}  {file}\n" for file in sorted(sums)).encode())
    sync_folder(folder)


def state_digest(groups: Mapping[str, GroupOf], meta: Mapping[str, Any]) -> str:
    """Return the digest of a state: 64 hex digits, whatever the order of its rows and the way it was saved.

    SHA-256 of the JSON, keys sorted, of `meta` and for each group the digests of its arrays and of its rows.
    """
    parts = {
        group: [about.arrays, {prefix: rows.digest for prefix, rows in about.rows.items()}]
        for group, about in groups.items()
    }
    return hashlib.sha256(json.dumps([parts, meta], sort_keys=True).encode()).hexdigest()


def arrays_digest(arrays: Arrays) -> str:
    """Return SHA-256 over names, types, shapes and contents of arrays, in the order of their names; 64 hex digits."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(f"{name} {array.dtype.str} {list(array.shape)}\n".encode())
        digest.update(bytes_of(array))
    return digest.hexdigest()


def _write_group(path: Path, group: str, arrays: Arrays, capture: Capture) -> Tuple[GroupOf, ArrayFile]:
    parts = capture.rows.get(group, {})
    for name, array in arrays.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise _not_finite(group, name)
    content = dict(arrays)
    if capture.parent:
        content.update({prefix + REMOVED: rows.removed for prefix, rows in parts.items()})
    shapes = {name: (array.dtype, array.shape) for name, array in content.items()}
    for prefix, rows in parts.items():
        shapes.update(_shapes(prefix, rows))
    with ArrayFile(path, shapes) as file:
        for name, array in content.items():
            file.append(name, array)
        about = {prefix: _write_rows(file, group, prefix, rows, capture) for prefix, rows in parts.items()}
    return GroupOf(arrays=arrays_digest(arrays), rows=about), file


def _write_rows(file: ArrayFile, group: str, prefix: str, rows: Rows, capture: Capture) -> RowsOf:
    written = 0
    for chunk in rows.chunks():
        for name, array in chunk.items():
            file.append(prefix + name, array)
        written += chunk["ids"].size
    if not rows.finite:
        raise _not_finite(group, f"{prefix}rows")
    removed = rows.removed.size if capture.parent else 0
    return RowsOf(total=rows.total, changed=written, removed=removed, digest=f"{rows.digest:016x}")


def _shapes(prefix: str, rows: Rows) -> Dict[str, Tuple[np.dtype, Tuple[int, ...]]]:
    count = rows.count
    return {
        prefix + name: (dtype, (count, width) if width else (count,)) for name, (dtype, width) in rows.columns.items()
    }


def _not_finite(group: str, name: str) -> CheckpointError:
    return CheckpointError(f"no checkpoint was written: {group}/{name} holds a value that is not finite")
