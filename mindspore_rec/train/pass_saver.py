"""What a pass-by-pass run leaves behind: checkpoints to go on from, exports for others, and the logs of both."""

from __future__ import annotations

import logging
import shutil
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Callable, Iterator, Optional, Protocol, Tuple

import numpy as np

from mindspore_rec.checkpoint.array_file import sync_folder
from mindspore_rec.checkpoint.chain import read_state
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
from mindspore_rec.checkpoint.store import CheckpointStore
from mindspore_rec.kill_points import reached
from mindspore_rec.metrics.pass_log import base_line, checkpoint_line, delta_line
from mindspore_rec.stream.pass_schedule import PassKey
from mindspore_rec.train.trainer_state import TrainerState

logger = logging.getLogger(__name__)

SAME = ("model", "label", "sparse", "dense", "padding_id")
"""What a model is described by that a checkpoint must have been made with."""


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
        clock: seconds since 1970.

    Attributes:
        now: the clock.
        monitor_data: metrics of the last pass, for those who read the donefiles.
    """

    def __init__(
        self, folder: Path, state: TrainerState, exporter: PassExporter, clock: Callable[[], float] = time.time
    ) -> None:
        self.folder, self.now = folder, clock
        self.monitor_data = ""
        self._state, self._exporter = state, exporter
        self._exchange = state.exchange
        self._base_key = 0

    def restore(self, init_model_path: str = "") -> Optional[PassKey]:
        """Go on from the newest whole checkpoint; the pass it was made after, None where training starts new.

        Args:
            init_model_path: what a run without checkpoints begins with: the folder of a checkpoint, or of a pass.

        Raises:
            CheckpointError: none of the checkpoints is whole, or it does not fit the model.
        """
        if self._exchange.rank == 0:
            self._clean()
        found = self._newest() if self._exchange.rank == 0 else None
        told = self._exchange.broadcast(f"{found[0].day}/{found[0].number}".encode() if found else b"").decode()
        self._base_key = self._next_key()
        if not told:
            if init_model_path:
                self._take_over(read_pass(Path(init_model_path)))
                logger.info("starting with %s", init_model_path)
            return None
        day, _, number = told.partition("/")
        key = PassKey(day, int(number))
        self._take_over(found[1] if found else read_pass(self.folder / checkpoint_folder(key)))
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
        }
        with self._published(checkpoint_folder(key)) as folder:
            self._write_state(folder)
            self._exporter.text(folder)
        if key.number:
            with self._published(inference_folder(key)) as folder:
                self._exporter.inference(folder)
        if self._exchange.rank == 0:
            path = f"{self.folder / checkpoint_folder(key)}/"
            add_checkpoint(self.folder, SavedCheckpoint(key, self._base_key, path))
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

    def has_base_of(self, day: str) -> bool:
        """Whether a base that `day` begins with was exported, or one of a later day."""
        return any(Path(saved.input).parent.name >= day for saved in bases(self.folder))

    def _next_key(self) -> int:
        """Of a base: when it was made, in seconds since 1970; another one than all before it. Collective."""
        keys = [saved.key for saved in bases(self.folder)] if self._exchange.rank == 0 else []
        return int(self._exchange.broadcast(str(max([int(self.now()), *(key + 1 for key in keys)])).encode()))

    def _newest(self) -> Optional[Tuple[PassKey, Checkpoint]]:
        saved = sorted(checkpoints(self.folder), key=lambda line: line.at, reverse=True)
        for line in saved:
            try:
                return line.at, read_pass(self.folder / checkpoint_folder(line.at))
            except CheckpointError as error:
                logger.error("skipping pass %d of day %s: %s", line.at.number, line.at.day, error)
        if saved:
            raise CheckpointError(f"model_save_path = {str(self.folder)!r}: none of its checkpoints can be used")
        return None

    def _take_over(self, checkpoint: Checkpoint) -> None:
        saved, mine = checkpoint.meta.get("model") or {}, dict(self._state.about["model"])
        for name in SAME:
            if saved and saved.get(name) != mine[name]:
                raise CheckpointError(
                    f"checkpoint {checkpoint.path} was made with {name} = {_short(saved.get(name))}; "
                    f"expected {_short(mine[name])}, as in the configuration"
                )
        changed = [name for name in mine if name not in SAME and saved.get(name) != mine[name]]
        if saved and changed:
            logger.warning("going on from %s with other %s", checkpoint.path, " and ".join(changed))
        self._state.restore(checkpoint)
        after = checkpoint.meta.get("pass", {})
        self.monitor_data = str(after.get("monitor_data", ""))
        self._base_key = int(after.get("base_key", self._base_key))

    def _write_state(self, folder: Path) -> None:
        """One checkpoint of the usual format in `folder`, written by all ranks together."""
        exchange, step = self._exchange, self._state.model.progress.step
        store = CheckpointStore(folder, keep=1, rank=exchange.rank, ranks=exchange.size)
        if exchange.size == 1:
            store.write(step, self._state.checkpoint({}))
            return
        self._state.follow_changes(None)
        try:
            capture = self._state.capture({}, None)
            store.write(step, capture) if exchange.rank == 0 else store.write_part(step, capture)
        finally:
            self._state.ignore_changes()

    @contextmanager
    def _published(self, name: str) -> Iterator[Path]:
        """A folder to write to, which becomes `name`, in place of one that is there, once all ranks have written."""
        final = self.folder / name
        writing, removing = final.with_name(f".writing-{final.name}"), final.with_name(f".removing-{final.name}")
        if self._exchange.rank == 0:
            writing.mkdir(parents=True)
        self._meet()
        yield writing
        self._meet()
        if self._exchange.rank == 0:
            reached("pass-publish")
            if final.exists():  # of a pass that is trained again after a crash
                final.rename(removing)
            writing.rename(final)
            sync_folder(final.parent)
            shutil.rmtree(removing, ignore_errors=True)

    def _clean(self) -> None:
        """Remove what a run that was killed has left half written or half removed."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for prefix in (".writing-", ".removing-"):
            for left_over in self.folder.glob(f"*/{prefix}*"):
                shutil.rmtree(left_over, ignore_errors=True)

    def _meet(self) -> None:
        self._exchange.sum(np.zeros(1, np.float32))


def read_pass(path: Path) -> Checkpoint:
    """Read the checkpoint that is in the folder of a pass, or the one that `path` is.

    Raises:
        CheckpointError: there is none, or it is damaged.
    """
    paths = CheckpointStore(path).paths()
    if not path.is_dir():
        raise CheckpointError(f"{path}: no such folder, expected one of a checkpoint or of a pass")
    return read_state(paths[-1] if paths else path)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
