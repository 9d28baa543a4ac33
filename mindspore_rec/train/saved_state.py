"""The state of a job's model in a folder of its own: written by all ranks together, taken over again."""

from __future__ import annotations

import logging
import shutil
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Iterator

import numpy as np

from mindspore_rec.checkpoint.array_file import sync_folder
from mindspore_rec.checkpoint.errors import CheckpointError
from mindspore_rec.checkpoint.format import Checkpoint
from mindspore_rec.checkpoint.store import CheckpointStore
from mindspore_rec.distributed.exchange import Exchange
from mindspore_rec.kill_points import reached
from mindspore_rec.train.trainer_state import TrainerState

logger = logging.getLogger(__name__)

SAME = ("model", "label", "sparse", "dense", "padding_id")
"""What a model is described by that a checkpoint must have been made with."""
_WRITING, _REMOVING = ".writing-", ".removing-"


@contextmanager
def published_folder(final: Path, exchange: Exchange) -> Iterator[Path]:
    """A folder to write to, which becomes `final`, in place of one that is there, once all ranks have written.

    Collective.

    Raises:
        CheckpointError: it cannot be written.
    """
    writing, removing = final.with_name(f"{_WRITING}{final.name}"), final.with_name(f"{_REMOVING}{final.name}")
    first = exchange.rank == 0
    try:
        if first:
            shutil.rmtree(writing, ignore_errors=True)
            writing.mkdir(parents=True)
        _meet(exchange)
        yield writing
        _meet(exchange)
        if first:
            reached("pass-publish")
            shutil.rmtree(removing, ignore_errors=True)
            if final.exists():  # of what is trained again
                final.rename(removing)
            writing.rename(final)
            sync_folder(final.parent)
            shutil.rmtree(removing, ignore_errors=True)
    except OSError as error:
        raise CheckpointError(f"{error.filename or final}: cannot be written: {error.strerror or error}") from None


def remove_unpublished(folder: Path) -> None:
    """Remove what a run that was killed has left half written or half removed in a folder."""
    for prefix in (_WRITING, _REMOVING):
        for left_over in folder.glob(f"{prefix}*"):
            shutil.rmtree(left_over, ignore_errors=True)


def write_state(state: TrainerState, folder: Path) -> None:
    """Write a checkpoint of the usual format into a folder. Collective."""
    exchange, step = state.exchange, state.model.progress.step
    store = CheckpointStore(folder, keep=1, rank=exchange.rank, ranks=exchange.size)
    if exchange.size == 1:
        store.write(step, state.checkpoint({}))
        return
    state.follow_changes(None)
    try:
        capture = state.capture({}, None)
        store.write(step, capture) if exchange.rank == 0 else store.write_part(step, capture)
    finally:
        state.ignore_changes()


def take_over(state: TrainerState, checkpoint: Checkpoint) -> None:
    """Put a checkpoint into the state of a job's model, which must be of the same model and slots.

    Raises:
        CheckpointError: it does not fit.
    """
    saved, mine = checkpoint.meta.get("model") or {}, dict(state.about["model"])
    for name in SAME:
        if saved and saved.get(name) != mine[name]:
            raise CheckpointError(
                f"checkpoint {checkpoint.path} was made with {name} = {_short(saved.get(name))}; "
                f"expected {_short(mine[name])}, as in the configuration"
            )
    changed = [name for name in mine if name not in SAME and saved.get(name) != mine[name]]
    if saved and changed:
        logger.warning("going on from %s with other %s", checkpoint.path, " and ".join(changed))
    state.restore(checkpoint)


def _meet(exchange: Exchange) -> None:
    exchange.sum(np.zeros(1, np.float32))


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
