"""The state that a path names: of a checkpoint, of a folder of checkpoints, or of one of epochs, passes or days."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Iterator

from mindspore_rec.checkpoint.chain import read_state
from mindspore_rec.checkpoint.errors import CheckpointError
from mindspore_rec.checkpoint.format import MANIFEST, Checkpoint
from mindspore_rec.checkpoint.store import CheckpointStore

logger = logging.getLogger(__name__)

_DEPTH = 2  # passes are in days


def read_saved(path: Path) -> Checkpoint:
    """Read the state of a checkpoint, that of a delta with the chain it ends; of a folder of them the newest whole one.

    Args:
        path: of the checkpoint, of a folder of checkpoints, of an epoch or a ``{day}/{pass}``, or of a folder of these,
            whose names are numbers: the largest is the newest.

    Raises:
        CheckpointError: there is none, or none that is whole.
    """
    if (path / MANIFEST).is_file():
        return read_state(path)
    if not path.is_dir():
        raise CheckpointError(f"{path}: no such folder; expected a checkpoint, or a folder of checkpoints")
    paths = list(_newest_first(path, _DEPTH))
    for found in paths:
        try:
            return read_state(found)
        except CheckpointError as error:
            if len(paths) == 1:
                raise
            logger.error("skipping %s", error)
    what = f"none of its {len(paths)} checkpoints is whole" if paths else "expected a checkpoint, or a folder of them"
    raise CheckpointError(f"{path}: {what}")


def _newest_first(path: Path, depth: int) -> Iterator[Path]:
    named = sorted(found for found in path.iterdir() if found.name[0] != "." and (found / MANIFEST).is_file())
    paths = CheckpointStore(path).paths() or named
    yield from reversed(paths)
    numbered = {int(found.name): found for found in path.iterdir() if found.name.isdecimal() and found not in paths}
    for number in sorted(numbered, reverse=True) if depth else ():
        if numbered[number].is_dir():
            yield from _newest_first(numbered[number], depth - 1)
