"""Going on where a run ended."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Optional

import numpy as np

from mindspore_rec.checkpoint.chain import read_state
from mindspore_rec.checkpoint.errors import CheckpointError
from mindspore_rec.checkpoint.format import Checkpoint
from mindspore_rec.checkpoint.manifest import Manifest
from mindspore_rec.checkpoint.store import CheckpointStore
from mindspore_rec.train.trainer_state import TrainerState

logger = logging.getLogger(__name__)


def resume(rule: str, store: CheckpointStore, state: TrainerState) -> Optional[Manifest]:
    """Restore a checkpoint; return what it says of itself, None where training starts new. Collective.

    Args:
        rule: "auto" (the newest whole one of the store, if any), "none", or the folder of a checkpoint.

    Raises:
        CheckpointError: the named checkpoint cannot be used, none of the store can, or it does not fit the model.
    """
    exchange = state.exchange
    checkpoint = _found(rule, store) if exchange.rank == 0 else None
    path = exchange.broadcast(str(checkpoint.path).encode() if checkpoint is not None else b"").decode()
    if not path:
        return None
    if checkpoint is None:
        checkpoint = read_state(Path(path))
    state.restore(checkpoint)
    logger.info("continuing from %s: step %d", checkpoint.path, state.model.progress.step)
    exchange.sum(np.zeros(1, np.float32))  # from here on all ranks have read it
    if exchange.rank == 0:
        _set_aside(store, state.model.progress.step)
    return checkpoint.manifest


def _found(rule: str, store: CheckpointStore) -> Optional[Checkpoint]:
    if rule == "none":
        _set_aside(store, -1)
        return None
    checkpoint = store.newest() if rule == "auto" else read_state(Path(rule))
    if checkpoint is None and store.paths():
        raise CheckpointError(
            f"resume = auto: none of the {len(store.paths())} checkpoints in {store.folder} can be used; "
            f"--resume none starts new and sets them aside"
        )
    if checkpoint is None:
        logger.info("no checkpoint in %s: starting new", store.folder)
    return checkpoint


def _set_aside(store: CheckpointStore, step: int) -> None:
    aside = store.set_aside(step)
    if aside is not None:
        logger.warning("newer checkpoints than the state training starts from were moved to %s", aside)
