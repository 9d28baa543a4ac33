"""The receiver's connection to one sender: started, pinged when silent, started anew when it was restarted."""

from __future__ import annotations

import logging
import secrets
import time
from pathlib import Path
from typing import Any, Callable, Iterator, List, Mapping, Optional, Sequence

import zmq

from mindspore_rec.stream.addresses import resolve
from mindspore_rec.stream.channel_keys import TrainerKeys, trainer_keys
from mindspore_rec.stream.control import PING_SECONDS, ChannelError, Start, Started
from mindspore_rec.stream.frame import MAX_PART_BYTES, MAX_PARTS, Kind, Part, Wire, decode, encode
from mindspore_rec.stream.handshakes import Failure, Handshakes

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
        handshakes: those that failed.
    """

    def __init__(
        self, context: zmq.Context[zmq.Socket[bytes]], host: str, port: int, keys: Optional[TrainerKeys] = None
    ) -> None:
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
        self._has_keys = keys is not None
        if keys:
            keys.secure(self.socket)
        self.handshakes = Handshakes(self.socket)
        self.socket.connect(f"tcp://{self.name}")

    def attend(self, start: Callable[[], Start]) -> None:
        """Send a START or a ping where that is due.

        Raises:
            ChannelError: the sender does not take this side's key; it is not asked again.
        """
        self._heed_handshakes()
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

    def _heed_handshakes(self) -> None:
        for failure in self.handshakes.failures():
            if failure is Failure.UNKNOWN_KEY:
                raise ChannelError(
                    f"channel_keys: the consumer at {self.name} does not know this trainer's key, "
                    "expected it among its clients/*.key"
                )
            if failure is Failure.ONE_SIDED:
                other = "has no keys" if self._has_keys else "has keys"
                raise ChannelError(
                    f"channel_keys: {'given' if self._has_keys else 'null'}, but the consumer at {self.name} {other}; "
                    "expected keys on both sides, or on neither"
                )
            if failure is Failure.CLOSED and self._has_keys:
                self.handshakes.warn(
                    failure,
                    f"the consumer at {self.name} closed the connection at once, trying again: "
                    "if it goes on, server.key here is not its key",
                )

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


def open_links(
    context: zmq.Context[zmq.Socket[bytes]], address: str, ports: Sequence[int], channel_keys: Optional[str]
) -> List[SenderLink]:
    """A connection to the sender at each port.

    Raises:
        ChannelError: an address that cannot be resolved, or a key that is missing or wrong.
    """
    host = resolve(address)
    keys = None if channel_keys is None else trainer_keys(Path(channel_keys))
    return [SenderLink(context, host, port, keys) for port in ports]
