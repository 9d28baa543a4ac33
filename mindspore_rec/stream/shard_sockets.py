"""The sending end of a channel: one ROUTER socket a shard, what its receiver asked for and the credits it gave.

Nothing is sent that the receiver has not granted, so the sockets' own queues need no limit and a slow receiver stops
the sender without a byte piling up. All calls of one object must come from one thread.
"""

from __future__ import annotations

import errno
import logging
from collections import deque
from dataclasses import dataclass, field
from typing import Deque, Dict, List, Mapping, Optional, Sequence, Tuple, Union

import zmq

from mindspore_rec.stream.channel_keys import ConsumerKeys
from mindspore_rec.stream.control import ChannelError, Start, Started, read_start
from mindspore_rec.stream.frame import MAX_HEADER_BYTES, FrameError, Kind, Wire, decode, encode
from mindspore_rec.stream.handshakes import Failure, Handshakes

_log = logging.getLogger(__name__)
_BURST = 1000
"""Messages handled for one socket before the caller gets its turn again."""
_FAILURES = {
    Failure.UNKNOWN_KEY: "channel_keys: a trainer with a key that is not among clients/*.key here was turned away",
    Failure.ONE_SIDED: "channel_keys: a trainer with keys where there are none here, or the reverse, was turned away",
    Failure.OTHER_SERVER_KEY: "channel_keys: a trainer with another server.key than this consumer's was turned away",
}


@dataclass(frozen=True)
class StartRequest:
    """A receiver asks for its shard; answer with ``started`` or ``refuse``."""

    shard_id: int
    start: Start


@dataclass(frozen=True)
class StopRequest:
    """The receiver of a shard wants no more."""

    shard_id: int


Request = Union[StartRequest, StopRequest]


@dataclass
class _Shard:
    """The receiver of one shard: who it is, its epoch, and the credits of each lane once it was answered."""

    socket: zmq.Socket[bytes]
    handshakes: Handshakes
    peer: bytes = b""
    epoch: int = 0
    start: Optional[Start] = None
    credits: Dict[int, int] = field(default_factory=dict)
    returned: Dict[int, int] = field(default_factory=dict)
    past: Deque[Tuple[int, int]] = field(default_factory=lambda: deque(maxlen=64))


