"""Checkpoints on disk: a folder each, complete or not there at all.

Layout of `FOLDER/step-000000001234/`: one safetensors file per group of arrays, and `manifest.json` with the size and
SHA-256 of each and whatever the caller wants to keep beside them. It is written under a temporary name, synced, and
renamed, so a crash leaves the previous checkpoint and at most a `.writing-*` folder, removed by the next write.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from mindspore_rec.config import UserError

logger = logging.getLogger(__name__)

FORMAT_VERSION = 1
MANIFEST = "manifest.json"
MAX_MANIFEST_BYTES = 64 * 2**20
TABLE = "table-"  # a group of this name holds the embedding table whose name follows
_PREFIX, _WRITING = "step-", ".writing-"

Arrays = Dict[str, np.ndarray]


class CheckpointError(UserError):
    """A checkpoint is damaged, incomplete, or not what it was expected to be."""


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint holds: groups of named arrays, and JSON-able metadata."""

    groups: Dict[str, Arrays]
    meta: Dict[str, Any]
    path: Optional[Path] = None


class CheckpointStore:
    """The checkpoints of one training run in one folder; the newest `keep` stay."""

    def __init__(self, folder: Path, keep: int = 3) -> None:
        self.folder = folder
        self._keep = keep

    def paths(self) -> List[Path]:
        """Return the checkpoints, oldest first."""
        return sorted(self.folder.glob(f"{_PREFIX}*")) if self.folder.is_dir() else []

    def newest_path(self) -> Optional[Path]:
        """Return the newest checkpoint, None where there is none."""
        paths = self.paths()
        return paths[-1] if paths else None

    def write(self, step: int, checkpoint: Checkpoint) -> Path:
        """Publish a checkpoint atomically and remove those beyond `keep`.

        Raises:
            CheckpointError: a value is not finite: nothing is published.
            OSError: the folder cannot be written.
        """
        _check_finite(checkpoint.groups)
        self.folder.mkdir(parents=True, exist_ok=True)
        for left_over in self.folder.glob(f"{_WRITING}*"):
            shutil.rmtree(left_over)
        final = self.folder / f"{_PREFIX}{step:012d}"
        writing = self.folder / f"{_WRITING}{step:012d}-{os.getpid()}"
        writing.mkdir()
        files = {}
        for name, arrays in checkpoint.groups.items():
            file = f"{name}.safetensors"
            write_arrays(writing / file, arrays)
            files[file] = {"bytes": (writing / file).stat().st_size, "sha256": _sha256(writing / file)}
        manifest = {"format_version": FORMAT_VERSION, "step": step, "files": files, "meta": checkpoint.meta}
        _write_synced(writing / MANIFEST, json.dumps(manifest, indent=1).encode())
        _sync_folder(writing)
        if final.exists():
            shutil.rmtree(final)
        writing.rename(final)
        _sync_folder(self.folder)
        for old in self.paths()[: -self._keep]:
            shutil.rmtree(old)
        return final

    def newest(self) -> Optional[Checkpoint]:
        """Read the newest checkpoint that is whole; a damaged one is skipped with a line that says what is wrong."""
        for path in reversed(self.paths()):
            try:
                return read_checkpoint(path)
            except CheckpointError as error:
                logger.error("skipping %s", error)
        return None


def read_checkpoint(path: Path, only: Optional[str] = None) -> Checkpoint:
    """Read and verify one checkpoint, or one group of it where `only` names one.

    Raises:
        CheckpointError: it is missing, damaged, or of a newer format; the message says which.
    """
    manifest = _read_manifest(path)
    groups = {}
    for file, expected in manifest["files"].items():
        if Path(file).name != file or not file.endswith(".safetensors"):
            raise CheckpointError(f"checkpoint {path}: the manifest names an unexpected file {file!r}")
        if only is not None and file != f"{only}.safetensors":
            continue
        try:
            size = (path / file).stat().st_size
        except OSError:
            raise CheckpointError(f"checkpoint {path}: {file} is missing") from None
        if size != expected["bytes"] or _sha256(path / file) != expected["sha256"]:
            raise CheckpointError(f"checkpoint {path}: {file} is damaged (size or checksum differs from the manifest)")
        groups[file[: -len(".safetensors")]] = read_arrays(path / file)
    return Checkpoint(groups, manifest["meta"], path)


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
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}") from None


def _read_manifest(path: Path) -> Dict[str, Any]:
    file = path / MANIFEST
    try:
        if file.stat().st_size > MAX_MANIFEST_BYTES:
            raise CheckpointError(f"checkpoint {path}: {MANIFEST} is larger than {MAX_MANIFEST_BYTES} bytes")
        manifest = json.loads(file.read_bytes())
    except OSError:
        raise CheckpointError(f"checkpoint {path}: {MANIFEST} is missing") from None
    except ValueError:
        raise CheckpointError(f"checkpoint {path}: {MANIFEST} is no JSON") from None
    fields = {"format_version": int, "files": dict, "meta": dict}
    if not isinstance(manifest, dict) or not all(isinstance(manifest.get(k), kind) for k, kind in fields.items()):
        raise CheckpointError(f"checkpoint {path}: {MANIFEST} lacks one of {', '.join(fields)}")
    if manifest["format_version"] > FORMAT_VERSION:
        raise CheckpointError(
            f"checkpoint {path} has format {manifest['format_version']}; this version reads up to {FORMAT_VERSION}"
        )
    for name, entry in manifest["files"].items():
        if not isinstance(entry, dict) or not {"bytes", "sha256"} <= entry.keys():
            raise CheckpointError(f"checkpoint {path}: {MANIFEST} has no size and checksum for {name}")
    return manifest


def _check_finite(groups: Mapping[str, Arrays]) -> None:
    for group, arrays in groups.items():
        for name, array in arrays.items():
            if array.dtype.kind == "f" and not np.isfinite(array).all():
                raise CheckpointError(f"no checkpoint was written: {group}/{name} holds a value that is not finite")


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _write_synced(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
