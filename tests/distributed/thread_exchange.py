"""Ranks that are threads of one process: the exchange without a launcher."""

from __future__ import annotations

import threading
from typing import Any, Callable, List, Sequence

import numpy as np

SECONDS = 10.0


class ThreadExchange:
    """See `Exchange`; what the tests here need of it."""

    def __init__(self, rank: int, size: int, meeting: threading.Barrier, told: List[Any]) -> None:
        self.rank, self.size, self._meeting, self._told = rank, size, meeting, told

    def sum(self, array: np.ndarray) -> np.ndarray:
        return np.asarray(sum(self.gather(array)))

    def all_to_all(self, parts: Sequence[np.ndarray]) -> List[np.ndarray]:
        return [told[self.rank] for told in self._tell(list(parts))]

    def gather(self, array: np.ndarray) -> List[np.ndarray]:
        return self._tell(array)

    def _tell(self, content: Any) -> List[Any]:
        self._told[self.rank] = content
        self._meeting.wait(SECONDS)
        found = list(self._told)
        self._meeting.wait(SECONDS)
        return found


def run_ranks(size: int, run: Callable[[Any], Any]) -> List[Any]:
    """Call `run` with the exchange of each of `size` ranks, side by side; what it returned, by rank."""
    meeting, told = threading.Barrier(size), [None] * size
    results: List[Any] = [None] * size
    errors: List[BaseException] = []

    def call(rank: int) -> None:
        try:
            results[rank] = run(ThreadExchange(rank, size, meeting, told))
        except BaseException as error:
            errors.append(error)
            meeting.abort()

    threads = [threading.Thread(target=call, args=(rank,)) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return results
