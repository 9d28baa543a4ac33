"""What a pass-by-pass run leaves behind: checkpoints to go on from, exports for others, and the logs of both."""

from __future__ import annotations

import logging
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Callable, ContextManager, Optional, Protocol, Tuple

from mindspore_rec.checkpoint.donefiles import (
    SavedCheckpoint,
    SavedExport,
    add_base,
    add_checkpoint,
    add_patch,
    bases,
    checkpoints,
)
from mindspore_rec.checkpoint.errors import CheckpointError
from mindspore_rec.checkpoint.format import Checkpoint
from mindspore_rec.checkpoint.pass_layout import (
    base_folder,
    checkpoint_folder,
    delta_folder,
    inference_folder,
)
from mindspore_rec.checkpoint.saved import read_saved
from mindspore_rec.checkpoint.store import CheckpointStore
from mindspore_rec.config import ConfigError
from mindspore_rec.metrics.pass_log import base_line, checkpoint_line, delta_line
from mindspore_rec.stream.pass_schedule import PassKey, PassSchedule
from mindspore_rec.train.saved_state import (
    published_folder,
    remove_unpublished,
    take_over,
    write_state,
)
from mindspore_rec.train.trainer_state import TrainerState

logger = logging.getLogger(__name__)


class PassExporter(Protocol):
    """Writes what others read of a model; every call is collective, into a folder that rank 0 has made."""

    def base(self, folder: Path) -> None:
        """Write all rows worth serving."""

    def delta(self, folder: Path) -> None:
        """Write the rows that changed enough since the last base or delta."""

    def inference(self, folder: Path) -> None:
        """Write the model that answers requests."""

    def text(self, folder: Path) -> None:
        """Write the rows of the tables and the dense parameters as others than this program read them."""


