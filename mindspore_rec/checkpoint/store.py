"""The checkpoints of a training run: a folder of them, each complete or not there at all.

A checkpoint is written under a temporary name, synced and renamed, so a crash leaves the one before it and at most a
`.writing-*` folder, which the next write removes.
"""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import socket
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator, List, Optional

from mindspore_rec.checkpoint.format import (
    Checkpoint,
    CheckpointError,
    folder_name,
    number_of,
    read_checkpoint,
    step_of,
    sync_folder,
    write_checkpoint,
)

logger = logging.getLogger(__name__)

LOCK = ".lock"
_WRITING = ".writing-"
_MAX_HOLDER = 200


class CheckpointStore:
    """The checkpoints of one training run in one folder.

    Args:
        folder: where they are.
        keep: the newest that stay.
        keep_every: besides them one of so many stays for good; 0: none.
    """

    def __init__(self, folder: Path, keep: int = 3, keep_every: int = 0) -> None:
        self.folder = folder
        self._keep, self._keep_every = keep, keep_every

    def paths(self) -> List[Path]:
        """Return the checkpoints, oldest first."""
        found = self.folder.glob("step-*") if self.folder.is_dir() else []
        return sorted(path for path in found if step_of(path) is not None)

    def newest_path(self) -> Optional[Path]:
        """Return the newest checkpoint, None where there is none."""
        paths = self.paths()
        return paths[-1] if paths else None

    def write(self, step: int, checkpoint: Checkpoint) -> Path:
        """Publish a checkpoint atomically and remove those that need not stay.

        Raises:
            CheckpointError: a value is not finite: nothing is published.
            OSError: the folder cannot be written.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        for left_over in self.folder.glob(f"{_WRITING}*"):
            shutil.rmtree(left_over)
        final = self.folder / folder_name(step)
        writing = self.folder / f"{_WRITING}{step:012d}-{os.getpid()}"
        writing.mkdir()
        try:
            write_checkpoint(writing, step, self._next_number(), checkpoint)
            if final.exists():  # out of the way first: removing it takes longer than a rename
                final.rename(self.folder / f"{_WRITING}{final.name}")
            writing.rename(final)
        finally:
            for left_over in self.folder.glob(f"{_WRITING}*"):
                shutil.rmtree(left_over, ignore_errors=True)
        sync_folder(self.folder)
        for old in self.paths()[: -self._keep]:
            if not self._keep_every or number_of(old) % self._keep_every:
                shutil.rmtree(old)
        return final

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep other processes from training into this folder, as long as the block lasts or the process lives.

        Raises:
            CheckpointError: another process holds it, and the message says which; or it cannot be written.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            opened = (self.folder / LOCK).open("a+")
        except OSError as error:
            raise CheckpointError(
                f"checkpoint_path = {str(self.folder)!r}: expected a folder that can be written: {error.strerror}"
            ) from None
        with opened as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                lock.seek(0)
                holder = lock.read(_MAX_HOLDER).strip() or "another process"
                raise CheckpointError(f"checkpoint_path = {str(self.folder)!r} is in use by {holder}") from None
            lock.truncate(0)
            lock.write(f"process {os.getpid()} on {socket.gethostname()} since {time.strftime('%Y-%m-%d %H:%M:%S')}\n")
            lock.flush()
            yield

    def _next_number(self) -> int:
        newest = self.newest_path()
        return number_of(newest) + 1 if newest is not None else 1

    def newest(self) -> Optional[Checkpoint]:
        """Read the newest checkpoint that is whole; a damaged one is skipped with a line that says what is wrong."""
        for path in reversed(self.paths()):
            try:
                return read_checkpoint(path)
            except CheckpointError as error:
                logger.error("skipping %s", error)
        return None
