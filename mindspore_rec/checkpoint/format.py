"""One checkpoint on disk; docs/checkpoint_format.md is the format on a page.

A folder of safetensors files, `manifest.json`, and `SHA256SUMS`, which names every other file: every byte of the folder
is covered by a checksum or is one.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, Mapping, Optional

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from mindspore_rec.config import UserError

FORMAT_VERSION = 2
MANIFEST, SUMS, SUFFIX = "manifest.json", "SHA256SUMS", ".safetensors"
MAX_MANIFEST_BYTES, MAX_SUMS_BYTES = 64 << 20, 1 << 20
TABLE = "table-"  # a group of this name holds the embedding table whose name follows

_NAME = re.compile(r"step-(\d{12})")
_SUM_LINE = re.compile(rf"([0-9a-f]{{64}})  ([A-Za-z0-9_-][A-Za-z0-9._-]*{re.escape(SUFFIX)}|{re.escape(MANIFEST)})")
_BLOCK = 1 << 20

Arrays = Dict[str, np.ndarray]


class CheckpointError(UserError):
    """A checkpoint is damaged, incomplete, or not what it was expected to be."""


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint holds: groups of named arrays, and JSON-able metadata."""

    groups: Dict[str, Arrays]
    meta: Dict[str, Any]
    path: Optional[Path] = None


def folder_name(step: int) -> str:
    """Return the name of the checkpoint of a step.

    >>> folder_name(1234)
    'step-000000001234'
    """
    return f"step-{step:012d}"


def step_of(path: Path) -> Optional[int]:
    """Return the step a folder's name says, None where it is no name of a checkpoint.

    >>> step_of(Path("checkpoints/step-000000001234")), step_of(Path("step-12"))
    (1234, None)
    """
    found = _NAME.fullmatch(path.name)
    return int(found[1]) if found else None


def number_of(path: Path) -> int:
    """Return how many checkpoints had been written with this one, 0 where that cannot be read."""
    try:
        manifest = json.loads(_read(path, MANIFEST, MAX_MANIFEST_BYTES))
        return int(manifest["number"])
    except (CheckpointError, ValueError, KeyError, TypeError):
        return 0


def write_checkpoint(folder: Path, step: int, number: int, checkpoint: Checkpoint) -> None:
    """Write the files of a checkpoint into an empty folder, and have them on disk.

    Args:
        step: updates made.
        number: how many checkpoints of the run there are with this one.

    Raises:
        CheckpointError: a value is not finite.
        OSError: it cannot be written.
    """
    _check_finite(checkpoint.groups)
    sizes, sums = {}, {}
    for group, arrays in checkpoint.groups.items():
        file = group + SUFFIX
        write_arrays(folder / file, arrays)
        sizes[file], sums[file] = (folder / file).stat().st_size, _sha256(folder / file)
    about = {"format_version": FORMAT_VERSION, "step": step, "number": number}
    manifest = {**about, "files": sizes, "meta": checkpoint.meta}
    _write_synced(folder / MANIFEST, json.dumps(manifest, indent=1).encode())
    sums[MANIFEST] = _sha256(folder / MANIFEST)
    _write_synced(folder / SUMS, "".join(f"{sums[file]}  {file}\n" for file in sorted(sums)).encode())
    sync_folder(folder)


def read_checkpoint(path: Path, only: Optional[str] = None) -> Checkpoint:
    """Read and verify one checkpoint, or its metadata and one group of it where `only` names one.

    Raises:
        CheckpointError: it is missing, damaged, or of another format; the message says which.
    """
    sums = _read_sums(path)
    manifest = _verified_manifest(path, sums)
    wanted = [file for file in manifest["files"] if only is None or file == only + SUFFIX]
    for file in wanted:
        _check_sum(path, file, sums)
    groups = {file[: -len(SUFFIX)]: read_arrays(path / file) for file in wanted}
    return Checkpoint(groups, manifest["meta"], path)