class PassSaver:
    """Checkpoints, exports and donefiles below `model_save_path`; all methods are collective.

    Args:
        folder: model_save_path.
        state: of the model.
        exporter: what writes exports.
        schedule: days and passes.
        clock: seconds since 1970.

    Attributes:
        now: the clock.
        newest: folder of the last checkpoint that was read or written; None before.
        monitor_data: metrics of the last pass, for those who read the donefiles.
    """

    def __init__(
        self,
        folder: Path,
        state: TrainerState,
        exporter: PassExporter,
        schedule: PassSchedule,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.folder, self.now = folder, clock
        self.monitor_data = ""
        self.newest: Optional[Path] = None
        self._state, self._exporter = state, exporter
        self._schedule = schedule
        self._splits = {"split_interval": schedule.split_interval, "split_per_pass": schedule.split_per_pass}
        self._exchange = state.exchange
        self._base_key = 0

    def held(self) -> ContextManager[None]:
        """Keep other runs from saving into this folder, as long as the block lasts or the process lives.

        Raises:
            CheckpointError: another process holds it, or it cannot be written.
        """
        if self._exchange.rank:
            return nullcontext()
        return CheckpointStore(self.folder).held("model_save_path")

    def restore(self, init_model_path: str = "") -> Optional[PassKey]:
        """Go on from the newest whole checkpoint; the pass it was made after, None where training starts new.

        Args:
            init_model_path: what a run without checkpoints begins with: the folder of a checkpoint, or of a pass.

        Raises:
            ConfigError: the folder cannot be made, or the day was begun with passes of another length.
            CheckpointError: none of the checkpoints is whole, or it does not fit the model.
        """
        if self._exchange.rank == 0:
            self._clean()
        found = self._newest() if self._exchange.rank == 0 else None
        told = self._exchange.broadcast(f"{found[0].day}/{found[0].number}".encode() if found else b"").decode()
        self._base_key = self._next_key()
        if not told:
            if init_model_path:
                take_over(self._state, read_saved(Path(init_model_path)))
                logger.info("starting with %s", init_model_path)
            return None
        day, _, number = told.partition("/")
        key = PassKey(day, int(number))
        checkpoint = found[1] if found else read_saved(self.folder / checkpoint_folder(key))
        self._check_passes(key, checkpoint)
        take_over(self._state, checkpoint)
        after = checkpoint.meta.get("pass", {})
        self.monitor_data = str(after.get("monitor_data", ""))
        self._base_key = int(after.get("base_key", self._base_key))
        self.newest = self.folder / checkpoint_folder(key)
        logger.info("going on after pass %d of day %s: step %d", key.number, key.day, self._state.model.progress.step)
        return key

    def checkpoint(self, key: PassKey) -> None:
        """Save all of the state, and the model that answers requests."""
        begin = self.now()
        self._state.about["pass"] = {
            "day": key.day,
            "number": key.number,
            "monitor_data": self.monitor_data,
            "base_key": self._base_key,
            **self._splits,
        }
        with self._published(checkpoint_folder(key)) as folder:
            write_state(self._state, folder)
            self._exporter.text(folder)
        if key.number:
            with self._published(inference_folder(key)) as folder:
                self._exporter.inference(folder)
        if self._exchange.rank == 0:
            path = f"{self.folder / checkpoint_folder(key)}/"
            add_checkpoint(self.folder, SavedCheckpoint(key, self._base_key, path))
        self.newest = self.folder / checkpoint_folder(key)
        logger.info("%s", checkpoint_line(key, self.now() - begin))

    def delta(self, key: PassKey) -> None:
        """Export what changed."""
        begin = self.now()
        with self._published(delta_folder(key)) as folder:
            self._exporter.delta(folder)
        if self._exchange.rank == 0:
            path = str(self.folder / delta_folder(key))
            add_patch(self.folder, SavedExport(int(self.now()), self._base_key, path, self.monitor_data))
        logger.info("%s", delta_line(key, self.now() - begin))

    def base(self, day: str) -> None:
        """Export what a day begins with."""
        begin = self.now()
        with self._published(base_folder(day)) as folder:
            self._exporter.base(folder)
        self._base_key = self._next_key()
        if self._exchange.rank == 0:
            path = str(self.folder / base_folder(day))
            add_base(self.folder, SavedExport(self._base_key, self._base_key, path, self.monitor_data))
        logger.info("%s", base_line(day, self.now() - begin))

    def _next_key(self) -> int:
        """Of a base: when it was made, in seconds since 1970; another one than all before it. Collective."""
        keys = [saved.key for saved in bases(self.folder)] if self._exchange.rank == 0 else []
        return int(self._exchange.broadcast(str(max([int(self.now()), *(key + 1 for key in keys)])).encode()))

    def _newest(self) -> Optional[Tuple[PassKey, Checkpoint]]:
        saved = sorted(checkpoints(self.folder), key=lambda line: line.at, reverse=True)
        for line in saved:
            try:
                return line.at, read_saved(self.folder / checkpoint_folder(line.at))
            except CheckpointError as error:
                logger.error("skipping pass %d of day %s: %s", line.at.number, line.at.day, error)
        if saved:
            raise CheckpointError(f"model_save_path = {str(self.folder)!r}: none of its checkpoints can be used")
        return None

    def _check_passes(self, done: PassKey, checkpoint: Checkpoint) -> None:
        """Whether a day that was begun goes on with passes as long as before."""
        self._schedule.after(done)
        begun = {name: checkpoint.meta.get("pass", {}).get(name, given) for name, given in self._splits.items()}
        if done.number and done.day >= self._schedule.start_day and begun != self._splits:
            mine, wanted = (", ".join(f"{name} = {given}" for name, given in s.items()) for s in (self._splits, begun))
            raise ConfigError(f"{mine}: expected {wanted}, with which {done.day} is trained to pass {done.number}")

    def _published(self, name: str) -> ContextManager[Path]:
        return published_folder(self.folder / name, self._exchange)

    def _clean(self) -> None:
        """Remove what a run that was killed has left half written or half removed."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(
                f"model_save_path = {str(self.folder)!r}: expected a folder that can be written: {error.strerror}"
            ) from None
        for day in self.folder.iterdir():
            remove_unpublished(day)
