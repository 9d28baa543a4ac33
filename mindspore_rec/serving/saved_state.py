"""The state that a path names: of a checkpoint, a folder of checkpoints, or the folder of a pass."""

from __future__ import annotations

import logging
from pathlib import Path

from mindspore_rec.checkpoint.chain import read_state
from mindspore_rec.checkpoint.errors import CheckpointError
from mindspore_rec.checkpoint.format import MANIFEST, Checkpoint
from mindspore_rec.checkpoint.store import CheckpointStore
from mindspore_rec.config import UserError

logger = logging.getLogger(__name__)


def read_saved(path: Path) -> Checkpoint:
    """Read the state of a checkpoint, that of a delta with the chain it ends; of a folder of them the newest whole one.

    Args:
        path: of the checkpoint, of a folder of checkpoints, or ``{day}/{pass}`` of a pass-by-pass run.

    Raises:
        UserError: there is none, or none that is whole.
        CheckpointError: the checkpoint that was named is damaged.
    """
    if (path / MANIFEST).is_file():
        return read_state(path)
    if not path.is_dir():
        raise UserError(f"{path}: no such folder; expected a checkpoint, or a folder of checkpoints")
    named = sorted(found for found in path.iterdir() if found.name[0] != "." and (found / MANIFEST).is_file())
    paths = CheckpointStore(path).paths() or named
    for found in reversed(paths):
        try:
            return read_state(found)
        except CheckpointError as error:
            logger.error("skipping %s", error)
    what = f"none of its {len(paths)} checkpoints is whole" if paths else "expected a checkpoint, or a folder of them"
    raise UserError(f"{path}: {what}")
