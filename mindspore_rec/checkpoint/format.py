"""One checkpoint on disk; docs/checkpoint_format.md is the format on a page.

A folder of safetensors files, `manifest.json`, and `CRC32CSUMS` (in older versions `SHA256SUMS`), which names every
other file: every byte of the folder is covered by a checksum or is one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, Mapping, Optional, Tuple

from mindspore_rec.checkpoint.array_file import Arrays, read_arrays
from mindspore_rec.checkpoint.checksum import CRC32C, SHA256, Checksum
from mindspore_rec.checkpoint.errors import CheckpointError
from mindspore_rec.checkpoint.manifest import NEWEST_WITH_SHA256, Manifest, read_manifest

MANIFEST, SUFFIX = "manifest.json", ".safetensors"
MAX_MANIFEST_BYTES, MAX_SUMS_BYTES = 64 << 20, 1 << 20
TABLE = "table-"  # a group of this name holds the embedding table whose name follows

_KINDS = {"step": "full", "delta": "delta"}
_NAME = re.compile(r"(step|delta)-(\d{12})")
_SUM_LINE = re.compile(rf"([0-9a-f]+)  ([A-Za-z0-9_-][A-Za-z0-9._-]*{re.escape(SUFFIX)}|{re.escape(MANIFEST)})")


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint holds: groups of named arrays, and JSON-able metadata.

    Attributes:
        groups: arrays by group and name.
        meta: metadata.
        path: where it was read.
        manifest: what it says of itself; None before it is written.
    """

    groups: Dict[str, Arrays]
    meta: Dict[str, Any]
    path: Optional[Path] = None
    manifest: Optional[Manifest] = None


def folder_name(step: int, delta: bool = False) -> str:
    """Return the name of the checkpoint of a step.

    >>> folder_name(1234), folder_name(1240, delta=True)
    ('step-000000001234', 'delta-000000001240')
    """
    return f"{'delta' if delta else 'step'}-{step:012d}"


def step_of(path: Path) -> Optional[int]:
    """Return the step a folder's name says, None where it is no name of a checkpoint.

    >>> step_of(Path("checkpoints/step-000000001234")), step_of(Path("step-12"))
    (1234, None)
    """
    found = _NAME.fullmatch(path.name)
    return int(found[2]) if found else None


def order_of(path: Path) -> Tuple[int, bool]:
    """Return what checkpoints are sorted by: their step, and among those of one step a full one is last."""
    found = _NAME.fullmatch(path.name)
    return (int(found[2]), found[1] == "step") if found else (-1, False)


def manifest_of(path: Path) -> Manifest:
    """Return the manifest of a checkpoint, which was found to be as it was written; nothing else is read.

    Raises:
        CheckpointError: it is missing, damaged, or of another format; the message says which.
    """
    return _verified_manifest(path, *_read_sums(path))


def read_checkpoint(path: Path, only: Optional[str] = None) -> Checkpoint:
    """Read and verify the files of one checkpoint, or its metadata and one group of it where `only` names one.

    Raises:
        CheckpointError: it is missing, damaged, or of another format; the message says which.
    """
    checksum, sums = _read_sums(path)
    manifest = _verified_manifest(path, checksum, sums)
    wanted = [file for file in manifest.files if only is None or file == only + SUFFIX]
    for file in wanted:
        _check_sum(path, file, checksum, sums)
    groups = {file[: -len(SUFFIX)]: read_arrays(path / file) for file in wanted}
    return Checkpoint(groups, manifest.meta, path, manifest)


def _verified_manifest(path: Path, checksum: Checksum, sums: Mapping[str, str]) -> Manifest:
    """The manifest, after it and the list of files were found to be as they were written."""
    content = _read(path, MANIFEST, MAX_MANIFEST_BYTES)
    if checksum.of([content]) != sums[MANIFEST]:
        raise _damaged(path, MANIFEST, checksum)
    manifest = read_manifest(content, f"checkpoint {path}")
    if (checksum is SHA256) != (manifest.format_version <= NEWEST_WITH_SHA256):
        raise CheckpointError(f"checkpoint {path} has format {manifest.format_version}, but {checksum.list_name}")
    named = _NAME.fullmatch(path.name)
    if named and (int(named[2]), _KINDS[named[1]]) != (manifest.step, manifest.kind):
        raise CheckpointError(f"checkpoint {path} is a {manifest.kind} one of step {manifest.step}, under another name")
    files, there = manifest.files, {file.name for file in path.iterdir()}
    if {*files, MANIFEST} != sums.keys() or there != {*sums, checksum.list_name}:
        known = {checksum.list_name, MANIFEST, *(there & sums.keys() & files.keys())}
        other = sorted((there | sums.keys() | files.keys()) - known)
        raise CheckpointError(f"checkpoint {path}: not the files it was written with: {', '.join(other[:3])}")
    for file, size in files.items():
        if (path / file).is_symlink() or not (path / file).is_file() or (path / file).stat().st_size != size:
            raise CheckpointError(f"checkpoint {path}: {file} is damaged: it is no file of {size} bytes any more")
    return manifest


def _read_sums(path: Path) -> Tuple[Checksum, Dict[str, str]]:
    """Checksums by file, and their kind. Strict, so that no changed byte goes unnoticed."""
    checksum = SHA256 if (path / SHA256.list_name).exists() else CRC32C
    try:
        lines = _read(path, checksum.list_name, MAX_SUMS_BYTES).decode("ascii").split("\n")
    except UnicodeDecodeError:
        lines = [""]
    found = [_SUM_LINE.fullmatch(line) for line in lines[:-1]]
    sums = {line[2]: line[1] for line in found if line and len(line[1]) == checksum.digits}
    if lines[-1] or len(sums) != len(found) or list(sums) != sorted(sums) or MANIFEST not in sums:
        raise CheckpointError(f"checkpoint {path}: {checksum.list_name} is damaged")
    return checksum, sums


def _read(path: Path, file: str, most: int) -> bytes:
    try:
        with (path / file).open("rb") as opened:
            content = opened.read(most + 1)
    except OSError:
        raise CheckpointError(f"checkpoint {path}: {file} is missing") from None
    if len(content) > most:
        raise CheckpointError(f"checkpoint {path}: {file} is larger than {most} bytes")
    return content


def _check_sum(path: Path, file: str, checksum: Checksum, sums: Mapping[str, str]) -> None:
    try:
        found = checksum.of_file(path / file)
    except OSError:
        raise CheckpointError(f"checkpoint {path}: {file} is missing") from None
    if found != sums.get(file):
        raise _damaged(path, file, checksum)


def _damaged(path: Path, file: str, checksum: Checksum) -> CheckpointError:
    return CheckpointError(f"checkpoint {path}: {file} is damaged: its checksum is not that of {checksum.list_name}")
