"""A job from its first start to its end, started again when a rank dies."""

from __future__ import annotations

import select
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Callable

from mindspore_rec.launch.parent_death import adopt_orphans
from mindspore_rec.launch.plan import Plan
from mindspore_rec.launch.reports import Reports
from mindspore_rec.launch.signals import StopRequests
from mindspore_rec.launch.supervision import STOP_SECONDS, Attempt, Ending

QUICK_SECONDS = 60.0
PAUSE_SECONDS, LONGEST_PAUSE = 5.0, 60.0


def run_job(
    make_plan: Callable[[Path], Plan],
    requests: StopRequests,
    restarts: int,
    show: Callable[[bytes], int],
    tell: Callable[[str], None],
    stop_seconds: float = STOP_SECONDS,
    pause_seconds: float = PAUSE_SECONDS,
) -> Ending:
    """Run a job. All descendants of this process are its own: they end with it.

    Args:
        make_plan: the processes of an attempt, given the path where their ranks report.
        requests: signals to this process.
        restarts: how often all ranks are started again after a failure; where they go on is their checkpoint's affair.
        show: called with what the first rank writes; returns how many bytes it took.
        tell: called with a line of the launcher's own.
        stop_seconds: that ranks have once they are asked to end.
        pause_seconds: before the start after an attempt that failed within a minute; four times as long, up to a
            minute, after each further one: what made it fail may pass, such as another host that is away.

    Raises:
        ConfigError: the processes cannot be started as configured.
    """
    with tempfile.TemporaryDirectory(prefix="mindspore_rec-launch-") as folder:
        adopt_orphans()
        pause = pause_seconds
        for attempt in range(restarts + 1):
            begin = time.monotonic()
            reports = Reports(Path(folder) / f"reports-{attempt}")
            try:
                ending = Attempt(make_plan(reports.path), reports, requests, show, stop_seconds).run()
            finally:
                reports.close()
            if ending.kind != "failed" or ending.asked or attempt == restarts:
                return ending
            quick = time.monotonic() - begin < QUICK_SECONDS
            when = f" in {pause:g} s" if quick and pause else ""
            tell(f"{ending.what}; starting all ranks again{when}, restart {attempt + 1} of {restarts}")
            if quick and _stopped_within(pause, requests):
                return replace(ending, asked=True)
            pause = min(4 * pause, LONGEST_PAUSE) if quick else pause_seconds
    raise AssertionError("restarts is not negative")


def _stopped_within(seconds: float, requests: StopRequests) -> bool:
    """Wait so long; whether a stop was asked for meanwhile."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        select.select([requests], [], [], left)
        if requests.taken():
            return True
    return False
