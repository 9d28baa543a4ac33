"""Callback: full checkpoints and deltas while training goes on, and one at the end."""

from __future__ import annotations

import json
import logging
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Dict, Optional

import numpy as np
from mindspore.train import Callback, RunContext

from mindspore_rec.checkpoint.background import BackgroundWriter, Written
from mindspore_rec.checkpoint.chain import find
from mindspore_rec.checkpoint.errors import CheckpointError
from mindspore_rec.checkpoint.manifest import Manifest, Parent
from mindspore_rec.checkpoint.store import CheckpointStore
from mindspore_rec.train.trainer_state import TrainerState

logger = logging.getLogger(__name__)

_NOTHING, _DELTA, _FULL = 0, 1, 2


@dataclass(frozen=True)
class Every:
    """When a checkpoint is due: after so many steps, or so many seconds; 0: not by these.

    One that is due by steps waits for the one before to be written, so that runs have the same checkpoints; one that is
    due by time comes after it.
    """

    steps: int = 0
    seconds: float = 0.0

    def by_steps(self, steps: int) -> bool:
        """Whether it is due so many steps after the last one.

        >>> Every(steps=3).by_steps(3), Every(seconds=3).by_steps(3)
        (True, False)
        """
        return 0 < self.steps <= steps

    def by_time(self, seconds: float) -> bool:
        """Whether it is due so many seconds after the last one."""
        return 0 < self.seconds <= seconds


class OnlineCheckpoint(Callback):
    """Writes the whole state of a trainer to a `CheckpointStore`, from a thread of its own.

    Collective where there are several ranks: all of them have one, and rank 0 decides when.

    Args:
        store: where to.
        state: the trainer's.
        full: when a full checkpoint is due.
        delta: when one of what changed is due; the first is a full one.
        restored: of the checkpoint that was restored into the state, None where there was none.
        clock: seconds, monotonic.

    Attributes:
        last_path: newest checkpoint written; None before.
        last_seconds: it took to write that one.
        last_stall: seconds that training waited for the last one to begin.
    """

    def __init__(
        self,
        store: CheckpointStore,
        state: TrainerState,
        full: Every = Every(),
        delta: Every = Every(),
        *,
        restored: Optional[Manifest] = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        self.last_path: Optional[Path] = None
        self.last_seconds = self.last_stall = 0.0
        self._store, self._state, self._full, self._delta, self._clock = store, state, full, delta, clock
        self._restored = restored
        self._exchange = state.exchange
        self._writer = BackgroundWriter(store, self._exchange.rank)
        self._parent: Optional[Parent] = None
        self._deltas = restored.deltas if restored else 0
        now, step = clock(), state.model.progress.step
        self._full_step, self._full_time = self._begun_step, self._begun_time = step, now
        self._written_step = -1

    def on_train_begin(self, run_context: RunContext) -> None:
        """Begin to note what changes."""
        if self._exchange.rank == 0:
            self._store.clean()  # no other rank begins to write before all have met in `follow_changes`
        parent = self._state.follow_changes(self._restored)
        if parent is not None and find(self._store.folder, parent) is not None:
            self._parent = parent
        if self._parent is not None and self._restored is not None:
            self._written_step = self._restored.step

    def on_train_step_begin(self, run_context: RunContext) -> None:
        """Refuse rows whose ids were made otherwise than those of the restored checkpoint."""
        if self._restored is None:
            return
        saved, found = self._restored.meta.get("spec"), _spec(run_context)
        if saved and found and saved != found:
            changed = [key for key in sorted({*saved, *found}) if saved.get(key) != found.get(key)]
            raise CheckpointError(
                f"features: the consumer makes ids by another feature spec than the checkpoint of step "
                f"{self._restored.step} was trained with; different: {', '.join(changed)}"
            )
        self._restored = None

    def on_train_step_end(self, run_context: RunContext) -> None:
        """Begin to write a checkpoint where one is due."""
        now, step = self._clock(), self._state.model.progress.step
        full = self._full.by_steps(step - self._full_step)
        by_steps = full or self._delta.by_steps(step - self._begun_step)
        self._note(self._writer.take(wait=by_steps))
        full |= self._full.by_time(now - self._full_time)
        due = by_steps or full or self._delta.by_time(now - self._begun_time)
        self._begin(run_context, (_FULL if full else _DELTA) if due and not self._writer.busy else _NOTHING)

    def on_train_end(self, run_context: RunContext) -> None:
        """Write what was trained since the last one, and wait until it is written."""
        self.wait()
        progress = self._state.model.progress
        new = progress.rows_seen and progress.step != self._written_step
        self._begin(run_context, (_FULL if self._delta == Every() else _DELTA) if new else _NOTHING)
        self.wait()
        self._state.ignore_changes()

    def wait(self) -> None:
        """Wait until what was begun is written."""
        self._note(self._writer.take(wait=True))

    def _begin(self, run_context: RunContext, wanted: int) -> None:
        """Begin a checkpoint, where rank 0 wants one; a delta, where it wants that and every rank can make one."""
        can = self._parent is not None and self._state.changes_known
        told = self._exchange.sum(np.array([wanted if self._exchange.rank == 0 else 0, not can], np.float32))
        if told[0] == _NOTHING:
            return
        self.wait()  # rank 0 was last to write the one before
        begin, step = self._clock(), self._state.model.progress.step
        delta = told[0] == _DELTA and told[1] == 0
        self._deltas = self._deltas + 1 if delta else 0
        capture = self._state.capture(_spec(run_context), self._parent if delta else None, self._deltas)
        self._writer.begin(step, capture)
        self._begun_step, self._begun_time = step, self._clock()
        if not delta:
            self._full_step, self._full_time = self._begun_step, self._begun_time
        self.last_stall = self._begun_time - begin

    def _note(self, written: Optional[Written]) -> None:
        if written is None:
            return
        if self._exchange.rank and not written.error:
            self._parent = Parent(step=written.step, digest="0" * 64)  # rank 0 knows it
            return
        if written.manifest is None:
            self._parent = None  # what that one held is in no checkpoint: the next has to be full
            logger.error("no checkpoint was written to %s: %s; training goes on", self._store.folder, written.error)
            return
        self._parent = Parent(step=written.step, digest=written.manifest.digest)
        self._written_step, self.last_path, self.last_seconds = written.step, written.path, written.seconds
        stall = 1000 * self.last_stall
        logger.info("checkpoint %s (%.2f s, training waited %.0f ms)", written.path, written.seconds, stall)


def _spec(run_context: RunContext) -> Dict[str, Any]:
    text = getattr(run_context.original_args().train_dataset, "spec_json", None)
    spec: Dict[str, Any] = json.loads(text) if text else {}
    return spec
