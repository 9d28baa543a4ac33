"""The consumer's loop: what trainers ask for, messages in, frames out, as far as credits go."""

from __future__ import annotations

import logging
import threading
import time
from contextlib import suppress
from typing import Dict, List, Sequence

from mindspore_rec.config import ConsumerConfig, UserError
from mindspore_rec.features.engine import FeatureEngine
from mindspore_rec.kill_points import reached
from mindspore_rec.stream.channel import ChannelError, DataSender, Lane, Start, Started, StartRequest
from mindspore_rec.stream.frame import Frame
from mindspore_rec.stream.kafka import BrokerUnreachable, OffsetOutOfRange, Source
from mindspore_rec.stream.lane import PartitionLane
from mindspore_rec.stream.lane_start import check_positions, first_row
from mindspore_rec.stream.messages import Message
from mindspore_rec.stream.position import RowPosition
from mindspore_rec.stream.progress import Progress
from mindspore_rec.stream.rejects import Rejects, RejectSink
from mindspore_rec.stream.topic_watch import TopicWatch
from mindspore_rec.stream.transform import Transformed, transform

_log = logging.getLogger(__name__)

POLL_SECONDS = 0.05
"""Longest wait for messages, after which requests and credits are looked at."""
LINGER_SECONDS = 0.05
"""How long rows wait for a full window."""
POLL_ROWS = 8192
"""About as many rows are fetched in one go."""
MAX_POLL_MESSAGES = 4096
WAITING_ROWS = 32768
"""About as many rows wait for credits, over all partitions, before nothing more is fetched."""
REFUSE_SECONDS = 1.0
"""How long a sender that cannot work waits for receivers to tell."""


