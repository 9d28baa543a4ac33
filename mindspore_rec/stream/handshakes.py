"""Why connections of a channel fail before a message is exchanged: keys that are missing, wrong or unknown."""

from __future__ import annotations

import logging
import time
from enum import Enum
from typing import Dict, Iterator

import zmq
from zmq.utils.monitor import recv_monitor_message

_EVENTS = zmq.EVENT_HANDSHAKE_FAILED_AUTH | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
_REMIND_SECONDS = 30.0
_log = logging.getLogger(__name__)


class Failure(Enum):
    """What can be known of a handshake that failed."""

    UNKNOWN_KEY = "unknown key"
    """The consumer does not let this key in; both sides are told."""
    ONE_SIDED = "one-sided"
    """One side has keys and the other has none."""
    OTHER_SERVER_KEY = "other server key"
    """The consumer cannot read what was written for another's key."""
    CLOSED = "closed"
    """The other side closed the connection, and did not say why."""


class Handshakes:
    """Notes the failures at one socket. Used by the thread that uses the socket, and closed before it."""

    def __init__(self, socket: zmq.Socket[bytes]) -> None:
        self._socket = socket
        self._monitor = socket.get_monitor_socket(_EVENTS)
        self._told: Dict[Failure, float] = {}

    def failures(self) -> Iterator[Failure]:
        """Those since the last call."""
        while self._monitor.poll(0):
            event = recv_monitor_message(self._monitor)
            if event["event"] == zmq.EVENT_HANDSHAKE_FAILED_AUTH:
                yield Failure.UNKNOWN_KEY
            elif event["event"] == zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL:
                yield Failure.CLOSED
            elif event["value"] == zmq.PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH:
                yield Failure.ONE_SIDED
            elif event["value"] == zmq.PROTOCOL_ERROR_ZMTP_CRYPTOGRAPHIC:
                yield Failure.OTHER_SERVER_KEY

    def warn(self, failure: Failure, text: str) -> None:
        """Log a failure, each kind once in half a minute: a connection is tried ten times a second."""
        now = time.monotonic()
        if now - self._told.get(failure, -_REMIND_SECONDS) >= _REMIND_SECONDS:
            self._told[failure] = now
            _log.warning("%s", text)

    def close(self) -> None:
        """Note no more."""
        if not self._socket.closed:
            self._socket.disable_monitor()