def verify_checkpoint(path: Path) -> int:
    """Check every file of a checkpoint; return the bytes of them.

    Raises:
        CheckpointError: see `read_checkpoint`.
    """
    read_checkpoint(path)
    return sum(file.stat().st_size for file in path.iterdir())


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write named arrays to one safetensors file and sync it."""
    save_file({name: np.asarray(array, order="C") for name, array in arrays.items()}, str(path))
    with path.open("rb") as file:
        os.fsync(file.fileno())


def read_arrays(path: Path) -> Arrays:
    """Read a safetensors file.

    Raises:
        CheckpointError: it is no valid safetensors file.
    """
    try:
        return dict(load_file(str(path)))
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}") from None


def sync_folder(path: Path) -> None:
    """Have the names in a folder on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _verified_manifest(path: Path, sums: Mapping[str, str]) -> Dict[str, Any]:
    """The manifest, after it and the list of files were found to be as they were written."""
    content = _read(path, MANIFEST, MAX_MANIFEST_BYTES)
    if hashlib.sha256(content).hexdigest() != sums[MANIFEST]:
        raise CheckpointError(f"checkpoint {path}: {MANIFEST} is damaged: its checksum is not that of {SUMS}")
    try:
        manifest = json.loads(content)
    except ValueError:
        raise CheckpointError(f"checkpoint {path}: {MANIFEST} is no JSON") from None
    version = manifest.get("format_version") if isinstance(manifest, dict) else None
    if type(version) is not int:
        raise CheckpointError(f"checkpoint {path}: {MANIFEST} has no format_version")
    if version != FORMAT_VERSION:
        raise CheckpointError(f"checkpoint {path} has format {version}; this version reads {FORMAT_VERSION}")
    fields = {"step": int, "files": dict, "meta": dict}
    if not all(type(manifest.get(key)) is kind for key, kind in fields.items()):
        raise CheckpointError(f"checkpoint {path}: {MANIFEST} lacks one of {', '.join(fields)}")
    named = step_of(path)
    if named is not None and named != manifest["step"]:
        raise CheckpointError(f"checkpoint {path} is that of step {manifest['step']}, under another name")
    files, there = manifest["files"], {file.name for file in path.iterdir()}
    if {*files, MANIFEST} != sums.keys() or there != {*sums, SUMS}:
        other = sorted((there | sums.keys() | files.keys()) - {SUMS, MANIFEST} - (there & sums.keys() & files.keys()))
        raise CheckpointError(f"checkpoint {path}: not the files it was written with: {', '.join(other[:3])}")
    for file, size in files.items():
        if (path / file).is_symlink() or not (path / file).is_file() or (path / file).stat().st_size != size:
            raise CheckpointError(f"checkpoint {path}: {file} is damaged: it is no file of {size} bytes any more")
    return manifest


def _read_sums(path: Path) -> Dict[str, str]:
    """Checksums by file. Strict, so that no changed byte goes unnoticed."""
    try:
        lines = _read(path, SUMS, MAX_SUMS_BYTES).decode("ascii").split("\n")
    except UnicodeDecodeError:
        lines = [""]
    found = [_SUM_LINE.fullmatch(line) for line in lines[:-1]]
    sums = {line[2]: line[1] for line in found if line}
    if lines[-1] or len(sums) != len(found) or list(sums) != sorted(sums) or MANIFEST not in sums:
        raise CheckpointError(f"checkpoint {path}: {SUMS} is damaged")
    return sums


def _read(path: Path, file: str, most: int) -> bytes:
    try:
        with (path / file).open("rb") as opened:
            content = opened.read(most + 1)
    except OSError:
        raise CheckpointError(f"checkpoint {path}: {file} is missing") from None
    if len(content) > most:
        raise CheckpointError(f"checkpoint {path}: {file} is larger than {most} bytes")
    return content


def _check_sum(path: Path, file: str, sums: Mapping[str, str]) -> None:
    try:
        found = _sha256(path / file)
    except OSError:
        raise CheckpointError(f"checkpoint {path}: {file} is missing") from None
    if found != sums.get(file):
        raise CheckpointError(f"checkpoint {path}: {file} is damaged: its checksum is not that of {SUMS}")


def _check_finite(groups: Mapping[str, Arrays]) -> None:
    for group, arrays in groups.items():
        for name, array in arrays.items():
            if array.dtype.kind == "f" and not np.isfinite(array).all():
                raise CheckpointError(f"no checkpoint was written: {group}/{name} holds a value that is not finite")


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _write_synced(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
