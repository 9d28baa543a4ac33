"""The producer: raw lines to messages of a topic, in an order from which the source's order can be restored.

Source row r goes to partition ``(r // block_rows) % partitions`` in every format, so reading the partitions one block
each in turn gives the source back. There is one writer a topic. After a crash the tails of the partitions say which
rows are there: every row is in the topic once, and in order within its partition.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from contextlib import closing
from typing import Any, Callable, Dict, Iterable, Iterator, List, Optional, Sequence, Tuple

import numpy as np
from tqdm import tqdm

from mindspore_rec.config import ProducerConfig, UserError
from mindspore_rec.kill_points import reached
from mindspore_rec.stream.kafka import Sink, Source, create_topic, open_sink, open_source
from mindspore_rec.stream.messages import ROW_ENCODERS, Message, MessageInfo, describe, encode_block
from mindspore_rec.stream.raw_lines import cut_blocks, drop_rows, take_rows

logger = logging.getLogger(__name__)

Block = Tuple[int, bytes]

FLUSH_SECONDS = 60.0
STOP_SECONDS = 10.0
"""Seconds to wait for acknowledgements at the end, and when told to stop."""
PROGRESS_DELAY = 2.0
PROGRESS_SECONDS = 10.0
"""Seconds between progress lines where stderr is no terminal."""


def partition_of(row: int, block_rows: int, partitions: int) -> int:
    """The partition of a source row.

    >>> [partition_of(row, 2, 3) for row in range(8)]
    [0, 0, 1, 1, 2, 2, 0, 0]
    """
    return row // block_rows % partitions


class Pace:
    """Holds a stream of rows to ``rate`` rows a second (0: no limit).

    Args:
        rate: rows a second.
        clock: seconds, monotonic.
        wait: waits so many seconds; returns True where it was told to stop.
    """

    def __init__(self, rate: float, clock: Callable[[], float], wait: Callable[[float], bool]) -> None:
        self._rate = rate
        self._clock = clock
        self._wait = wait
        self._due = clock()

    def before(self, rows: int) -> bool:
        """Wait until ``rows`` rows may be sent; False where it was told to stop instead.

        Time lost to a slow broker beyond one second is not made up for.
        """
        if self._rate > 0:
            now = self._clock()
            if self._due > now and self._wait(self._due - now):
                return False
            self._due = max(self._due, self._clock() - 1.0) + rows / self._rate
        return True


class Producer:
    """Sends rows to a sink.

    Args:
        config: format, block_rows, rate.
        sink: the topic.
        next_rows: for each partition, the first source row of its own that it does not hold yet.
        stop: set to end after the message under way.
        clock: seconds since 1970: event time of a row is when it is sent.
        pace: holds the rate; made from the configuration where none is given.
    """

    def __init__(
        self,
        config: ProducerConfig,
        sink: Sink,
        next_rows: Sequence[int],
        stop: threading.Event,
        clock: Callable[[], float] = time.time,
        pace: Optional[Pace] = None,
    ) -> None:
        self._config = config
        self._sink = sink
        self._next_rows = list(next_rows)
        self._stop = stop
        self._clock = clock
        self._pace = pace or Pace(config.rate, time.monotonic, stop.wait)

    @property
    def first_row(self) -> int:
        """The source row to go on with: the first that some partition lacks."""
        return min(self._next_rows)

    def run(self, chunks: Iterable[bytes]) -> int:
        """Send rows until they end, ``limit`` or ``stop``, and wait for the broker; returns how many were sent.

        Args:
            chunks: raw lines, each ended by a newline; the first is source row ``first_row``.

        Raises ``DeliveryFailed``.
        """
        limit = self._config.limit
        left = max(0, limit - self.first_row) if limit else None
        rows = chunks if left is None else take_rows(chunks, left)
        seconds = 0.1 if sys.stderr.isatty() else PROGRESS_SECONDS
        sent = 0
        with tqdm(total=left, unit=" rows", unit_scale=True, delay=PROGRESS_DELAY, mininterval=seconds) as bar:
            for first_row, lines in self._missing(cut_blocks(rows, self.first_row, self._config.block_rows)):
                done = self._send(first_row, lines)
                sent += done
                bar.update(done)
                if self._stop.is_set():
                    break
        self._sink.flush(STOP_SECONDS if self._stop.is_set() else FLUSH_SECONDS)
        return sent

    def _missing(self, blocks: Iterable[Block]) -> Iterator[Block]:
        """The blocks, or what of them, that the topic lacks."""
        for first_row, lines in blocks:
            have = self._next_rows[self._partition(first_row)] - first_row
            for rest in drop_rows([lines], max(0, have)):
                yield first_row + max(0, have), rest

    def _send(self, first_row: int, lines: bytes) -> int:
        """Send one block in the configured format; returns the rows sent, fewer only when told to stop."""
        partition = self._partition(first_row)
        if self._config.format == "block":
            rows = lines.count(b"\n")
            if not self._pace.before(rows):
                return 0
            now = self._now()
            value, headers = encode_block(lines, first_row, np.full(rows, now, np.int64))
            reached("send")
            self._sink.send(value, partition=partition, headers=headers, timestamp_ms=now)
            return rows
        encode = ROW_ENCODERS[self._config.format]
        rows = 0
        for line in lines[:-1].split(b"\n"):
            if self._stop.is_set() or not self._pace.before(1):
                break
            now = self._now()
            value, headers = encode(line, first_row + rows, now)
            reached("send")
            self._sink.send(value, partition=partition, headers=headers, timestamp_ms=now)
            rows += 1
        return rows

    def _partition(self, row: int) -> int:
        return partition_of(row, self._config.block_rows, len(self._next_rows))

    def _now(self) -> int:
        return int(self._clock() * 1000)


def produce(
    config: ProducerConfig, chunks_from: Callable[[int], Iterator[bytes]], stop: threading.Event
) -> Dict[str, Any]:
    """Create the topic if need be, find out where to go on, and send rows until the end.

    Args:
        config: of the producer.
        chunks_from: raw lines from a source row on.
        stop: set to end early.

    Returns:
        ``rows_produced`` by this call, ``first_row`` it began with, and where they are: topic, partitions, format.

    Raises ``UserError`` for a broker that does not answer, a topic that was written with other settings, or rows that
    cannot be read or delivered.
    """
    partitions = create_topic(config, None, config.partitions)
    with closing(open_source(config)) as source:
        next_rows = [next_row(config, source, partition, partitions) for partition in range(partitions)]
    with closing(open_sink(config)) as sink:
        producer = Producer(config, sink, next_rows, stop)
        first_row = producer.first_row
        if first_row:
            logger.info("topic %s goes on with source row %d", config.topic, first_row)
        rows = producer.run(chunks_from(first_row))
    return {
        "rows_produced": rows,
        "first_row": first_row,
        "topic": config.topic,
        "partitions": partitions,
        "format": config.format,
    }


def next_row(config: ProducerConfig, source: Source, partition: int, partitions: int) -> int:
    """The first source row of ``partition`` that is not in the topic yet: the one after its last message.

    Looks back to the block before, as the last one alone can fit another number of partitions by chance.

    Raises ``UserError`` where the messages do not tell, or were written with other ``block_rows`` or partitions.
    """
    low, high = source.watermarks(partition)
    if high == 0:
        return partition * config.block_rows
    if low == high:
        raise _foreign(config, partition, "holds no message any more")
    infos: List[MessageInfo] = []
    back, seen = 2, False
    while not seen:
        infos = [describe(message) for message in _messages(config, source, partition, max(low, high - back), high)]
        for info in infos:
            if info.first_row < 0 or info.rows is None:
                raise _foreign(config, partition, "ends with a message that does not say which rows it holds")
            if partition_of(info.first_row, config.block_rows, partitions) != partition:
                text = f"holds source row {info.first_row}, of another block_rows or number of partitions"
                raise _foreign(config, partition, text)
        last = infos[-1]
        seen = back >= high - low or len({info.first_row // config.block_rows for info in infos}) > 1
        # Of messages of one row it is known how many hold the last block; of others there are few.
        back = max(2 * back, last.first_row % config.block_rows + 2 if last.rows == 1 else 0)
    row = infos[-1].first_row + (infos[-1].rows or 0)
    while partition_of(row, config.block_rows, partitions) != partition:
        row += config.block_rows - row % config.block_rows
    return row


def _messages(config: ProducerConfig, source: Source, partition: int, first: int, end: int) -> List[Message]:
    """The messages of a partition from offset ``first`` to before ``end``."""
    source.assign({partition: first})
    messages: List[Message] = []
    deadline = time.monotonic() + config.broker_timeout
    while not messages or messages[-1].offset + 1 < end:
        if time.monotonic() > deadline:
            raise _foreign(config, partition, "does not give its last message")
        messages += source.poll(end - first, 0.1)
    return [message for message in messages if message.offset < end]


def _foreign(config: ProducerConfig, partition: int, what: str) -> UserError:
    return UserError(
        f"cannot tell where to go on: topic {config.topic!r} partition {partition} {what}; choose a new --topic"
    )
