"""Named places where `scripts/chaos.sh` has a process killed, because a crash there is the hardest to survive.

`MSREC_KILL_AT=NAME:N` kills the process with SIGKILL when it reaches the point NAME for the Nth time; without the
variable a point does nothing.
"""

from __future__ import annotations

import os
import signal
import threading

VARIABLE = "MSREC_KILL_AT"
POINTS = (
    "compile",  # the trainer has its first batch and compiles the graph for it
    "table-growth",  # a table gives rows to new ids
    "checkpoint-write",  # half of a checkpoint's files are written
    "checkpoint-rename",  # a checkpoint is whole, under its temporary name
    "compaction",  # a new base is there, and what it replaces is being removed
    "hand-over",  # a trainer has been restored and asks the consumer for the rows after its position
)

_lock = threading.Lock()
_wanted, _, _times = os.environ.get(VARIABLE, "").partition(":")
_left = int(_times or 1) if _wanted else 0


def reached(name: str) -> None:
    """Say that a point was reached.

    >>> reached("compile")  # nobody asked for it
    """
    global _left
    if name != _wanted:
        return
    with _lock:
        _left -= 1
        if _left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
