"""A stream as a MindData dataset: whole batches without an end, each with the position it leads to."""

from __future__ import annotations

import atexit
import logging
import sys
import threading
import time
import weakref
from collections import deque
from typing import Any, Callable, Deque, Dict, Iterator, Optional, Sequence, Tuple

from mindspore import Tensor
from mindspore.dataset import GeneratorDataset
from mindspore.dataset.engine.iterators import DictIterator, TupleIterator
from mindspore.dataset.engine.iterators import Iterator as MindDataIterator

from mindspore_rec.stream.batches import StreamBatches
from mindspore_rec.stream.channel import ChannelError, DataReceiver
from mindspore_rec.stream.frame import Array
from mindspore_rec.stream.interleave import Batch, BatchInfo
from mindspore_rec.stream.position import StreamPosition

_log = logging.getLogger(__name__)

MAX_UNREAD = 256
"""Batches whose info was not asked for before infos are kept no longer."""


class StreamingDataset(GeneratorDataset):
    """Batches of a stream, in order; ``get_dataset_size()`` is ``sys.maxsize``.

    MindData runs ahead of the training loop, so the loop asks for ``next_info()`` once for each batch it receives and
    gets them in the same order. An iterator begins at the first batch whose info was not asked for yet: nothing is
    lost where MindData looks at a batch to learn its shape.

    Columns: int64 [rows, fields], float32 [rows, fields], float32 [rows, 1]. Every batch has ``batch_size`` rows, but
    for short ones after ``max_wait`` and at the end of a bounded stream. Iterate with ``num_epochs=1``.

    Args:
        receiver: where frames come from; closed with the dataset.
        batch_size: rows in a batch.
        max_wait: seconds before a short batch is made; 0: never, but for the end.
        position: where to continue; None for a first start.
        start: where a first start begins: ``earliest``, ``latest`` or an ISO time.
        max_rows: end once the position has passed this many rows, taken or rejected; 0: never.
        idle_batch: of one of several ranks: columns without rows. With ``max_wait`` such a batch is made where there is
            no other, so that the other ranks need not wait.
        column_names: names of ids, weights and labels.
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
        column_names: Sequence[str] = ("id", "weight", "label"),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        batches = StreamBatches(
            receiver,
            batch_size,
            max_wait=max_wait,
            position=position,
            start=start,
            max_rows=max_rows,
            idle_batch=idle_batch if max_wait > 0 else None,
            clock=clock,
        )
        # MindData copies a dataset's attributes but shares ``source``: all state lives there.
        super().__init__(
            _Feed(batches),
            column_names=list(column_names),
            shuffle=False,
            num_parallel_workers=1,
            python_multiprocessing=False,
        )
        self.dataset_size = sys.maxsize
        self.batch_size = batch_size
        self._idle_batch = idle_batch

    def __deepcopy__(self, memo: Dict[int, Any]) -> StreamingDataset:
        """What MindData makes for each of its iterators."""
        copied: StreamingDataset = super().__deepcopy__(memo)
        if isinstance(copied.source, _Feed):
            copied.source = _Pass(copied.source)
        return copied

    def create_tuple_iterator(self, *args: Any, **options: Any) -> MindDataIterator:
        """As in every dataset; the iterator may be dropped at any time."""
        iterator = super().create_tuple_iterator(*args, **options)
        if type(iterator) is TupleIterator:
            iterator.__class__ = _CancellingTupleIterator
        return iterator

    def create_dict_iterator(self, *args: Any, **options: Any) -> MindDataIterator:
        """As in every dataset; the iterator may be dropped at any time."""
        iterator = super().create_dict_iterator(*args, **options)
        if type(iterator) is DictIterator:
            iterator.__class__ = _CancellingDictIterator
        return iterator

    def empty_batch(self) -> Tuple[Tensor, ...]:
        """A batch without rows, for a rank whose shard has ended while others go on."""
        if self._idle_batch is None:
            raise RuntimeError("empty_batch: this data set was made for a single rank, without idle_batch")
        return tuple(Tensor(column) for column in self._idle_batch)

    @property
    def spec_digest(self) -> Optional[str]:
        """Digest of the feature spec the rows were made with; None until the consumers have answered."""
        stream = self.source.batches.stream
        return None if stream is None else stream.spec_digest

    @property
    def spec_json(self) -> Optional[str]:
        """That feature spec; None until the consumers have answered."""
        stream = self.source.batches.stream
        return None if stream is None else stream.spec_json

    @property
    def error(self) -> Optional[ChannelError]:
        """Why iteration ended early, if it did: MindData would bury the exception under its own."""
        return self.source.error

    @property
    def ready(self) -> bool:
        """Whether the next batch is there: the training loop need not wait for it."""
        return self.source.ready

    @property
    def final_info(self) -> Optional[BatchInfo]:
        """After the end of a bounded stream: an info of no rows with the rejects after the last batch; else None."""
        return self.source.batches.final_info

    def wait_started(self, timeout: Optional[float] = None) -> bool:
        """Wait until the consumers have answered, ``stop`` is called or ``timeout`` seconds are over; True if so.

        Raises:
            ChannelError: a consumer refuses.
        """
        return self.source.batches.wait_started(timeout)

    def next_info(self) -> Optional[BatchInfo]:
        """The info of the batch that the training loop has just received, in order; None of an idle one.

        Raises:
            RuntimeError: where no batch was received since.
        """
        return self.source.next_info()

    def batches(self) -> Iterator[Tuple[Tuple[Array, ...], Optional[BatchInfo]]]:
        """The batches without MindData: (ids, weights, labels), info. Raises ChannelError where a consumer refuses."""
        for batch in self.source.batches:
            yield batch.columns, batch.info

    def stop(self) -> None:
        """End iteration soon, whatever it waits for. From any thread, and from a signal handler."""
        self.source.batches.stop()

    def close(self) -> None:
        """Stop and close the receiver."""
        self.source.batches.close()


class _Feed:
    """The batches on their way to MindData, and the infos the training loop has not asked for."""

    def __init__(self, batches: StreamBatches) -> None:
        self.batches = batches
        self.error: Optional[ChannelError] = None
        self._unread: Deque[Batch] = deque()
        self._read = 0
        self._forgotten = False
        self._latest: Optional[_Pass] = None
        self._lock = threading.Lock()
        self._fetching = threading.Lock()
        _feeds.add(self)

    def __iter__(self) -> Iterator[Tuple[Array, ...]]:
        return iter(_Pass(self))

    def begin(self, new: _Pass) -> int:
        """Number of the first batch for a new pass, which ends the one before."""
        with self._lock:
            if self._latest is not None:
                self._latest.cancelled = True
            self._latest = new
            return self._read

    def batch(self, number: int, cancelled: Callable[[], bool]) -> Optional[Batch]:
        """Batch ``number``, counted from 0 over all passes; None at the end or once cancelled."""
        with self._fetching:
            with self._lock:
                if not self._forgotten and number < self._read + len(self._unread):
                    return self._unread[number - self._read]
            try:
                batch = self.batches.next_batch(cancelled)
            except ChannelError as error:
                self.error = error
                return None
            if batch is not None:
                self._remember(batch)
            return batch

    @property
    def ready(self) -> bool:
        return bool(self._unread)

    def next_info(self) -> Optional[BatchInfo]:
        with self._lock:
            if not self._unread or self._forgotten:
                reason = "more than MAX_UNREAD batches were not asked about" if self._forgotten else "no batch since"
                raise RuntimeError(f"next_info: {reason}; call it once for each batch received")
            self._read += 1
            return self._unread.popleft().info

    def _remember(self, batch: Batch) -> None:
        with self._lock:
            if not self._forgotten:
                self._unread.append(batch)
            if len(self._unread) > MAX_UNREAD:
                self._forgotten = True
                self._unread.clear()
                _log.info("nobody asks for batch infos: they are kept no longer")


class _Pass:
    """One iteration of a feed, from the first batch not asked about."""

    def __init__(self, feed: _Feed) -> None:
        self.feed = feed
        self.cancelled = False

    def __iter__(self) -> Iterator[Tuple[Array, ...]]:
        number = self.feed.begin(self)
        while not self.cancelled:
            batch = self.feed.batch(number, lambda: self.cancelled)
            if batch is None:
                return
            number += 1
            yield batch.columns


class _CancellingIterator(MindDataIterator):
    """Ends its pass before MindData waits for the thread that runs it: that one may be waiting for rows."""

    def stop(self) -> None:
        if hasattr(self, "dataset"):
            self.dataset.source.cancelled = True
        super().stop()


class _CancellingTupleIterator(_CancellingIterator, TupleIterator):
    pass


class _CancellingDictIterator(_CancellingIterator, DictIterator):
    pass


_feeds: weakref.WeakSet[_Feed] = weakref.WeakSet()


@atexit.register
def _stop_feeds() -> None:
    """Let MindData's threads end before the interpreter does."""
    for feed in list(_feeds):
        feed.batches.stop()
