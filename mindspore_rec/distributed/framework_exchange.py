"""The exchange of ranks under MindSpore's dynamic networking: its own collectives, no other library.

On a CPU MindSpore has no AlltoAll, and AllGather takes arrays of one size only. But it sends and receives between two
ranks, eagerly, bytes of any number, without a compilation: everything here is made of that and of one small
AllGather that tells the sizes. A message is sent back whole as its receipt, so it costs its bytes twice: MPI is many
times faster.

All of it happens in the background, and MindSpore's way to wait for it takes a whole core, for ever where a rank is
lost. So here every message ends in a mark that is looked for from time to time, and meanwhile whether the scheduler is
still there: it ends some 30 s after a rank was lost.
"""

from __future__ import annotations

import atexit
import contextlib
import ipaddress
import logging
import math
import os
import sys
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Sequence

import numpy as np

from mindspore_rec.distributed.exchange import ExchangeError
from mindspore_rec.distributed.ordered_sum import ordered_sum
from mindspore_rec.distributed.row_layout import RowLayout, as_bytes
from mindspore_rec.distributed.scheduler_watch import SchedulerWatch
from mindspore_rec.distributed.waiting import wait_until

LARGEST_MESSAGE = 64 << 20
"""Bytes of a message: MindSpore copies each a few times."""


class Message(NamedTuple):
    """What is being received.

    Attributes:
        data: the bytes, uint8.
        mark: one more byte, which is not 0 when they have come.
        tensors: whose memory both are.
    """

    data: np.ndarray
    mark: np.ndarray
    tensors: List[Any]


