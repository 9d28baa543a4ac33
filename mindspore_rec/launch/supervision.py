"""One attempt at a job: its processes started, watched, asked to end, and none of them left behind.

Everything is noticed by one selector in one thread: signals to the launcher, ends of its children, reports of the
ranks. A rank is asked to end by one SIGTERM, sent to the process that started it and not to its group, so that it
gets one signal whatever mpirun does.
"""

from __future__ import annotations

import contextlib
import selectors
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Dict, List, Literal, Optional, Tuple

import psutil

from mindspore_rec.launch.log_lines import GrowingLog
from mindspore_rec.launch.parent_death import die_with_parent
from mindspore_rec.launch.plan import Child, Plan
from mindspore_rec.launch.reports import Report, Reports
from mindspore_rec.launch.signals import StopRequests

STOP_SECONDS = 60.0
"""What ranks have for their last checkpoint once they are asked to end."""
FAILURE_SECONDS = 3.0
"""What they have when one of them died: a checkpoint takes all of them, so nothing is lost."""
LINGER_SECONDS = 60.0
"""What the scheduler has to see off the ranks of other machines."""
KILL_SECONDS = 5.0
"""What the kernel has to end a killed process."""
READER_SECONDS = 2.0
"""What a reader of the launcher's output has for the last of it."""
FOLLOW_SECONDS = 0.2
TAIL_LINES = 15


@dataclass(frozen=True)
class Ending:
    """How an attempt ended.

    Attributes:
        kind: "done": all ranks ended by themselves; "stopped": as they were asked to; "failed".
        what: of a failure, in words.
        asked: a stop was asked for, so the job is not to start again.
        status: exit status of what failed, negative for a signal.
        tail: last lines of what failed.
        log: all it wrote.
    """

    kind: Literal["done", "stopped", "failed"]
    what: str = ""
    asked: bool = False
    status: int = 1
    tail: Tuple[str, ...] = ()
    log: Optional[Path] = None


@dataclass(frozen=True)
class _Failure:
    name: str
    status: int
    log: Path
    at: float


