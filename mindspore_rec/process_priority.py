"""Let other programs of this machine go first."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


def give_way(nice: int) -> None:
    """Lower the priority of this process and of what it starts; call it before threads are started.

    Where Linux groups processes by session (autogroup), niceness only counts among those of one session: then that of
    the session is lowered too.

    Args:
        nice: 0 to 19, as of the program nice; 0: nothing is changed.
    """
    if nice:
        os.setpriority(os.PRIO_PROCESS, 0, nice)
        with contextlib.suppress(OSError):  # no such file: no such groups
            Path("/proc/self/autogroup").write_text(str(nice))
