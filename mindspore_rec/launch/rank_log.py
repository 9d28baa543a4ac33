"""``python -m mindspore_rec.launch.rank_log REPORTS LOG_DIR PROGRAM [ARGS...]``: a rank's program under any launcher.

Its output goes to its log in LOG_DIR; its start and end are reported (`Report`). The first signal that asks to
end is passed on, once, however many come: a second one would make the program give up its checkpoint. The program
dies with this process, and is asked to end when whoever started this one ends.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from types import FrameType
from typing import Dict, Mapping, Optional, Sequence

from mindspore_rec.launch import cores, reports
from mindspore_rec.launch.parent_death import die_with_parent

RANK_VARIABLES = ("OMPI_COMM_WORLD_RANK", "PMI_RANK", "MS_NODE_ID")
LOCAL_RANK_VARIABLES = ("OMPI_COMM_WORLD_LOCAL_RANK", "MPI_LOCALRANKID")
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
CANNOT_START = 127
NAMED_BY_ROLE = "MSREC_LOGS_OF_WORKERS"
"""Number of workers where logs are named by role."""


def rank_of(environ: Mapping[str, str]) -> int:
    """The rank of this process.

    >>> rank_of({"OMPI_COMM_WORLD_RANK": "3"})
    3
    """
    return next(int(environ[name]) for name in RANK_VARIABLES if name in environ)


def log_path(folder: Path, rank: int, workers: int = 0) -> Path:
    """The file that gets all a rank writes.

    Args:
        folder: of the logs.
        rank: its number.
        workers: ranks before the servers, where logs are named by role; 0: they are named by rank.

    >>> [log_path(Path("log"), rank, workers=2).name for rank in (0, 1, 2)]
    ['workerlog.0', 'workerlog.1', 'serverlog.0']
    """
    if not workers:
        return folder / f"rank.{rank}.log"
    return folder / (f"workerlog.{rank}" if rank < workers else f"serverlog.{rank - workers}")


class RankProgram:
    """The program of a rank, and the signal it was sent."""

    def __init__(self) -> None:
        self.asked = False
        self._number = 0
        self._process: Optional[subprocess.Popen[bytes]] = None
        for number in STOP_SIGNALS:
            signal.signal(number, self._ask)

    def run(self, command: Sequence[str], environ: Mapping[str, str]) -> int:
        """Exit status of the program, negative for a signal.

        Raises:
            OSError: it cannot be started.
        """
        if self.asked:  # before there was anything to end
            return 0
        # A session of its own: signals to our group reach it through us only. SIGKILL cannot be passed on, hence
        # die_with_parent; this process has one thread, so preexec_fn is safe.
        process = subprocess.Popen(
            list(command),
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=die_with_parent,
        )
        self._process = process
        if self.asked:
            process.send_signal(self._number)
        return process.wait()

    def _ask(self, number: int, frame: Optional[FrameType]) -> None:
        if self.asked:
            return
        self.asked, self._number = True, number
        if self._process is not None:
            self._process.send_signal(number)


def environment(environ: Mapping[str, str]) -> Dict[str, str]:
    """What the program of a rank gets: DEVICE_ID, which MindSpore takes its device from, unless the user set it."""
    local = next((environ[name] for name in LOCAL_RANK_VARIABLES if name in environ), None)
    return {**({} if local is None else {"DEVICE_ID": local}), **environ}


def main(argv: Sequence[str]) -> int:
    """Run the program; its exit status, 128 + n for signal n, 0 for the one that asked it to end."""
    channel, folder, *command = argv
    rank = rank_of(os.environ)
    program = RankProgram()
    die_with_parent(signal.SIGTERM)
    own = cores.share_of(rank, os.environ.get(cores.VARIABLE, ""))
    if own:
        os.sched_setaffinity(0, own)  # before the program starts: it counts them once
    with log_path(Path(folder), rank, int(os.environ.get(NAMED_BY_ROLE, "0"))).open("ab") as log:
        for descriptor in (1, 2):
            os.dup2(log.fileno(), descriptor)
    reports.send(channel, rank)
    try:
        status = program.run(command, environment(os.environ))
    except OSError as error:
        sys.stderr.write(f"cannot start {command[0]}: {error.strerror}\n")
        sys.stderr.flush()
        status = CANNOT_START
    ended = reports.Report(rank, os.getpid(), status, program.asked)
    reports.send(channel, rank, status, program.asked)
    if not ended.failed:
        return 0
    return status if status > 0 else 128 - status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
