"""A sender of given rows, as the consumer is one: it seeks where a START says and sends what was granted."""

from __future__ import annotations

import threading
from typing import Dict, List, Sequence

from mindspore_rec.stream.channel import DataSender, Lane, Started, StartRequest
from mindspore_rec.stream.frame import Frame
from mindspore_rec.stream.position import RowPosition
from tests.stream.frame_building import Row, cut


class FrameServer:
    """Serves rows of partitions from a thread until it is stopped."""

    def __init__(
        self,
        port: int,
        lanes: Dict[int, List[Row]],
        sizes: Sequence[int] = (3,),
        *,
        num_shards: int = 1,
        consumer_index: int = 0,
        num_consumers: int = 1,
        bounded: bool = True,
        digest: str = "abc",
        window_size: int = 4,
        namespace: str = "ns",
    ) -> None:
        self.sent = 0
        self.starts = 0
        self.error: List[Exception] = []
        self._lanes = {p: rows for p, rows in lanes.items() if p % num_consumers == consumer_index}
        self._sizes, self._num_shards, self._bounded = sizes, num_shards, bounded
        self._answer = {"window_size": window_size, "spec_digest": digest, "num_consumers": num_consumers}
        self._sender = DataSender(
            "127.0.0.1", namespace, num_shards, "clicks", port=port, consumer_index=consumer_index
        )
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def stop(self) -> None:
        """End without a word, as a killed process does."""
        self._stop.set()
        self._thread.join()

    def wait(self, timeout: float = 10.0) -> None:
        """Wait for the thread to end by itself."""
        self._thread.join(timeout)
        assert not self._thread.is_alive()

    def __enter__(self) -> FrameServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _run(self) -> None:
        try:
            self._serve()
        except Exception as error:
            self.error.append(error)
        finally:
            self._sender.close(1.0)

    def _serve(self) -> None:
        queues: Dict[int, List[Frame]] = {}
        ended: Dict[int, bool] = {}
        while not self._stop.is_set():
            for request in self._sender.poll(0.02):
                shard = request.shard_id
                queues = {p: frames for p, frames in queues.items() if p % self._num_shards != shard}
                ended[shard] = not isinstance(request, StartRequest)
                if isinstance(request, StartRequest):
                    self.starts += 1
                    mine = [p for p in self._lanes if p % self._num_shards == shard]
                    begins = {p: RowPosition(*request.start.positions.get(p, (0, 0))) for p in mine}
                    lanes = {p: Lane(begin=tuple(begins[p]), high=self._high(p)) for p in mine}
                    self._sender.started(shard, Started(topic="clicks", lanes=lanes, **self._answer))
                    queues.update({p: cut(self._lanes[p], self._sizes, begins[p]) for p in mine})
            for partition, frames in queues.items():
                shard = partition % self._num_shards
                while frames and self._sender.credits(shard, partition):
                    frame = frames.pop(0)
                    self._sender.send(frame.columns, shard_id=shard, positions=frame.positions)
                    self.sent += 1
            for shard, done in ended.items():
                mine_left = [p for p, frames in queues.items() if p % self._num_shards == shard and frames]
                if self._bounded and not done and not mine_left:
                    self._sender.end(shard)
                    ended[shard] = True

    def _high(self, partition: int) -> int:
        rows = self._lanes[partition]
        return rows[-1].offset + 1 if rows else 0