class ShardServer:
    """Serves the partitions ``p`` with ``p % num_consumers == consumer_index`` to the shards ``p % num_shards``.

    Args:
        config: which consumer this is, window size, start and end.
        source: the topic.
        engine: rows to ids and weights.
        sender: the channel; closed by the caller, as are the others.
        rejects: where rejected rows go.
    """

    def __init__(
        self, config: ConsumerConfig, source: Source, engine: FeatureEngine, sender: DataSender, rejects: RejectSink
    ) -> None:
        self._config = config
        self._source = source
        self._engine = engine
        self._sender = sender
        self._rejects = Rejects(config.topic, rejects)
        self._watch = TopicWatch(config.topic, source)
        self._known = self._watch.partitions
        self._lanes: Dict[int, PartitionLane] = {}
        self._wanted: Dict[int, Start] = {}
        self._ended: Dict[int, bool] = {}
        self._finished: Dict[int, bool] = {}
        self._ends: Dict[int, int] = {}
        self._message_rows = 1000.0
        self.rows_sent = 0
        self.rows_rejected = 0
        self._progress = Progress()

    def run(self, stop: threading.Event) -> None:
        """Serve until ``stop`` is set, or with ``until_end`` until every shard has received everything and stopped.

        Raises:
            ChannelError: a trainer asks for something that cannot be served; it has been told.
            UserError: the topic is gone or another one, or the log does not hold a position any more; all were told.
        """
        self._check_shards()
        while not stop.is_set() and not self._all_finished():
            self._serve_requests()
            try:
                for lane in self._lanes.values():
                    self._send(lane)
                self._end_shards()
                self._fetch()
                self._lanes = self._watch.look(self._lanes)
                self._tell_added()
            except UserError as error:
                for shard in range(self._config.num_shards):
                    self._sender.refuse(shard, str(error))
                raise
            self._progress.report(self.rows_sent, self.rows_rejected, sum(lane.lag for lane in self._lanes.values()))

    def _check_shards(self) -> None:
        """More shards than partitions: tell the trainers that are there, and end."""
        count = len(self._watch.partitions)
        if self._config.num_shards <= count:
            return
        text = (
            f"num_shards: {self._config.num_shards}, but topic {self._config.topic} has {count} partitions; "
            "expected at most one shard for each"
        )
        deadline = time.monotonic() + REFUSE_SECONDS
        while time.monotonic() < deadline:
            for request in self._sender.poll(0.1):
                if isinstance(request, StartRequest):
                    self._sender.refuse(request.shard_id, text)
        raise ChannelError(text)

    def _all_finished(self) -> bool:
        return self._config.until_end and all(self._finished.get(s, False) for s in range(self._config.num_shards))

    def _serve_requests(self) -> None:
        for request in self._sender.poll(0.0 if self._with_room() else POLL_SECONDS):
            shard = request.shard_id
            if isinstance(request, StartRequest):
                self._wanted[shard] = request.start
                self._finished[shard] = False
            else:
                self._wanted.pop(shard, None)
                self._finished[shard] = self._ended.get(shard, False)
                self._source.pause([lane.partition for lane in self._lanes.values() if lane.shard == shard])
                self._lanes = self._lanes_but(shard)
        for shard, start in list(self._wanted.items()):
            try:
                self._begin(shard, start)
            except BrokerUnreachable as error:
                _log.warning("cannot start shard %d yet: %s", shard, error)
            else:
                del self._wanted[shard]

    def _begin(self, shard: int, start: Start) -> None:
        """Seek where a trainer continues, and tell it so."""
        try:
            others = self._lanes_but(shard)
            self._watch.refresh(start.topic_id or (self._watch.topic_id if others else ""))
            mine_now = self._partitions_of(shard)
            check_positions(start, self._config.topic, mine_now)
            # Partitions that were added since a stream began wait for the trainer's next start.
            mine = sorted(start.positions) if start.running else mine_now
            lanes = {partition: self._lane(partition, shard, start) for partition in mine}
            self._assign({**others, **lanes})
        except BrokerUnreachable:
            raise
        except UserError as error:
            self._sender.refuse(shard, str(error))
            raise
        self._ended[shard] = False
        spec = self._engine.spec
        answer = Started(
            topic=self._config.topic,
            topic_id=self._watch.topic_id,
            lanes={partition: Lane(begin=tuple(lane.next), high=lane.high) for partition, lane in lanes.items()},
            window_size=self._config.window_size,
            spec_digest=spec.digest(),
            spec_json=spec.to_json(),
            num_consumers=self._config.num_consumers,
        )
        self._sender.started(shard, answer)
        reached("seek")
        places = ", ".join(f"{partition} at {lane.next.offset}" for partition, lane in lanes.items())
        _log.info("shard %d starts: partition %s", shard, places or "none here")
        self._watch.tell_unread(mine_now, self._lanes)

    def _lane(self, partition: int, shard: int, start: Start) -> PartitionLane:
        begin, high = first_row(self._source, partition, start)
        end = self._ends.setdefault(partition, high) if self._config.until_end else None
        if partition in start.ended:  # before this consumer was started, when the topic may have been shorter
            end = begin.offset
        return PartitionLane(partition, shard, begin, high, end, self._config.window_size)

    def _partitions_of(self, shard: int) -> List[int]:
        """The partitions of a shard that this consumer reads."""
        config = self._config
        served = [p for p in self._watch.partitions if p % config.num_shards == shard]
        return [p for p in served if p % config.num_consumers == config.consumer_index]

    def _tell_added(self) -> None:
        if self._watch.partitions != self._known:
            self._known = self._watch.partitions
            for shard in {lane.shard for lane in self._lanes.values()}:
                self._watch.tell_unread(self._partitions_of(shard), self._lanes)

    def _lanes_but(self, shard: int) -> Dict[int, PartitionLane]:
        return {partition: lane for partition, lane in self._lanes.items() if lane.shard != shard}

    def _assign(self, lanes: Dict[int, PartitionLane]) -> None:
        """Read the partitions of these lanes, each from its next message. Nothing changes where that cannot be."""
        self._source.assign({partition: lane.next.offset for partition, lane in lanes.items()})
        self._lanes = lanes
        for lane in lanes.values():
            lane.paused = False

    def _with_room(self) -> List[PartitionLane]:
        """The lanes that may fetch messages."""
        limit = max(2 * self._config.window_size, WAITING_ROWS // max(1, len(self._lanes)))
        return [lane for lane in self._lanes.values() if lane.has_room(limit)]

    def _fetch(self) -> None:
        """Poll the partitions that have room, and transform what came."""
        room = self._with_room()
        if not room:
            return  # nothing is polled, so nothing need be paused
        open_partitions = {lane.partition for lane in room}
        closing = [lane for p, lane in self._lanes.items() if not lane.paused and p not in open_partitions]
        opening = [lane for lane in room if lane.paused]
        if closing:
            self._source.pause([lane.partition for lane in closing])
        if opening:
            self._source.resume([lane.partition for lane in opening])
        for lane in closing + opening:
            lane.paused = not lane.paused
        now = time.monotonic()
        due = [lane.waiting_since + LINGER_SECONDS - now for lane in self._lanes.values() if self._may_send(lane)]
        timeout = max(0.0, min([POLL_SECONDS, *due]))
        count = max(1, min(MAX_POLL_MESSAGES, int(POLL_ROWS / self._message_rows)))
        by_partition: Dict[int, List[Message]] = {}
        for message in self._poll(count, timeout):
            by_partition.setdefault(message.partition, []).append(message)
        for partition, messages in by_partition.items():
            if partition in self._lanes:
                self._take(self._lanes[partition], messages)

    def _poll(self, count: int, timeout: float) -> List[Message]:
        try:
            return self._source.poll(count, timeout)
        except OffsetOutOfRange:
            with suppress(BrokerUnreachable):
                self._watch.refresh(self._watch.topic_id)  # where the topic is another one, that is the reason
            raise

    def _take(self, lane: PartitionLane, messages: Sequence[Message]) -> None:
        """Transform a lane's next messages."""
        end = float("inf") if lane.end is None else lane.end
        new = [message for message in messages if lane.next.offset <= message.offset < end]
        rows = 0
        for transformed in transform(self._engine, new):
            rows += transformed.chunk.rows
            self._append(lane, transformed)
        if new:
            self._message_rows += 0.1 * (rows / len(new) - self._message_rows)
        if messages and messages[-1].offset + 1 >= end:
            lane.next = RowPosition(max(lane.next.offset, messages[-1].offset + 1), 0)

    def _append(self, lane: PartitionLane, transformed: Transformed) -> None:
        chunk, rejects = transformed
        if lane.next.row and chunk.rows and int(chunk.offset[0]) == lane.next.offset:
            offset, skipped = lane.next
            held = int((chunk.offset == offset).sum())
            if skipped > held:
                text = (
                    f"positions: partition {lane.partition} continues at row {skipped} of message {offset}, which has "
                    f"{held}; was the topic created anew?"
                )
                raise ChannelError(text)
            chunk = chunk.part(skipped, chunk.rows)
            rejects = [reject for reject in rejects if (reject.offset, reject.row) >= (offset, skipped)]
        self._rejects.put(lane.partition, rejects)
        if not lane.cutter.rows:
            lane.waiting_since = time.monotonic()
        lane.cutter.add(chunk)
        lane.next = chunk.next
        lane.high = max(lane.high, lane.next.offset)

    def _send(self, lane: PartitionLane) -> None:
        """Send full windows, and what there is once it has waited, as far as credits go."""
        while self._may_send(lane):
            waited = time.monotonic() - lane.waiting_since >= LINGER_SECONDS
            if lane.cutter.rows < self._config.window_size and not waited and not lane.fetched:
                return
            if not self._rejects.safe():
                return
            frame = lane.cutter.cut(lane.high)
            if frame is not None:
                self._send_frame(lane, frame)
            lane.waiting_since = time.monotonic()

    def _may_send(self, lane: PartitionLane) -> bool:
        return lane.cutter.rows > 0 and self._sender.credits(lane.shard, lane.partition) > 0

    def _send_frame(self, lane: PartitionLane, frame: Frame) -> None:
        self._sender.send(frame.columns, shard_id=lane.shard, positions=frame.positions)
        self.rows_sent += frame.rows
        self.rows_rejected += frame.positions.rejects.shape[0]

    def _end_shards(self) -> None:
        """Tell the trainers which partitions, and then that all of them, are at their end."""
        if not self._config.until_end:
            return
        for lane in self._lanes.values():
            if not lane.ended and lane.fetched and not lane.cutter.rows:
                self._sender.end(lane.shard, lane.partition)
                lane.ended = True
        for shard, ended in self._ended.items():
            if not ended and all(lane.ended for lane in self._lanes.values() if lane.shard == shard):
                self._sender.end(shard)
                self._ended[shard] = True
