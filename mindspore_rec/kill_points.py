"""Named places where `scripts/chaos.sh` and the streaming demo have a process killed: a crash there is the hardest to
survive.

`MSREC_KILL_AT=NAME:N` kills the process with SIGKILL when it reaches the point NAME for the Nth time. With
`MSREC_KILL_FILE=PATH` it looks for a file that says so, and counts from when the file is there: a program that has run
for a while can be killed at its next checkpoint. Without these variables a point does nothing.
"""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from typing import Tuple

VARIABLE = "MSREC_KILL_AT"
FILE_VARIABLE = "MSREC_KILL_FILE"
POINTS = (
    "compile",  # the trainer has its first batch and compiles a graph for it
    "table-growth",  # a part of a table's index is being moved to more room
    "checkpoint-write",  # some of a checkpoint's files are written, one more each time
    "checkpoint-rename",  # a checkpoint is whole, under its temporary name
    "compaction",  # a new base is there, and what it replaces is being removed
    "hand-over",  # a trainer has been restored and asks the consumer for the rows after its position
    "seek",  # a consumer knows where to continue and has sent no frame yet
    "send",  # the producer has sent some of its messages and goes on with the next
)
PASS_POINTS = (
    "pass-rows",  # a batch of a pass is predicted or trained
    "pass-publish",  # what follows a pass is whole, under its temporary name
)
PUBLISH_POINTS = ("publication-rename",)  # a publication is whole, under its temporary name
MOMENT = 0.02  # seconds


def _parsed(order: str) -> Tuple[str, int]:
    name, _, times = order.strip().partition(":")
    return name, int(times or 1) if name else 0


_lock = threading.Lock()
_file = os.environ.get(FILE_VARIABLE, "")
_wanted, _left = _parsed(os.environ.get(VARIABLE, ""))


def reached(name: str) -> None:
    """Say that a point was reached.

    >>> reached("compile")  # nobody asked for it
    """
    if _is_due(name):
        os.kill(os.getpid(), signal.SIGKILL)


def begins(name: str) -> None:
    """Say that something begins which lasts a while: the process is killed in the middle of it."""
    if _is_due(name):
        threading.Timer(MOMENT, os.kill, (os.getpid(), signal.SIGKILL)).start()


def _is_due(name: str) -> bool:
    global _wanted, _left
    if not _wanted and not _file:
        return False
    with _lock:
        if not _wanted and Path(_file).is_file():
            _wanted, _left = _parsed(Path(_file).read_text("ascii"))
        if name != _wanted:
            return False
        _left -= 1
        return _left == 0