class FrameworkExchange:
    """See `Exchange`. Joins the cluster that the variables of `Ranks` name, once a process.

    Raises:
        ExchangeError: the scheduler or the other ranks did not come in time (``MS_TOPO_TIMEOUT``).
    """

    def __init__(self) -> None:
        _set_defaults()
        import mindspore
        from mindspore import communication
        from mindspore.mint.distributed import all_gather

        # send of mint.distributed asks for its rank in the group of Ascend, which a CPU does not have, and fails
        from mindspore.ops.auto_generate import dist_comm_irecv_op, dist_comm_isend_op

        with _errors():
            communication.init()
            self.rank: int = communication.get_rank()
            self.size: int = communication.get_group_size()
        self._group = communication.GlobalComm.WORLD_COMM_GROUP
        self._tensor = mindspore.Tensor
        self._all_gather, self._isend, self._irecv = all_gather, dist_comm_isend_op, dist_comm_irecv_op
        self._closed = False
        seconds = int(os.environ["MS_CPU_COMM_OP_TIMEOUT"])
        self._patience = seconds if seconds >= 0 else math.inf
        address = os.environ["MS_SCHED_HOST"], int(os.environ["MS_SCHED_PORT"])
        self._scheduler = SchedulerWatch(address, self._fail)
        atexit.register(self._fail)

    def sum(self, array: np.ndarray) -> np.ndarray:
        """See `Exchange`."""
        return ordered_sum(self, array)

    def all_to_all(self, parts: Sequence[np.ndarray]) -> List[np.ndarray]:
        """See `Exchange`. What a rank sends to itself is not copied."""
        if len(parts) != self.size:
            raise ValueError(f"expected a part for each of {self.size} ranks, not {len(parts)}")
        layout = RowLayout.of(parts)
        heads = self._heads([layout.fingerprint, *(len(part) for part in parts)])
        layout.check(heads[:, 0])
        return self._swap(parts, layout, heads[:, 1 + self.rank])

    def gather(self, array: np.ndarray) -> List[np.ndarray]:
        """See `Exchange`."""
        layout = RowLayout.of([array])
        heads = self._heads([layout.fingerprint, len(array)])
        layout.check(heads[:, 0])
        return self._swap([array] * self.size, layout, heads[:, 1])

    def broadcast(self, content: bytes, root: int = 0) -> bytes:
        """See `Exchange`."""
        if not 0 <= root < self.size:
            raise ValueError(f"expected a root from 0 to {self.size - 1}, not {root}")
        length = int(self._heads([len(content)])[root, 0])
        if self.rank == root:
            for other in range(self.size):
                if other != root:
                    self._send(np.frombuffer(content, np.uint8), other)
            return content
        message = self._receive(length, root)
        self._finish([message])
        return message.data.tobytes()

    def close(self) -> None:
        """See `Exchange`: waits until all ranks have closed; the connections end with the process."""
        if not self._closed:
            self._heads([0])
            self._closed = True
            self._scheduler.close()
            atexit.unregister(self._fail)

    def _fail(self) -> None:
        """End a process that has not closed, status 1. MindSpore would tell the scheduler that it left in good order,
        and the others would wait for ever, or try to reach a scheduler that is gone, for half a minute."""
        logging.shutdown()
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(1)

    def _heads(self, numbers: Sequence[int]) -> np.ndarray:
        """All ranks' numbers, not negative: int64 [size, len(numbers)]."""
        own = np.array(numbers, np.int64)
        if self.size == 1:
            return own[None]
        gathered = np.full((self.size, own.size), -1, np.int64)
        with _errors():
            tensors = [self._tensor.from_numpy(row) for row in gathered]
            self._all_gather(tensors, self._tensor(own))
        self._wait(lambda: bool((gathered >= 0).all()))
        with _errors():
            return np.stack([tensor.asnumpy() for tensor in tensors])

    def _swap(self, parts: Sequence[np.ndarray], layout: RowLayout, rows: np.ndarray) -> List[np.ndarray]:
        """Send `parts[r]` to rank r, receive `rows[r]` rows from it: in step s with the ranks s after and before."""
        arrived = list(parts)
        messages: Dict[int, Message] = {}
        for step in range(1, self.size):
            target, source = (self.rank + step) % self.size, (self.rank - step) % self.size
            self._send(as_bytes(parts[target]), target)
            messages[source] = self._receive(int(rows[source]) * layout.nbytes, source)
        self._finish([*messages.values()])
        for source, message in messages.items():
            arrived[source] = message.data.view(layout.dtype).reshape(rows[source], *layout.shape)
        return arrived

    def _send(self, data: np.ndarray, target: int) -> None:
        """Returns at once, and sends a copy: the caller is free to change the data."""
        message = np.empty(data.size + 1, np.uint8)
        message[:-1], message[-1] = data, 1
        with _errors():
            for part in _split(message):
                self._isend(self._tensor.from_numpy(part), target, self._group, 0)

    def _receive(self, length: int, source: int) -> Message:
        """Returns at once: see `_finish`."""
        message = np.empty(length + 1, np.uint8)
        message[-1] = 0
        with _errors():
            tensors = [self._tensor.from_numpy(part) for part in _split(message)]  # they share its memory
            for tensor in tensors:
                self._irecv(tensor, 0, source, self._group)
        return Message(message[:-1], message[-1:], tensors)

    def _finish(self, messages: Sequence[Message]) -> None:
        """Wait until they have come."""
        self._wait(lambda: all(message.mark[0] for message in messages))
        with _errors():
            for message in messages:
                for tensor in message.tensors:
                    tensor.asnumpy()  # returns when the last byte is there, as it nearly is

    def _wait(self, is_there: Callable[[], bool]) -> None:
        wait_until(is_there, awake=0.0, look=self._look)  # awake it would keep MindSpore's threads from running

    def _look(self, waited: float) -> None:
        """Raise where what is waited for will not come."""
        if waited > self._patience:
            raise ExchangeError(f"MindSpore: no answer within the {self._patience} s of MS_CPU_COMM_OP_TIMEOUT")
        self._scheduler.look()


def _split(message: np.ndarray) -> List[np.ndarray]:
    return [message[start : start + LARGEST_MESSAGE] for start in range(0, message.size, LARGEST_MESSAGE)]


def run_scheduler() -> None:
    """Be the scheduler (``MS_ROLE=MS_SCHED``). MindSpore ends the process when all ranks have left, with status 0.

    Raises:
        ExchangeError: the ranks did not come, or one was lost.
    """
    _set_defaults()
    from mindspore import communication

    with _errors():
        communication.init()


def _set_defaults() -> None:
    """What MindSpore reads from the environment when it joins; the user's own values stay."""
    # for ever, since another rank may wait for rows; 30 s unless set
    os.environ.setdefault("MS_CPU_COMM_OP_TIMEOUT", "-1")
    host = os.environ.get("MS_SCHED_HOST", "")
    with contextlib.suppress(ValueError):  # a name: MindSpore takes the first network interface
        if ipaddress.ip_address(host).is_loopback:
            os.environ.setdefault("MS_WORKER_IP", host)  # else each rank's server listens to the network


@contextlib.contextmanager
def _errors() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip(" -")]
        raise ExchangeError(f"MindSpore: {lines[0] if lines else type(error).__name__}") from error
