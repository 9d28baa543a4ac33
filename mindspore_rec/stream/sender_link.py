"""The receiver's connection to one sender: started, pinged when silent, started anew when it was restarted."""

from __future__ import annotations

import logging
import secrets
import time
from typing import Any, Callable, Iterator, List, Mapping, Optional

import zmq

from mindspore_rec.stream.control import PING_SECONDS, Start, Started
from mindspore_rec.stream.frame import MAX_PART_BYTES, MAX_PARTS, Kind, Part, Wire, decode, encode

_log = logging.getLogger(__name__)
_REMIND_SECONDS = 30.0
_MAX_UNSENT = 1000
"""Control messages that queue up for a sender that is not there."""


class SenderLink:
    """A DEALER socket and what is known of the sender at its other end.

    Attributes:
        name: where the sender is.
        epoch: that of the newest START.
        sent_start: whether that START was sent; set it to False to send another.
        started: the sender's answer to the newest START it has answered.
        ended: whether the sender has said that nothing follows.
    """

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], host: str, port: int) -> None:
        self.name = f"{host}:{port}"
        self.epoch = 0
        self.sent_start = False
        self.started: Optional[Started] = None
        self.ended = False
        self._heard = self._pinged = 0.0
        self._reminded = time.monotonic()
        self.socket = context.socket(zmq.DEALER)
        self.socket.set(zmq.IPV6, int(host.startswith("[")))
        self.socket.set(zmq.SNDHWM, _MAX_UNSENT)
        self.socket.set(zmq.RCVHWM, 0)
        self.socket.set(zmq.MAXMSGSIZE, MAX_PART_BYTES)
        self.socket.set(zmq.RECONNECT_IVL, 100)
        self.socket.set(zmq.HEARTBEAT_IVL, 5000)  # notices a host that is gone
        self.socket.set(zmq.HEARTBEAT_TIMEOUT, 15000)
        self.socket.connect(f"tcp://{self.name}")

    def attend(self, start: Callable[[], Start]) -> None:
        """Send a START or a ping where that is due."""
        now = time.monotonic()
        if self.ended:
            return
        if not self.sent_start:
            self.epoch = secrets.randbits(64) or 1
            self.sent_start = self.send(Kind.START, start().model_dump(mode="json"))
            self._pinged = now
        elif now - max(self._heard, self._pinged) > PING_SECONDS:
            self._pinged = now
            self.send(Kind.PING, {})
        if self.started is None and now - self._reminded > _REMIND_SECONDS:
            self._reminded = now
            _log.info("waiting for the consumer at %s", self.name)

    def send(self, kind: Kind, body: Mapping[str, Any]) -> bool:
        """Send a control message; False where too many wait for a sender that is not there."""
        try:
            self.socket.send_multipart(encode(kind, self.epoch, body), zmq.NOBLOCK)
        except zmq.Again:
            return False
        return True

    def receive(self) -> Iterator[Wire]:
        """The messages of this epoch that have come. Raises FrameError for one that is damaged."""
        while True:
            try:
                wire = decode(self._parts())
            except zmq.Again:
                return
            if wire.epoch == self.epoch:
                self._heard = time.monotonic()
                yield wire

    def _parts(self) -> List[Part]:
        """The next message without copying its arrays; of parts beyond the limit only the first is kept."""
        parts: List[Part] = []
        more = True
        while more:
            frame = self.socket.recv(0 if parts else zmq.NOBLOCK, copy=False)
            more = bool(frame.more)
            if len(parts) <= MAX_PARTS:
                parts.append(frame.buffer)
        return parts