class Attempt:
    """Runs a plan once.

    Args:
        plan: the processes.
        reports: where their ranks report.
        requests: signals to this process.
        show: called with what the first rank of this machine writes; returns how many bytes it took, without waiting.
        stop_seconds: that ranks have once they are asked to end.
    """

    def __init__(
        self,
        plan: Plan,
        reports: Reports,
        requests: StopRequests,
        show: Callable[[bytes], int],
        stop_seconds: float = STOP_SECONDS,
    ) -> None:
        self._plan = plan
        self._reports = reports
        self._requests = requests
        self._show = show
        self._stop_seconds = stop_seconds
        job = plan.job
        local = range(job.first_rank, job.first_rank + job.local_ranks)
        paths = {job.rank_log(rank) for rank in local} | {child.log for child in plan.children}
        self._logs = {path: GrowingLog(path) for path in paths}
        self._shown = self._logs[job.rank_log(job.first_rank)]
        self._running: Dict[Child, subprocess.Popen[bytes]] = {}
        self._ranks: Dict[int, psutil.Process] = {}  # started and not ended
        self._failure: Optional[_Failure] = None
        self._asked = self._at_once = False
        self._deadline: Optional[float] = None  # set once ranks are asked to end

    def run(self) -> Ending:
        """Start everything, and return when all of it has ended."""
        try:
            for child in self._plan.children:
                self._start(child)
            self._watch()
        finally:
            self._end_all()
        deadline = time.monotonic() + READER_SECONDS
        while not self._shown.pass_on(self._show, unfinished=True) and time.monotonic() < deadline:
            time.sleep(0.01)  # a pipe's reader that is behind; there is nothing else left to do
        return self._ending()

    def _start(self, child: Child) -> None:
        with child.log.open("ab") as log, self._requests.forking() as settle:

            def before_exec() -> None:
                settle()
                die_with_parent(signal.SIGTERM)

            self._running[child] = subprocess.Popen(
                list(child.command),
                env=dict(child.environ),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C of the terminal is for this process alone
                preexec_fn=before_exec,
            )

    def _watch(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._requests, selectors.EVENT_READ)
            selector.register(self._reports, selectors.EVENT_READ)
            while self._goes_on():
                selector.select(FOLLOW_SECONDS)
                self._note_ends()
                self._note_requests()
                self._shown.pass_on(self._show)

    def _goes_on(self) -> bool:
        if self._deadline is not None and time.monotonic() >= self._deadline:
            return False
        if any(not child.service for child in self._running):
            return True
        elsewhere = self._plan.job.local_ranks < self._plan.job.size
        if not elsewhere or not self._running or self._failure is not None:
            return False
        if self._deadline is None:
            self._deadline = time.monotonic() + LINGER_SECONDS
        return True

    def _note_requests(self) -> None:
        for _ in self._requests.taken():
            if self._asked:
                self._at_once = True
                self._deadline = time.monotonic()
            elif self._deadline is None:
                self._stop(self._stop_seconds)
            self._asked = True

    def _note_ends(self) -> None:
        """Children first, reports then: a rank reports before the process that waits for it ends."""
        ended = {child: process.poll() for child, process in self._running.items()}
        failed: List[_Failure] = []
        for report in self._reports.read():
            failed += self._note_report(report)
        for child, status in ended.items():
            if status is None:
                continue
            del self._running[child]
            if status != 0 and not failed and self._failure is None and not self._at_once:
                failed.append(_Failure(child.name, status, child.log, time.monotonic()))
        for failure in failed:
            if self._failure is None or failure.at < self._failure.at:
                if self._failure is None:
                    self._stop(FAILURE_SECONDS)
                self._failure = failure

    def _note_report(self, report: Report) -> List[_Failure]:
        job = self._plan.job
        if report.status is None:
            with contextlib.suppress(psutil.NoSuchProcess):
                self._ranks[report.rank] = psutil.Process(report.pid)
                if self._deadline is not None:
                    self._ask(report.rank)
            return []
        self._ranks.pop(report.rank, None)
        if not report.failed:
            return []
        return [_Failure(job.name(report.rank), report.status, job.rank_log(report.rank), report.at)]

    def _stop(self, seconds: float) -> None:
        asked = self._deadline is not None
        deadline = time.monotonic() + seconds
        self._deadline = deadline if self._deadline is None else min(deadline, self._deadline)
        for rank in () if asked else list(self._ranks):
            self._ask(rank)

    def _ask(self, rank: int) -> None:
        with contextlib.suppress(psutil.NoSuchProcess):
            self._ranks[rank].send_signal(signal.SIGTERM)

    def _end_all(self) -> None:
        """Kill what is left, also what lost its parent and came to this process (`adopt_orphans`)."""
        deadline = time.monotonic() + KILL_SECONDS
        left = psutil.Process().children(recursive=True)
        while left and time.monotonic() < deadline:
            for process in left:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
            psutil.wait_procs(left, timeout=1.0)
            left = psutil.Process().children(recursive=True)

    def _ending(self) -> Ending:
        failure = self._failure
        if failure is not None:
            tail = tuple(self._logs[failure.log].tail(TAIL_LINES))
            what = f"{failure.name} {in_words(failure.status)}"
            return Ending("failed", what, self._asked, failure.status, tail, failure.log)
        if self._at_once:
            return Ending("failed", "stopped at once; the newest checkpoint is where the next start goes on", True)
        late = [child for child in self._running if not child.service]
        if late:
            names = ", ".join(self._plan.job.name(rank) for rank in sorted(self._ranks)) or late[0].name
            return Ending("failed", f"{names} had not ended {self._stop_seconds:g} s after the stop", True)
        return Ending("stopped" if self._asked else "done", asked=self._asked)


def in_words(status: int) -> str:
    """An exit status.

    >>> in_words(3), in_words(-9)
    ('ended with status 3', 'was killed by SIGKILL')
    """
    if status >= 0:
        return f"ended with status {status}"
    with contextlib.suppress(ValueError):
        return f"was killed by {signal.Signals(-status).name}"
    return f"was killed by signal {-status}"
