"""SIGINT and SIGTERM as a request to finish the step."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
from types import FrameType, TracebackType
from typing import Callable, Dict, Optional, Type

logger = logging.getLogger(__name__)


class StopSignals:
    """While entered, the first SIGINT or SIGTERM calls `on_stop` once; a second one ends the process at once.

    The main thread may sit inside the framework, where Python runs no signal handler, so a thread of its own reads
    the wake-up socket of the interpreter and makes the call. Outside the main thread nothing is installed.
    """

    def __init__(self, on_stop: Callable[[], None]) -> None:
        self.requested = threading.Event()
        self._on_stop = on_stop
        self._previous: Dict[int, object] = {}
        self._previous_fd = -1
        self._thread: Optional[threading.Thread] = None

    def __enter__(self) -> StopSignals:
        if threading.current_thread() is not threading.main_thread():
            return self
        self._read, self._write = socket.socketpair()
        self._write.setblocking(False)
        for number in (signal.SIGINT, signal.SIGTERM):
            self._previous[number] = signal.signal(number, self._handle)
        self._previous_fd = signal.set_wakeup_fd(self._write.fileno(), warn_on_full_buffer=False)
        self._thread = threading.Thread(target=self._watch, name="stop-signals", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        if self._thread is None:
            return
        signal.set_wakeup_fd(self._previous_fd)
        for number, handler in self._previous.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        self._write.close()
        self._thread.join()
        self._read.close()

    def _handle(self, number: int, frame: Optional[FrameType]) -> None:
        """Nothing to do here: the watching thread acts. Installed so that the default action does not."""

    def _watch(self) -> None:
        while True:
            numbers = self._read.recv(16)
            if not numbers:
                return
            for number in numbers:
                if number not in self._previous:
                    continue
                if self.requested.is_set():
                    logger.warning("stopped at once; the newest checkpoint is where a restart continues")
                    os._exit(128 + number)
                self.requested.set()
                logger.info("stopping: finishing the step (again to end at once)")
                self._on_stop()
