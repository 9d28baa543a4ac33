"""The consumer's progress: one log line every few seconds."""

from __future__ import annotations

import logging
import time

_log = logging.getLogger(__name__)

REPORT_SECONDS = 5.0


class Progress:
    """One log line every few seconds, while anything moves."""

    def __init__(self) -> None:
        self._time = time.monotonic()
        self._rows = 0
        self._rejects = 0

    def report(self, rows: int, rejects: int, lag: int) -> None:
        """Take note of totals since the start, and log where it is time and something moved."""
        now = time.monotonic()
        seconds = now - self._time
        if seconds < REPORT_SECONDS:
            return
        if rows != self._rows or rejects != self._rejects:
            speed = (rows - self._rows + rejects - self._rejects) / seconds
            _log.info("%d rows sent, %d rejected, %.0f rows/s, lag %d messages", rows, rejects, speed, lag)
        self._time, self._rows, self._rejects = now, rows, rejects
