"""The receiving end of a channel: mindpandas' ``DataReceiver`` by name and meaning, and what the pipeline adds.

The receiver is the side that knows: it says where each partition continues, and says so again when a sender was
restarted. No sender keeps any state.
"""

from __future__ import annotations

import logging
import math
import secrets
import time
from collections import deque
from dataclasses import dataclass
from functools import partial
from typing import Any, Deque, Dict, List, Mapping, Optional, Set, Union

import zmq

from mindspore_rec.stream.control import (
    ChannelError,
    Start,
    Started,
    Stream,
    check_same_partitions,
    check_same_stream,
    read_started,
)
from mindspore_rec.stream.frame import Frame, FrameError, Kind, Wire, decode_frame
from mindspore_rec.stream.objects import join
from mindspore_rec.stream.position import RowPosition
from mindspore_rec.stream.sender_link import SenderLink, open_links

_log = logging.getLogger(__name__)
_TICK = 0.1
"""Longest wait for a message before the connections are looked after, in seconds."""


@dataclass(frozen=True)
class _Object:
    lane: int
    content: Any


class DataReceiver:
    """Receives the data of one shard; senders may come before or after, and may be restarted.

    ``recv()`` returns objects one by one. The pipeline calls ``start`` with its positions, ``poll`` for frames and
    ``credit`` for each frame it has used up. All calls must come from one thread at a time.

    Args:
        address: host or IP of the senders.
        namespace: channel namespace, as at the sender.
        shard_id: shard to receive.
        dataset_name: data set name, as at the sender.
        num_shards: shards of the channel; None where there is a single sender, which then is not compared.
        port: first port of the channel.
        num_consumers: senders that share the data.
        max_queue_size: frames that may be in flight for each partition.
        channel_keys: folder of this side's CURVE keys; None: nothing is encrypted.

    Raises:
        ValueError: an argument out of range.
        ChannelError: an address that cannot be resolved, or a key that is missing or wrong.
    """

    def __init__(
        self,
        address: str,
        namespace: str,
        shard_id: int,
        dataset_name: str,
        *,
        num_shards: Optional[int] = None,
        port: int = 45600,
        num_consumers: int = 1,
        max_queue_size: int = 10,
        channel_keys: Optional[str] = None,
    ) -> None:
        if num_shards is None and num_consumers > 1:
            raise ValueError("num_shards must be given where there are several senders")
        if shard_id < 0 or (num_shards is not None and shard_id >= num_shards):
            raise ValueError(f"shard_id={shard_id}: expected 0 to num_shards - 1 (num_shards={num_shards})")
        if num_consumers < 1 or max_queue_size < 1:
            raise ValueError(f"num_consumers={num_consumers}, max_queue_size={max_queue_size}: expected at least 1")
        self._channel = {"namespace": namespace, "dataset_name": dataset_name}
        self._shard_id = shard_id
        self._num_shards = num_shards or 0
        self._max_queue_size = max_queue_size
        self._number = secrets.randbits(64)
        self._begun = False
        self._topic = self._topic_id = ""
        self._rule = "earliest"
        self._begin: Dict[int, RowPosition] = {}
        self._frontier: Dict[int, RowPosition] = {}
        self._held: Dict[int, int] = {}
        self._high: Dict[int, int] = {}
        self._finished: Set[int] = set()
        self._ready: Deque[Union[Frame, _Object]] = deque()
        self._stream: Optional[Stream] = None
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._poller = zmq.Poller()
        ports = [port + index * self._num_shards + shard_id for index in range(num_consumers)]
        self._links = open_links(self._context, address, ports, channel_keys)
        for link in self._links:
            self._poller.register(link.socket, zmq.POLLIN)

    @property
    def stream(self) -> Optional[Stream]:
        """What is served; None until every sender has answered."""
        return self._stream

    @property
    def ended(self) -> Set[int]:
        """Partitions of which ``poll`` has returned the last frame."""
        return set() if self._ready else set(self._finished)

    @property
    def high(self) -> Mapping[int, int]:
        """For each partition, the offset after its newest message, as of the last frame."""
        return self._high

    def start(
        self, positions: Mapping[int, RowPosition], *, topic: str = "", topic_id: str = "", rule: str = "earliest"
    ) -> None:
        """Ask the senders for the shard's rows.

        Args:
            positions: first row wanted of each partition known; others then begin with their first row.
            topic: topic these positions belong to; empty for none.
            topic_id: the broker's id of that topic; empty where it is not known.
            rule: where all begin without positions: ``earliest``, ``latest`` or an ISO time.
        """
        if self._begun:
            raise ValueError("this receiver was started before")
        self._begun = True
        self._topic, self._topic_id, self._rule = topic, topic_id, rule
        self._frontier = {partition: RowPosition(*position) for partition, position in positions.items()}

    def poll(self, timeout: float) -> List[Frame]:
        """Frames that came, in order within a partition; waits up to ``timeout`` seconds for one.

        Each is to be given back with ``credit``. None are returned before ``stream`` is known.

        Raises:
            ChannelError: a sender refuses, or is not what was expected.
        """
        if not self._begun:
            self.start({})
        self._wait(timeout)
        if not self._stream:
            return []
        frames = [item for item in self._ready if isinstance(item, Frame)]
        self._ready = deque(item for item in self._ready if not isinstance(item, Frame))
        return frames

    def credit(self, partition: int, count: int = 1) -> None:
        """Give back frames of a partition: as many more may be sent."""
        self._held[partition] -= count
        for link in self._links:
            if link.started is not None and partition in link.started.lanes and not link.ended:
                # Where it cannot be sent, the sender is away: the next START counts what is held anew.
                link.sent_start &= link.send(Kind.CREDIT, {"lane": partition, "n": count})

    def recv(self, timeout: Optional[float] = None) -> Any:
        """The shard's part of the next object; of the pipeline's frames, the tuple of columns.

        Raises:
            TimeoutError: nothing came within ``timeout`` seconds.
            EOFError: the sender was closed and everything was received.
            ChannelError: a sender refuses, or is not what was expected.
        """
        if not self._begun:
            self.start({})
        deadline = float("inf") if timeout is None else time.monotonic() + timeout
        while not (self._ready and self._stream):
            if self._stream and all(link.ended for link in self._links):
                raise EOFError("the sender has closed the channel")
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"nothing received within {timeout} s")
            self._wait(left)
        item = self._ready.popleft()
        if isinstance(item, Frame):
            self.credit(item.positions.partition)
            return item.columns
        self.credit(item.lane)
        return item.content

    def close(self, linger: float = 1.0) -> None:
        """Tell the senders to stop and close; the message has ``linger`` seconds to leave."""
        for link in self._links:
            if link.sent_start and not link.socket.closed:
                link.send(Kind.STOP, {})
            link.handshakes.close()
        self._context.destroy(linger=int(linger * 1000))

    def _wait(self, timeout: float) -> None:
        """Serve the connections until something is ready, an end is heard or the time is up."""
        deadline = time.monotonic() + timeout
        ended = self._ends_heard()
        while True:
            for index, link in enumerate(self._links):
                link.attend(partial(self._start_of, index))
            ready = self._ready and self._stream
            left = 0.0 if ready else max(0.0, deadline - time.monotonic())
            events = dict(self._poller.poll(math.ceil(min(left, _TICK) * 1000)))
            for link in self._links:
                if link.socket in events:
                    self._receive(link)
            if ready or (self._ready and self._stream) or self._ends_heard() > ended or left == 0:
                return

    def _ends_heard(self) -> int:
        return len(self._finished) + sum(link.ended for link in self._links)

    def _start_of(self, index: int) -> Start:
        """What a sender is asked for: its partitions, from the first row that was not received."""
        count = len(self._links)
        return Start(
            shard=self._shard_id,
            num_shards=self._num_shards,
            receiver=self._number,
            topic=self._topic,
            topic_id=self._topic_id,
            running=self._links[index].started is not None,
            positions={lane: tuple(place) for lane, place in self._frontier.items() if lane % count == index},
            rule=self._rule,
            credits=self._max_queue_size,
            held=self._held,
            ended=sorted(self._finished),
            **self._channel,
        )

    def _receive(self, link: SenderLink) -> None:
        try:
            for wire in link.receive():
                self._handle(link, wire)
        except FrameError as error:
            raise ChannelError(f"{link.name} sent a damaged message: {error}") from None

    def _handle(self, link: SenderLink, wire: Wire) -> None:
        if wire.kind == Kind.STARTED:
            self._started(link, read_started(wire.body))
        elif wire.kind == Kind.DATA:
            self._data(link, decode_frame(wire))
        elif wire.kind == Kind.OBJECT:
            self._count(link, 0)
            self._ready.append(_Object(0, join(wire.body.get("structure"), wire.arrays)))
        elif wire.kind == Kind.NEED_START:
            _log.info("the consumer at %s was restarted: continuing where it stopped", link.name)
            link.sent_start = False
        elif wire.kind == Kind.END:
            self._end(link, wire.body.get("lane"))
        elif wire.kind == Kind.ERROR:
            raise ChannelError(str(wire.body.get("text"))[:1000])

    def _started(self, link: SenderLink, answer: Started) -> None:
        if answer.num_consumers != len(self._links):
            raise ChannelError(
                f"num_consumers: the consumer at {link.name} has {answer.num_consumers}, "
                f"this receiver {len(self._links)}; give both the same"
            )
        for other in self._links:
            known = other.started
            if known is not None:
                check_same_stream(link.name, known, answer)
        if link.started is not None:
            check_same_partitions(link.name, link.started, answer)
        for lane, stated in answer.lanes.items():
            begin = RowPosition(*stated.begin)
            if self._frontier.setdefault(lane, begin) != begin:
                raise ChannelError(f"{link.name} starts partition {lane} at {tuple(begin)}, not where it was told to")
            self._begin.setdefault(lane, begin)
            self._held.setdefault(lane, 0)
            self._high[lane] = stated.high
        link.started = answer
        self._topic_id = answer.topic_id
        if self._stream is None and all(other.started for other in self._links):
            self._stream = self._combined(answer)

    def _combined(self, answer: Started) -> Stream:
        lanes = sorted(lane for link in self._links if link.started for lane in link.started.lanes)
        if not lanes:
            raise ChannelError(f"topic {answer.topic}: no partition for shard {self._shard_id}")
        begin = {lane: self._begin[lane] for lane in lanes}
        spec = answer.spec_digest, answer.spec_json
        return Stream(answer.topic, begin, answer.window_size, *spec, topic_id=answer.topic_id)

    def _data(self, link: SenderLink, frame: Frame) -> None:
        lane = frame.positions.partition
        self._count(link, lane)
        if frame.positions.begin != self._frontier[lane]:
            raise ChannelError(
                f"{link.name} sent partition {lane} from {tuple(frame.positions.begin)}, "
                f"expected {tuple(self._frontier[lane])}"
            )
        self._frontier[lane] = frame.positions.next
        self._high[lane] = frame.positions.high
        self._ready.append(frame)

    def _end(self, link: SenderLink, lane: Any) -> None:
        lanes = [] if link.started is None else list(link.started.lanes)
        if lane is None:
            link.ended = True
            self._finished.update(lanes)
        elif lane in lanes:
            self._finished.add(lane)
        else:
            raise FrameError(f"END of lane {str(lane)[:100]}")

    def _count(self, link: SenderLink, lane: int) -> None:
        if link.started is None or lane not in link.started.lanes or self._held[lane] >= self._max_queue_size:
            raise ChannelError(f"{link.name} sent a frame of partition {lane} that was not asked for")
        self._held[lane] += 1