class ShardSockets:
    """Binds the ports of one consumer and keeps the receivers' requests.

    Args:
        host: IP to bind, as ZeroMQ writes it.
        port: port of shard 0; shard s has ``port + s``.
        namespace, dataset_name, num_shards: what a receiver's START must agree with.
        keys: of this side; None: nothing is encrypted and everybody is let in.

    Raises:
        ChannelError: where a port cannot be bound.
    """

    def __init__(
        self,
        host: str,
        port: int,
        namespace: str,
        dataset_name: str,
        num_shards: int,
        keys: Optional[ConsumerKeys] = None,
    ) -> None:
        self._expected = (namespace, dataset_name, num_shards)
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._poller = zmq.Poller()
        self._requests: Deque[Request] = deque()
        self._shards: List[_Shard] = []
        self._authenticator = keys.authenticator(self._context) if keys else None
        try:
            for shard_id in range(num_shards):
                self._shards.append(self._bind(host, port + shard_id, keys))
        except ChannelError:
            self.close(0.0)
            raise

    def _bind(self, host: str, port: int, keys: Optional[ConsumerKeys]) -> _Shard:
        socket = self._context.socket(zmq.ROUTER)
        if keys:
            keys.secure(socket)
        socket.set(zmq.IPV6, int(host.startswith("[")))
        socket.set(zmq.SNDHWM, 0)
        socket.set(zmq.RCVHWM, 0)
        socket.set(zmq.ROUTER_MANDATORY, 1)
        socket.set(zmq.MAXMSGSIZE, MAX_HEADER_BYTES)
        try:
            socket.bind(f"tcp://{host}:{port}")
        except zmq.ZMQError as error:
            socket.close(0)
            hint = "is another consumer running there? Choose another --port"
            if error.errno == errno.EADDRNOTAVAIL:
                hint = "expected an address of this machine; --bind 0.0.0.0 is all of them"
            raise ChannelError(f"cannot listen on {host}:{port}: {error.strerror}; {hint}") from None
        self._poller.register(socket, zmq.POLLIN)
        return _Shard(socket, Handshakes(socket))

    def watch(self, socket: zmq.Socket[bytes]) -> None:
        """Let a message at ``socket`` end a ``poll`` early. The caller empties it."""
        self._poller.register(socket, zmq.POLLIN)

    def socket(self, kind: int) -> zmq.Socket[bytes]:
        """A further socket of the same context, closed with it."""
        return self._context.socket(kind)

    def poll(self, timeout: float) -> List[Request]:
        """Requests that came, waiting up to ``timeout`` seconds for a message.

        Raises:
            ChannelError: where a receiver is set up for another channel; it has been told.
        """
        if not self._requests:
            self._poller.poll(int(max(timeout, 0.0) * 1000))
        self._serve()
        requests = list(self._requests)
        self._requests.clear()
        return requests

    def started(self, shard_id: int, answer: Started) -> None:
        """Answer a START; from now on each lane may get the frames that were granted."""
        shard = self._shards[shard_id]
        start = shard.start
        if start is None:
            return
        for lane in answer.lanes:
            still_held = max(0, start.held.get(lane, 0) - shard.returned.get(lane, 0))
            shard.credits[lane] = max(0, start.credits - still_held)
        self._post(shard, Kind.STARTED, answer.model_dump(mode="json"))

    def refuse(self, shard_id: int, text: str) -> None:
        """Tell the receiver of a shard why it cannot be served."""
        self._post(self._shards[shard_id], Kind.ERROR, {"text": text})

    def end(self, shard_id: int, lane: Optional[int] = None) -> None:
        """Tell the receiver that nothing follows for a lane, or at all."""
        self._post(self._shards[shard_id], Kind.END, {} if lane is None else {"lane": lane})

    def credits(self, shard_id: int, lane: int) -> int:
        """Frames that may be sent to a lane now; 0 where its receiver is not there."""
        return self._shards[shard_id].credits.get(lane, 0)

    def epoch(self, shard_id: int) -> int:
        """Epoch of the shard's newest START, 0 for none: a frame is meant for one epoch only."""
        return self._shards[shard_id].epoch

    def send(self, shard_id: int, lane: int, parts: Sequence[Union[bytes, memoryview]]) -> None:
        """Send an encoded frame; takes one credit. Arrays in it must not be written to afterwards."""
        shard = self._shards[shard_id]
        shard.credits[lane] -= 1
        self._send(shard, shard.peer, parts)

    def close(self, linger: float) -> None:
        """Close the sockets; what was sent has ``linger`` seconds to leave."""
        for shard in self._shards:
            shard.handshakes.close()
            shard.socket.close(int(linger * 1000))
        if self._authenticator:
            self._authenticator.stop()
        self._context.destroy(linger=int(linger * 1000))

    def _serve(self) -> None:
        for shard_id, shard in enumerate(self._shards):
            for failure in shard.handshakes.failures():
                if failure in _FAILURES:
                    shard.handshakes.warn(failure, _FAILURES[failure])
            for _ in range(_BURST):
                try:
                    peer, *parts = shard.socket.recv_multipart(zmq.NOBLOCK)
                except zmq.Again:
                    break
                try:
                    self._handle(shard_id, shard, peer, decode(parts))
                except FrameError as error:
                    _log.warning("shard %d: ignored a message that is not ours: %s", shard_id, error)

    def _handle(self, shard_id: int, shard: _Shard, peer: bytes, wire: Wire) -> None:
        if wire.kind == Kind.START:
            self._start(shard_id, shard, peer, wire.epoch, read_start(wire.body))
        elif shard.start is None or (peer, wire.epoch) != (shard.peer, shard.epoch):
            self._unknown(shard, peer, wire)
        elif wire.kind == Kind.CREDIT:
            self._credit(shard, wire.body)
        elif wire.kind == Kind.STOP:
            shard.start = None
            shard.credits = {}
            self._requests.append(StopRequest(shard_id))

    def _start(self, shard_id: int, shard: _Shard, peer: bytes, epoch: int, start: Start) -> None:
        if shard.start is not None:
            shard.past.append((shard.epoch, shard.start.receiver))
        shard.peer, shard.epoch, shard.start, shard.credits, shard.returned = peer, epoch, start, {}, {}
        expected = dict(zip(("namespace", "dataset_name", "num_shards"), self._expected))
        stated = {"namespace": start.namespace, "dataset_name": start.dataset_name, "num_shards": start.num_shards}
        for key, value in stated.items():
            if value != expected[key] and not (key == "num_shards" and value == 0):
                text = f"{key}: the receiver has {value!r}, the sender {expected[key]!r}; give both the same"
                self.refuse(shard_id, text)
                raise ChannelError(text)
        if start.shard != shard_id:
            text = f"shard_id: the receiver has {start.shard}, but port and num_shards lead to shard {shard_id}"
            self.refuse(shard_id, text)
            raise ChannelError(text)
        self._requests.append(StartRequest(shard_id, start))

    def _unknown(self, shard: _Shard, peer: bytes, wire: Wire) -> None:
        """A message of an epoch that is not the shard's: from before a restart, or of a receiver that was replaced."""
        if wire.kind != Kind.PING and wire.kind != Kind.CREDIT:
            return
        started_by = dict(shard.past).get(wire.epoch)
        if shard.start is not None and started_by is not None:
            if started_by != shard.start.receiver:
                text = "another receiver has taken over this shard; run one trainer for each shard"
                self._send(shard, peer, encode(Kind.ERROR, wire.epoch, {"text": text}))
            return
        self._send(shard, peer, encode(Kind.NEED_START, wire.epoch, {}))

    def _credit(self, shard: _Shard, body: Mapping[str, object]) -> None:
        lane, count = body.get("lane"), body.get("n")
        if not isinstance(lane, int) or not isinstance(count, int) or count < 1:
            raise FrameError("CREDIT without a lane and a count")
        start = shard.start
        if start is not None and lane in shard.credits:
            shard.credits[lane] = min(shard.credits[lane] + count, start.credits)
        elif start is not None and lane in start.held:  # given back while this side was preparing its answer
            shard.returned[lane] = shard.returned.get(lane, 0) + count

    def _post(self, shard: _Shard, kind: Kind, body: Mapping[str, object]) -> None:
        if shard.start is not None:
            self._send(shard, shard.peer, encode(kind, shard.epoch, body))

    def _send(self, shard: _Shard, peer: bytes, parts: Sequence[Union[bytes, memoryview]]) -> None:
        try:
            shard.socket.send_multipart([peer, *parts], copy=False)
        except zmq.ZMQError as error:
            if error.errno != zmq.EHOSTUNREACH:
                raise
            if peer == shard.peer:  # gone: it will ping again, from a new connection, and be told to start
                shard.start, shard.credits = None, {}
