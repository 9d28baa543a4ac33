"""Batches of a stream: a receiver and the interleaving of its partitions, without MindData."""

from __future__ import annotations

import threading
import time
from typing import Callable, Iterator, Optional, Sequence

from mindspore_rec.kill_points import reached
from mindspore_rec.stream.channel import ChannelError, DataReceiver, Stream
from mindspore_rec.stream.control import start_time
from mindspore_rec.stream.frame import Array, FrameError
from mindspore_rec.stream.interleave import Batch, BatchInfo, Interleave, begin_at
from mindspore_rec.stream.position import StreamPosition

IDLE_SECONDS = 0.01
"""How long a rank whose shard has no rows looks for some before it takes part in a step without."""
_TICK = 0.1
"""Longest wait in one go, in seconds: how soon ``stop`` is noticed."""


def _never() -> bool:
    return False


class StreamBatches:
    """The batches that a receiver's frames make, from a position on.

    One thread takes batches; ``stop`` may be called from any.

    Args:
        receiver: where frames come from; closed with this.
        batch_size: rows in a batch.
        max_wait: seconds before a short batch is made; 0: never, but for the end of a bounded stream.
        position: where to continue; None for a first start.
        start: where a first start begins: ``earliest``, ``latest`` or an ISO time.
        max_rows: end once the position has passed this many rows, taken or rejected; 0: never.
        idle_batch: columns of a batch without rows and info, which is made where there is no other yet, so that the
            other ranks need not wait; None: batches have rows.
        clock: seconds, for ``max_wait``.

    Raises:
        ConfigError: a ``start`` that is none of these.
        ValueError: another argument out of range.
    """

    def __init__(
        self,
        receiver: DataReceiver,
        batch_size: int,
        *,
        max_wait: float = 0.0,
        position: Optional[StreamPosition] = None,
        start: str = "earliest",
        max_rows: int = 0,
        idle_batch: Optional[Sequence[Array]] = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if idle_batch is not None and max_wait <= 0:  # then batches would depend on time
            raise ValueError(f"idle_batch: expected none where max_wait is {max_wait}")
        if batch_size < 1 or max_wait < 0 or max_rows < 0:
            raise ValueError(
                f"batch_size={batch_size}, max_wait={max_wait}, max_rows={max_rows}: expected at least 1, 0, 0"
            )
        start_time(start)
        self._receiver = receiver
        self._batch_size = batch_size
        self._max_wait = max_wait
        self._max_rows = max_rows
        self._idle_batch = idle_batch
        self._clock = clock
        self._saved = position
        self._merge: Optional[Interleave] = None
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self._closed = False
        if position is None:
            receiver.start({}, rule=start)
        else:
            receiver.start(position.next, topic=position.topic, topic_id=position.topic_id, rule=start)

    @property
    def stream(self) -> Optional[Stream]:
        """What the senders serve; None until all have answered."""
        return self._receiver.stream

    @property
    def final_info(self) -> Optional[BatchInfo]:
        """An info of no rows with the rejects after the last batch; None before the end of the stream."""
        return self._merge.final_info() if self._merge is not None and self._merge.ended else None

    def wait_started(self, timeout: Optional[float] = None) -> bool:
        """Wait until ``stream`` is known, ``stop`` is called or ``timeout`` seconds are over; whether it is known.

        Raises:
            ChannelError: a sender refuses.
        """
        deadline = float("inf") if timeout is None else time.monotonic() + timeout
        while self.stream is None and not self._stopped.is_set() and time.monotonic() < deadline:
            if self._lock.acquire(timeout=_TICK):
                try:
                    self._pull(min(_TICK, max(0.0, deadline - time.monotonic())))
                finally:
                    self._lock.release()
        return self.stream is not None

    def next_batch(self, cancelled: Callable[[], bool] = _never) -> Optional[Batch]:
        """The next batch, waited for; None at the end, after ``stop`` or once ``cancelled()`` says so.

        Raises:
            ChannelError: a sender refuses, or is not what was expected.
        """
        with self._lock:
            idle_at = self._clock() + IDLE_SECONDS
            while not self._stopped.is_set() and not cancelled():
                wait: Optional[float] = None
                if self._merge is not None:
                    batch = self._merge.take()
                    for partition, count in self._merge.released().items():
                        self._receiver.credit(partition, count)
                    if batch is not None or self._merge.ended:
                        return batch
                    wait = self._merge.seconds_left()
                if self._idle_batch is not None:
                    idle_for = idle_at - self._clock()
                    if idle_for <= 0:
                        return Batch(tuple(self._idle_batch), None)
                    wait = idle_for if wait is None else min(wait, idle_for)
                self._pull(_TICK if wait is None else min(_TICK, wait))
        return None

    def __iter__(self) -> Iterator[Batch]:
        return iter(self.next_batch, None)

    def stop(self) -> None:
        """Make ``next_batch`` return None soon, whatever it waits for. From any thread."""
        self._stopped.set()

    def close(self) -> None:
        """Stop and close the receiver. A second call does nothing."""
        self.stop()
        with self._lock:
            if not self._closed:
                self._closed = True
                self._receiver.close()

    def _pull(self, timeout: float) -> None:
        """Wait for frames and hand them on."""
        if self._closed or self._stopped.is_set():
            return
        handing_over = self._merge is None and self._saved is not None
        if handing_over:
            reached("hand-over")  # before START goes out
        frames = self._receiver.poll(timeout)
        stream = self._receiver.stream
        if handing_over and stream is not None:
            reached("hand-over")  # the answer is here
        if self._merge is None and stream is not None:
            self._merge = Interleave(
                begin_at(stream.topic, stream.begin, self._saved, stream.topic_id),
                stream.window_size,
                self._batch_size,
                max_wait=self._max_wait,
                max_rows=self._max_rows,
                clock=self._clock,
            )
        if self._merge is not None:
            try:
                for frame in frames:
                    self._merge.add(frame)
            except FrameError as error:
                raise ChannelError(f"a sender's frame cannot be used: {error}") from None
            for partition in self._receiver.ended:
                self._merge.finish(partition)
