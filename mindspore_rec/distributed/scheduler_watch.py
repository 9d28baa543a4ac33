"""Whether the scheduler of dynamic networking is still there, asked by a rank that waits for others.

One connection is held for as long as the rank lives: it ends with the scheduler that it was made to, even when another
one listens there by then, and the kernel's keepalives tell a host that is gone from a network that is down for a while.
"""

from __future__ import annotations

import socket
from typing import Tuple

from mindspore_rec.distributed.exchange import ExchangeError

CONNECT_SECONDS = 30.0
PROBE_SECONDS = 2
UNREACHABLE_SECONDS = 60
"""Longer than the half minute that the scheduler itself waits for a rank it does not hear of."""


class SchedulerWatch:
    """Watches a scheduler that is there.

    Args:
        address: its host and port.

    Raises:
        ExchangeError: it is not there.
    """

    def __init__(self, address: Tuple[str, int]) -> None:
        self._name = "{}:{}".format(*address)
        try:
            self._connection = socket.create_connection(address, CONNECT_SECONDS)
        except OSError as error:
            raise self._gone(error) from error
        self._connection.setblocking(False)
        self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in (
            (socket.TCP_KEEPIDLE, PROBE_SECONDS),
            (socket.TCP_KEEPINTVL, PROBE_SECONDS),
            (socket.TCP_KEEPCNT, UNREACHABLE_SECONDS // PROBE_SECONDS),
        ):
            self._connection.setsockopt(socket.IPPROTO_TCP, option, value)

    def look(self) -> None:
        """Return at once if it is there.

        Raises:
            ExchangeError: it has ended, or could not be reached for a minute.
        """
        try:
            if self._connection.recv(4096) == b"":
                raise self._gone("it closed the connection")
        except BlockingIOError:
            return
        except OSError as error:
            raise self._gone(error) from error

    def close(self) -> None:
        """Watch no more."""
        self._connection.close()

    def _gone(self, why: object) -> ExchangeError:
        return ExchangeError(f"MindSpore: the scheduler at {self._name} is gone, as it is when a rank was lost ({why})")
