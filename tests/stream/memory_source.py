"""A topic in memory, with the interface of a Kafka source."""

from __future__ import annotations

import threading
import time
from typing import Dict, Iterable, List, Mapping, Optional, Set, Tuple

import numpy as np

from mindspore_rec.stream.kafka import OffsetOutOfRange, TopicState
from mindspore_rec.stream.messages import ROW_ENCODERS, Message, encode_block


class MemorySource:
    """Partitions as lists of messages with ascending offsets; ``append`` may be called while it is read."""

    def __init__(self, logs: Mapping[int, List[Message]], topic: str = "clicks") -> None:
        self.logs: Dict[int, List[Message]] = {partition: list(messages) for partition, messages in logs.items()}
        self.low: Dict[int, int] = dict.fromkeys(logs, 0)
        self.topic_id = ""
        self.paused: Set[int] = set()
        self.polled = 0
        self._topic = topic
        self._next: Dict[int, int] = {}
        self._changed = threading.Condition()

    def append(self, message: Message) -> None:
        with self._changed:
            self.logs[message.partition].append(message)
            self._changed.notify_all()

    def describe(self, timeout: Optional[float] = None) -> TopicState:
        return TopicState(self.topic_id, sorted(self.logs))

    def watermarks(self, partition: int) -> Tuple[int, int]:
        log = self.logs[partition]
        return self.low[partition], log[-1].offset + 1 if log else self.low[partition]

    def offset_at_time(self, partition: int, timestamp_ms: int) -> int:
        found = (message.offset for message in self.logs[partition] if message.timestamp_ms >= timestamp_ms)
        return next(found, self.watermarks(partition)[1])

    def assign(self, positions: Mapping[int, int]) -> None:
        for partition, offset in positions.items():
            low, high = self.watermarks(partition)
            if not low <= offset <= high:
                raise OffsetOutOfRange(self._topic, partition, offset, low, high)
        self._next = dict(positions)
        self.paused = set()

    def poll(self, max_messages: int, timeout: float) -> List[Message]:
        deadline = time.monotonic() + timeout
        with self._changed:
            while True:
                found: List[Message] = []
                for partition in set(self._next) - self.paused:
                    fresh = [m for m in self.logs[partition] if m.offset >= self._next[partition]]
                    found += fresh[: max_messages - len(found)]
                for message in found:
                    self._next[message.partition] = message.offset + 1
                self.polled += len(found)
                left = deadline - time.monotonic()
                if found or left <= 0:
                    return found
                self._changed.wait(left)

    def pause(self, partitions: Iterable[int]) -> None:
        self.paused |= set(partitions)

    def resume(self, partitions: Iterable[int]) -> None:
        self.paused -= set(partitions)

    def commit(self, positions: Mapping[int, int]) -> None:
        pass

    def close(self) -> None:
        pass


def line(number: int, bad: bool = False) -> bytes:
    """A raw row of one number and one category; ``bad`` ones have a label that is none."""
    return b"%d\t%d\tcategory-%d" % (7 if bad else number % 2, number, number % 50)


def messages_of(
    partition: int, numbers: Iterable[int], form: str, rows: int, bad_every: int = 0, gap: int = 1
) -> List[Message]:
    """Messages of rows with these source numbers, ``rows`` in a block; every ``bad_every``-th row is bad."""
    found: List[Message] = []
    batch: List[int] = []

    def put() -> None:
        lines = [line(number, bool(bad_every) and number % bad_every == 0) for number in batch]
        time_ms = 10**12 + batch[0]
        if form == "block":
            value, headers = encode_block(b"\n".join(lines), batch[0], np.array(batch, np.int64) + 10**12)
        else:
            value, headers = ROW_ENCODERS[form](lines[0], batch[0], time_ms)
        found.append(Message(partition, len(found) * gap, time_ms, headers, value))
        batch.clear()

    for number in numbers:
        batch.append(number)
        if len(batch) == rows or form != "block":
            put()
    if batch:
        put()
    return found
