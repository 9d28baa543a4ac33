"""A thread that sends queued objects: ``send`` returns at once until the queue of a shard is full, then blocks."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import Any, Deque, List, Optional, Set

import zmq

from mindspore_rec.stream.control import ChannelError, Lane, Started
from mindspore_rec.stream.frame import Kind, encode
from mindspore_rec.stream.objects import Flat, split
from mindspore_rec.stream.shard_sockets import ShardSockets, StartRequest

_LANE = 0
_WAKE = "inproc://objects"


class ObjectQueue:
    """Queues objects for every shard and sends them as the receivers grant credits. Owns ``sockets`` from now on."""

    def __init__(self, sockets: ShardSockets, num_shards: int, dataset_name: str, max_queue_size: int) -> None:
        self._sockets = sockets
        self._dataset_name = dataset_name
        self._limit = max_queue_size
        self._queues: List[Deque[Flat]] = [deque() for _ in range(num_shards)]
        self._changed = threading.Condition()
        self._served: Set[int] = set()
        self._closing = False
        self._deadline = float("inf")
        self._failure: Optional[ChannelError] = None
        self._woken = sockets.socket(zmq.PAIR)
        self._woken.bind(_WAKE)
        self._waker = sockets.socket(zmq.PAIR)
        self._waker.connect(_WAKE)
        sockets.watch(self._woken)
        self._thread = threading.Thread(target=self._run, name="channel-sender", daemon=True)
        self._thread.start()

    def put(self, obj: Any) -> None:
        """Queue the parts of an object; waits while any shard's queue is full.

        Raises:
            ValueError: where rows do not divide evenly over the shards.
            ChannelError: where a receiver is set up for another channel.
        """
        # Copied: the caller may write to its arrays while the parts wait.
        parts = [
            (structure, [array.copy() for array in arrays]) for structure, arrays in split(obj, len(self._queues))
        ]
        with self._changed:
            while self._failure is None and max(map(len, self._queues)) >= self._limit:
                self._changed.wait()
            if self._failure is not None:
                raise self._failure
            for queue, part in zip(self._queues, parts):
                queue.append(part)
            self._waker.send(b"")

    def close(self, linger: float) -> None:
        """Wait up to ``linger`` seconds for the queues to empty, tell the receivers that this is the end, close."""
        with self._changed:
            self._closing = True
            self._deadline = time.monotonic() + linger
            self._waker.send(b"")
        self._thread.join()
        self._sockets.close(linger)

    def _run(self) -> None:
        try:
            while not self._finished():
                for request in self._sockets.poll(0.1):
                    if isinstance(request, StartRequest):
                        self._answer(request.shard_id)
                self._empty_wakes()
                self._deliver()
        except ChannelError as error:
            with self._changed:
                self._failure = error
                self._changed.notify_all()

    def _finished(self) -> bool:
        with self._changed:
            done = not any(self._queues) and not self._served
            return self._closing and (done or time.monotonic() > self._deadline)

    def _answer(self, shard_id: int) -> None:
        lane = Lane(begin=(0, 0), high=0)
        self._served.add(shard_id)
        self._sockets.started(shard_id, Started(topic=self._dataset_name, lanes={_LANE: lane}))

    def _empty_wakes(self) -> None:
        while self._woken.poll(0):
            self._woken.recv()

    def _deliver(self) -> None:
        with self._changed:
            for shard_id, queue in enumerate(self._queues):
                while queue and self._sockets.credits(shard_id, _LANE) > 0:
                    structure, arrays = queue.popleft()
                    parts = encode(Kind.OBJECT, self._sockets.epoch(shard_id), {"structure": structure}, arrays)
                    self._sockets.send(shard_id, _LANE, parts)
                    self._changed.notify_all()
                if self._closing and not queue and shard_id in self._served:
                    self._sockets.end(shard_id)
                    self._served.remove(shard_id)
