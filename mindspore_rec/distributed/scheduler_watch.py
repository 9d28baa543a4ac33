"""Whether the scheduler of dynamic networking is still there, and the end of a rank that would wait for it for ever.

One connection is held for as long as the rank lives: it ends with the scheduler that it was made to, even when another
one listens there by then, and the kernel's keepalives tell a host that is gone from a network that is down for a while.
A rank may be inside one of MindSpore's collectives when its scheduler is lost. Those never return, so that a thread has
to end the process.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
from typing import Callable, Optional, Tuple

from mindspore_rec.distributed.exchange import ExchangeError

CONNECT_SECONDS = 30.0
PROBE_SECONDS = 2
UNREACHABLE_SECONDS = 60
"""Longer than the half minute that the scheduler itself waits for a rank it does not hear of."""
GRACE_SECONDS = 5.0
"""For the training thread to notice by itself, with a traceback that says where it was."""
_log = logging.getLogger(__name__)


class SchedulerWatch:
    """Watches a scheduler that is there.

    Args:
        address: its host and port.
        end: ends this process; called in another thread where it was not closed some seconds after the scheduler.
        grace: those seconds.

    Raises:
        ExchangeError: it is not there.
    """

    def __init__(self, address: Tuple[str, int], end: Callable[[], None], grace: float = GRACE_SECONDS) -> None:
        self._name = "{}:{}".format(*address)
        self._end, self._grace = end, grace
        self._closed = threading.Event()
        self._lost: Optional[str] = None
        try:
            self._connection = socket.create_connection(address, CONNECT_SECONDS)
        except OSError as error:
            raise ExchangeError(self._gone(error)) from error
        self._connection.settimeout(None)
        self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in (
            (socket.TCP_KEEPIDLE, PROBE_SECONDS),
            (socket.TCP_KEEPINTVL, PROBE_SECONDS),
            (socket.TCP_KEEPCNT, UNREACHABLE_SECONDS // PROBE_SECONDS),
        ):
            self._connection.setsockopt(socket.IPPROTO_TCP, option, value)
        self._thread = threading.Thread(target=self._watch, name="scheduler-watch", daemon=True)
        self._thread.start()

    def look(self) -> None:
        """Return at once if it is there.

        Raises:
            ExchangeError: it has ended, or could not be reached for a minute.
        """
        if self._lost is not None:
            raise ExchangeError(self._lost)

    def close(self) -> None:
        """Watch no more."""
        self._closed.set()
        with contextlib.suppress(OSError):  # it is gone
            self._connection.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._connection.close()

    def _watch(self) -> None:
        lost = self._wait()
        if not self._closed.is_set():
            self._lost = lost
        if not self._closed.wait(self._grace):
            _log.error("%s", lost)
            self._end()

    def _wait(self) -> str:
        try:
            while self._connection.recv(4096):
                pass
        except OSError as error:
            return self._gone(error)
        return self._gone("it closed the connection")

    def _gone(self, why: object) -> str:
        return f"MindSpore: the scheduler at {self._name} is gone, as it is when a rank was lost ({why})"
