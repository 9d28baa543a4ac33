"""The exchange of ranks under MindSpore's dynamic networking: its own collectives, no other library.

On a CPU MindSpore has no AlltoAll, and AllGather takes arrays of one size only. But it sends and receives between two
ranks, eagerly, bytes of any number, without a compilation: everything here is made of that and of one small
AllGather that tells the sizes.

A message is sent back whole as its receipt, so it costs its bytes twice: MPI is many times faster.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
from typing import Any, Iterator, List, Sequence, Tuple

import numpy as np

from mindspore_rec.distributed.exchange import ExchangeError
from mindspore_rec.distributed.ordered_sum import ordered_sum
from mindspore_rec.distributed.row_layout import RowLayout, as_bytes

PATIENCE = 600
"""Seconds a rank waits for another, which may be writing a checkpoint; MindSpore's own 30 are too few."""

LARGEST_MESSAGE = 64 << 20
"""Bytes of a message: MindSpore copies each a few times."""

Message = Tuple[Any, np.ndarray]
"""A tensor that is being received, and the bytes it is to fill, whose memory it shares."""


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
        if self.rank != root:
            data = np.empty(length, np.uint8)
            _finish(self._receive(data, root))
            return data.tobytes()
        for other in range(self.size):
            if other != root:
                self._send(np.frombuffer(content, np.uint8), other)
        return content

    def close(self) -> None:
        """See `Exchange`: waits until all ranks have closed; the connections end with the process."""
        if not self._closed:
            self._closed = True
            self._heads([0])

    def _heads(self, numbers: Sequence[int]) -> np.ndarray:
        """All ranks' numbers, int64 [size, len(numbers)]."""
        own = np.array(numbers, np.int64)
        if self.size == 1:
            return own[None]
        gathered = [self._tensor(np.zeros_like(own)) for _ in range(self.size)]
        with _errors():
            self._all_gather(gathered, self._tensor(own))
            return np.stack([tensor.asnumpy() for tensor in gathered])

    def _swap(self, parts: Sequence[np.ndarray], layout: RowLayout, rows: np.ndarray) -> List[np.ndarray]:
        """Send `parts[r]` to rank r, receive `rows[r]` rows from it: in step s with the ranks s after and before."""
        arrived = [layout.empty(rows[source]) for source in range(self.size)]
        arrived[self.rank] = parts[self.rank]
        messages: List[Message] = []
        for step in range(1, self.size):
            target, source = (self.rank + step) % self.size, (self.rank - step) % self.size
            self._send(as_bytes(parts[target]), target)
            messages += self._receive(as_bytes(arrived[source]), source)
        _finish(messages)
        return arrived

    def _send(self, data: np.ndarray, target: int) -> None:
        """Returns at once: a message goes out, in its turn, from a copy, since nothing tells when it is gone."""
        with _errors():
            for start in range(0, len(data), LARGEST_MESSAGE):
                self._isend(self._tensor(data[start : start + LARGEST_MESSAGE]), target, self._group, 0)

    def _receive(self, data: np.ndarray, source: int) -> List[Message]:
        """Returns at once, too: `_finish` waits until `data` is filled."""
        messages: List[Message] = []
        with _errors():
            for start in range(0, len(data), LARGEST_MESSAGE):
                part = data[start : start + LARGEST_MESSAGE]
                messages.append((self._tensor.from_numpy(part), part))
                self._irecv(messages[-1][0], 0, source, self._group)
        return messages


def _finish(messages: Sequence[Message]) -> None:
    """Wait for them. Their handles' ``wait`` does not on a CPU, but looking at what came does."""
    with _errors():
        for tensor, part in messages:
            content = tensor.asnumpy()
            if not np.may_share_memory(content, part):
                part[:] = content


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
    os.environ.setdefault("MS_CPU_COMM_OP_TIMEOUT", str(PATIENCE))
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
