"""Launches that go on without a terminal: the file that says which process runs one, started and stopped.

The file ``launch.pid`` in the folder of the logs is locked for as long as the launch runs, so a number that the
system gave to another process is never taken for it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import IO, Iterator, Optional, Sequence

from mindspore_rec.config import UserError
from mindspore_rec.launch.log_lines import GrowingLog

PID_FILE = "launch.pid"
OUTPUT = "launch.log"
POLL_SECONDS = 0.05
START_SECONDS = 30.0
PROBE_SECONDS = 0.5
"""`running` locks the file for a moment, which must not be taken for a launch."""
TAIL_LINES = 3


@contextlib.contextmanager
def held(folder: Path) -> Iterator[None]:
    """Be the one launch of a folder.

    Raises:
        UserError: another one runs, or the folder cannot be written.
    """
    path = folder / PID_FILE
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = path.open("a+", encoding="ascii")
    except OSError as error:
        raise UserError(f"log_dir = {folder}: cannot be written: {error.strerror}") from None
    with file:
        deadline = time.monotonic() + PROBE_SECONDS
        while not _locked(file):
            if time.monotonic() < deadline:
                time.sleep(POLL_SECONDS)
                continue
            raise UserError(f"log_dir = {folder}: process {running(folder)} runs a launch there; name another folder")
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        try:
            yield
        finally:
            file.truncate(0)


def running(folder: Path) -> Optional[int]:
    """Process id of the launch of a folder; None when none runs."""
    with contextlib.suppress(FileNotFoundError), (folder / PID_FILE).open("r", encoding="ascii") as file:
        if not _locked(file):
            text = file.read().strip()
            return int(text) if text.isdigit() else None
    return None


def start(command: Sequence[str], folder: Path) -> int:
    """Start a launch in a session of its own; its process id.

    Args:
        command: of a launch in the foreground, with this folder.
        folder: of its logs; its own output goes to ``launch.log``.

    Raises:
        UserError: it ended before it had the folder; the message is its last line.
    """
    folder.mkdir(parents=True, exist_ok=True)
    said = GrowingLog(folder / OUTPUT)
    with (folder / OUTPUT).open("ab") as log:
        process = subprocess.Popen(
            list(command), stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
    deadline = time.monotonic() + START_SECONDS
    while running(folder) != process.pid:
        if process.poll() is not None:
            if process.returncode == 0:  # a short job
                break
            words = said.tail(TAIL_LINES) or [f"the launch ended with status {process.returncode}"]
            raise UserError(words[-1].replace("error: ", "", 1))
        if time.monotonic() > deadline:
            process.kill()
            raise UserError(f"the launch did not start within {START_SECONDS:g} s")
        time.sleep(POLL_SECONDS)
    return process.pid


def stop(folder: Path, seconds: float) -> int:
    """Ask the launch of a folder to end, and wait for it; the process it was.

    Raises:
        UserError: none runs there, or it had not ended after so many seconds.
    """
    pid = running(folder)
    if pid is None:
        raise UserError(f"no launch runs in {folder}")
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + seconds
    while running(folder) == pid:
        if time.monotonic() > deadline:
            raise UserError(
                f"process {pid} had not ended {seconds:g} s after SIGTERM; kill -TERM {pid} ends it at once"
            )
        time.sleep(POLL_SECONDS)
    return pid


def _locked(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
