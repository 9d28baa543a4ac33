"""The sending end of a channel: mindpandas' ``DataSender`` by name and meaning, and what the pipeline adds."""

from __future__ import annotations

from pathlib import Path
from typing import Any, List, Optional

from mindspore_rec.stream.addresses import listening_host
from mindspore_rec.stream.channel_keys import consumer_keys
from mindspore_rec.stream.control import Started
from mindspore_rec.stream.frame import Frame, FramePositions, encode_frame
from mindspore_rec.stream.object_queue import ObjectQueue
from mindspore_rec.stream.shard_sockets import Request, ShardSockets


class DataSender:
    """Sends data to the receivers of ``num_shards`` shards; receivers may come before or after.

    ``send(obj)`` splits the rows of an object over the shards. The pipeline serves the receivers itself: it answers
    the requests that ``poll`` returns and sends frames of one shard with their positions.

    Args:
        address: host or IP where receivers find the sender; a loopback one is listened on.
        namespace: channel namespace; the receivers must have the same.
        num_shards: receivers, one a shard.
        dataset_name: data set name; the receivers must have the same.
        full_batch: must be False.
        max_queue_size: objects that wait for a shard before ``send(obj)`` blocks.
        port: first port; this sender binds ``port + consumer_index * num_shards + shard``.
        consumer_index: which of several senders this is.
        bind: address to listen on instead; needed where ``address`` is not loopback.
        channel_keys: folder of this side's CURVE keys; None: nothing is encrypted and everybody is let in.

    Raises:
        ValueError: an argument out of range, or ``full_batch=True``.
        ChannelError: an address or a port that cannot be bound, or a key that is missing or wrong.
    """

    def __init__(
        self,
        address: str,
        namespace: str,
        num_shards: int,
        dataset_name: str,
        full_batch: bool = False,
        max_queue_size: int = 10,
        *,
        port: int = 45600,
        consumer_index: int = 0,
        bind: Optional[str] = None,
        channel_keys: Optional[str] = None,
    ) -> None:
        if full_batch:
            raise ValueError("full_batch=True is not supported: every shard gets its own rows")
        if num_shards < 1 or max_queue_size < 1 or consumer_index < 0:
            raise ValueError(
                f"num_shards={num_shards}, max_queue_size={max_queue_size}, consumer_index={consumer_index}: "
                "expected at least 1, 1 and 0"
            )
        first = port + consumer_index * num_shards
        if first < 1 or first + num_shards > 65536:
            raise ValueError(f"port={port}: ports {first} to {first + num_shards - 1} are not all between 1 and 65535")
        self._num_shards = num_shards
        self._dataset_name = dataset_name
        self._max_queue_size = max_queue_size
        keys = None if channel_keys is None else consumer_keys(Path(channel_keys))
        host = listening_host(address, bind)
        self._sockets = ShardSockets(host, first, namespace, dataset_name, num_shards, keys)
        self._queue: Optional[ObjectQueue] = None
        self._pending: List[Request] = []

    def send(self, obj: Any, *, shard_id: Optional[int] = None, positions: Optional[FramePositions] = None) -> bool:
        """Send an object to all shards, or columns with their positions to one.

        Args:
            obj: ndarray, tuple, list or dict of ndarrays, or numeric DataFrame; with ``positions``, a tuple of columns.
            shard_id: the shard, only with ``positions``.
            positions: which rows of which partition the columns are.

        Returns:
            False where the receiver started anew while this waited for a credit: the columns are not sent then, as
            the new start says where to continue. Else True.

        Raises:
            ValueError: rows that do not divide evenly over the shards, or a type that cannot be sent.
            ChannelError: a receiver is set up for another channel.
        """
        if positions is None:
            if shard_id is not None:
                raise ValueError("shard_id needs positions")
            if self._queue is None:
                self._queue = ObjectQueue(self._sockets, self._num_shards, self._dataset_name, self._max_queue_size)
            self._queue.put(obj)
            return True
        if shard_id is None:
            raise ValueError("positions need a shard_id")
        return self._send_frame(shard_id, Frame(tuple(obj), positions))

    def _send_frame(self, shard_id: int, frame: Frame) -> bool:
        lane, epoch = frame.positions.partition, self._sockets.epoch(shard_id)
        while self._sockets.credits(shard_id, lane) < 1:
            self._pending += self._sockets.poll(0.1)
            if self._sockets.epoch(shard_id) != epoch:
                return False
        self._sockets.send(shard_id, lane, encode_frame(epoch, frame))
        return True

    def poll(self, timeout: float = 0.0) -> List[Request]:
        """What receivers asked for since the last call; waits up to ``timeout`` seconds for something to happen.

        Raises:
            ChannelError: a receiver is set up for another channel.
        """
        requests = self._pending + self._sockets.poll(0.0 if self._pending else timeout)
        self._pending = []
        # Only the newest request of a shard counts.
        return list({request.shard_id: request for request in requests}.values())

    def started(self, shard_id: int, answer: Started) -> None:
        """Answer a START: what this sender serves of the shard."""
        self._sockets.started(shard_id, answer)

    def refuse(self, shard_id: int, text: str) -> None:
        """Answer a START with an error; the receiver ends with it."""
        self._sockets.refuse(shard_id, text)

    def credits(self, shard_id: int, partition: int) -> int:
        """Frames of a partition that ``send`` takes without waiting."""
        return self._sockets.credits(shard_id, partition)

    def end(self, shard_id: int, partition: Optional[int] = None) -> None:
        """Tell a receiver that nothing follows for a partition, or at all."""
        self._sockets.end(shard_id, partition)

    def close(self, linger: float = 5.0) -> None:
        """Send what is queued, wait for it up to ``linger`` seconds, and close."""
        if self._queue is not None:
            self._queue.close(linger)
        else:
            self._sockets.close(linger)
