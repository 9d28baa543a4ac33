"""What ranks tell the launcher: that they started, and how they ended. One JSON line a report, through a FIFO.

mpirun closes every descriptor but the standard ones, and does not say which rank ended how: so a path it is. A line
is shorter than PIPE_BUF, so lines of several ranks never mix.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import List, Optional


@dataclass(frozen=True)
class Report:
    """A rank started or ended.

    Attributes:
        rank: its number.
        pid: of the process that starts the rank's program, waits for it and passes signals on.
        status: exit status of the program, negative for a signal; None at the start.
        asked: the program was asked to end, by SIGTERM or SIGINT, before it did.
        at: seconds of the monotonic clock, which the processes of a machine share.
    """

    rank: int
    pid: int
    status: Optional[int] = None
    asked: bool = False
    at: float = 0.0

    @property
    def failed(self) -> bool:
        """Whether the program ended otherwise than with status 0 or by the signal that asked it to."""
        return self.status is not None and self.status != 0 and not (self.asked and self.status in (-2, -15))


def send(path: str, rank: int, status: Optional[int] = None, asked: bool = False) -> None:
    """Report to the launcher; when it is gone, to nobody."""
    line = json.dumps(asdict(Report(rank, os.getpid(), status, asked, time.monotonic()))).encode() + b"\n"
    with contextlib.suppress(OSError):
        channel = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
        try:
            os.write(channel, line)
        finally:
            os.close(channel)


class Reports:
    """The launcher's end of the FIFO."""

    def __init__(self, path: Path) -> None:
        os.mkfifo(path, 0o600)
        self.path = path
        self._channel = os.open(path, os.O_RDWR | os.O_NONBLOCK)  # a writer too: so the FIFO has no end
        self._rest = b""

    def fileno(self) -> int:
        """For a selector."""
        return self._channel

    def read(self) -> List[Report]:
        """The reports that came since."""
        with contextlib.suppress(BlockingIOError):
            while True:
                self._rest += os.read(self._channel, 1 << 16)
        *lines, self._rest = self._rest.split(b"\n")
        return [Report(**json.loads(line)) for line in lines]

    def close(self) -> None:
        """Remove the FIFO."""
        os.close(self._channel)
        self.path.unlink()
