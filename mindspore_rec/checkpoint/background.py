"""Writing checkpoints in a thread of its own, one at a time."""

from __future__ import annotations

import logging
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from mindspore_rec.checkpoint.capture import Capture
from mindspore_rec.checkpoint.errors import CheckpointError
from mindspore_rec.checkpoint.format import manifest_of
from mindspore_rec.checkpoint.manifest import Manifest
from mindspore_rec.checkpoint.store import CheckpointStore

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Written:
    """A checkpoint that was written, or why it was not.

    Attributes:
        step: of the capture.
        seconds: it took.
        path: where it is; None where it failed, and on other ranks than 0.
        manifest: what it says of itself; likewise.
        error: why it failed; empty where it did not.
    """

    step: int
    seconds: float
    path: Optional[Path] = None
    manifest: Optional[Manifest] = None
    error: str = ""


class BackgroundWriter:
    """Writes captures to a store; a write that was begun is finished before the process ends.

    Args:
        store: where to.
        rank: of the job; other ranks than 0 write their part, and their outcome has no manifest.
    """

    def __init__(self, store: CheckpointStore, rank: int = 0) -> None:
        self._store, self._rank = store, rank
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._running: Optional[Future[Written]] = None

    @property
    def busy(self) -> bool:
        """Whether a capture was handed over whose outcome was not taken."""
        return self._running is not None

    def begin(self, step: int, capture: Capture) -> None:
        """Begin to write a capture; the one before has been taken."""
        if self.busy:
            raise RuntimeError("a checkpoint is being written")
        self._running = self._thread.submit(self._write, step, capture)

    def take(self, wait: bool = False) -> Optional[Written]:
        """Return the outcome once there is one, each once; `wait` for it where one is being written."""
        if self._running is None or not (wait or self._running.done()):
            return None
        written = self._running.result()
        self._running = None
        return written

    def _write(self, step: int, capture: Capture) -> Written:
        begin = time.monotonic()
        try:
            if self._rank:
                self._store.write_part(step, capture)
                return Written(step, time.monotonic() - begin)
            path = self._store.write(step, capture)
            return Written(step, time.monotonic() - begin, path, manifest_of(path))
        except (OSError, CheckpointError) as error:
            return Written(step, time.monotonic() - begin, error=str(error))
        finally:
            capture.close()
