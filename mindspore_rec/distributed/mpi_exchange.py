"""The exchange of ranks that mpirun started: mpi4py, arrays as they lie in memory, never pickles.

A rank that dies without `close` takes the job with it: mpirun ends the others. So `close` stands where a rank's work
is done, not in a ``finally`` that a failing rank runs through too: there it would wait for ranks that wait for it.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Dict, Iterator, List, Sequence, Tuple

import numpy as np

from mindspore_rec.distributed.exchange import ExchangeError
from mindspore_rec.distributed.ordered_sum import ordered_sum
from mindspore_rec.distributed.row_layout import RowLayout, as_bytes
from mindspore_rec.distributed.waiting import wait_until

if TYPE_CHECKING:
    from types import ModuleType

AWAKE = 0.0002
"""Seconds a rank waits without a pause. MPI's own waiting never pauses: it would take a core from the rank it waits
for, and go on all night where no rows come."""

LARGEST_COUNT = 2**31 - 1
"""MPI counts in C ints. We count rows, not bytes, so large arrays pass."""


class MpiExchange:
    """See `Exchange`. Starts MPI, once a process; after `close` there is no second one.

    Raises:
        ImportError: mpi4py is not installed.
        ExchangeError: MPI does not start, or was ended already.
    """

    def __init__(self) -> None:
        self._mpi = _start_mpi()
        with self._errors():
            self._comm = self._mpi.COMM_WORLD.Dup()  # apart from what another library may send
        self.rank: int = self._comm.Get_rank()
        self.size: int = self._comm.Get_size()
        self._row_types: Dict[int, Any] = {}
        self._closed = False

    def sum(self, array: np.ndarray) -> np.ndarray:
        """See `Exchange`."""
        return ordered_sum(self, array)

    def all_to_all(self, parts: Sequence[np.ndarray]) -> List[np.ndarray]:
        """See `Exchange`. What a rank sends to itself is not copied."""
        if len(parts) != self.size:
            raise ValueError(f"expected a part for each of {self.size} ranks, not {len(parts)}")
        layout = RowLayout.of(parts)
        sent = np.array([[len(part), layout.fingerprint] for part in parts], np.int64)
        received = np.empty_like(sent)
        with self._errors():
            self._wait([self._comm.Ialltoall([sent, self._mpi.INT64_T], [received, self._mpi.INT64_T])])
        _check(sent, layout)
        arrived = [layout.empty(rows) for rows in _check(received, layout)]
        arrived[self.rank] = parts[self.rank]
        self._swap(parts, arrived, layout)
        return arrived

    def gather(self, array: np.ndarray) -> List[np.ndarray]:
        """See `Exchange`."""
        layout = RowLayout.of([array])
        heads = np.empty((self.size, 2), np.int64)
        own = np.array([len(array), layout.fingerprint], np.int64)
        with self._errors():
            self._wait([self._comm.Iallgather([own, self._mpi.INT64_T], [heads, self._mpi.INT64_T])])
        ends = np.cumsum(_check(heads, layout))
        arrived = np.split(layout.empty(int(ends[-1])), ends[:-1])
        arrived[self.rank][...] = array
        self._swap([array] * self.size, arrived, layout)
        return arrived

    def broadcast(self, content: bytes, root: int = 0) -> bytes:
        """See `Exchange`."""
        if not 0 <= root < self.size:
            raise ValueError(f"expected a root from 0 to {self.size - 1}, not {root}")
        size = np.array([len(content)], np.int64)
        with self._errors():
            self._wait([self._comm.Ibcast([size, self._mpi.INT64_T], root)])
            data = np.frombuffer(content, np.uint8) if self.rank == root else np.empty(int(size[0]), np.uint8)
            for start in range(0, len(data), LARGEST_COUNT):
                self._wait([self._comm.Ibcast([data[start : start + LARGEST_COUNT], self._mpi.BYTE], root)])
        return content if self.rank == root else data.tobytes()

    def close(self) -> None:
        """See `Exchange`: waits until all ranks have closed."""
        if not self._closed:
            self._closed = True
            with self._errors():
                self._wait([self._comm.Ibarrier()])
                self._mpi.Finalize()

    def _swap(self, parts: Sequence[np.ndarray], arrived: Sequence[np.ndarray], layout: RowLayout) -> None:
        """Send `parts[r]` to rank r, fill `arrived[r]` with what it sends; as they lie in memory, without a copy."""
        if not layout.nbytes:
            return
        others = [(self.rank + step) % self.size for step in range(1, self.size)]  # not all to rank 0 first
        with self._errors():
            requests = [self._comm.Irecv(self._rows(arrived[r], layout), r) for r in others[::-1] if len(arrived[r])]
            requests += [self._comm.Isend(self._rows(parts[r], layout), r) for r in others if len(parts[r])]
            self._wait(requests)

    def _wait(self, requests: List[Any]) -> None:
        """Until they are done; a lost rank needs no look, mpirun ends us."""
        wait_until(lambda: self._mpi.Request.Testall(requests), AWAKE, look=lambda waited: None)

    def _rows(self, array: np.ndarray, layout: RowLayout) -> Tuple[np.ndarray, int, Any]:
        row_type = self._row_types.get(layout.nbytes)
        if row_type is None:
            row_type = self._row_types[layout.nbytes] = self._mpi.BYTE.Create_contiguous(layout.nbytes).Commit()
        return as_bytes(array), len(array), row_type

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except self._mpi.Exception as error:
            raise ExchangeError(f"MPI: {error}") from error


def _start_mpi() -> ModuleType:
    """MPI, started, and not ended by itself at exit: that would wait for the others in a rank that failed."""
    import mpi4py

    mpi4py.rc.thread_level = "serialized"  # one thread at a time calls, not always the first
    mpi4py.rc.finalize = False
    try:
        from mpi4py import MPI
    except RuntimeError as error:  # no MPI library was found
        raise ExchangeError(f"MPI: {' '.join(str(error).split())}") from error
    if MPI.Is_finalized():
        raise ExchangeError("MPI was ended in this process and cannot start again")
    return MPI


def _check(heads: np.ndarray, layout: RowLayout) -> np.ndarray:
    """The numbers of rows of heads, int64 [ranks, 2]: rows and fingerprint of their layout."""
    counts = heads[:, 0]
    layout.check(heads[:, 1])
    if counts.max() > LARGEST_COUNT:
        raise ValueError(f"expected at most {LARGEST_COUNT} rows, not {counts.max()}")
    return counts
