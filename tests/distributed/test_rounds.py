"""Rounds: what each rank gets, when they end, and that nothing is passed over in silence."""

from __future__ import annotations

import threading
from typing import Any, List, Optional, Sequence

import numpy as np
import pytest

from mindspore_rec.distributed.exchange import Alone
from mindspore_rec.distributed.rounds import latest, rounds


class Threads:
    """An exchange of ranks that are threads: sums alone."""

    def __init__(self, rank: int, size: int, meeting: threading.Barrier, told: List[Any]) -> None:
        self.rank, self.size, self._meeting, self._told = rank, size, meeting, told

    def sum(self, array: np.ndarray) -> np.ndarray:
        parts = self.gather(array)
        return np.asarray(sum(parts))

    def gather(self, array: np.ndarray) -> List[np.ndarray]:
        self._told[self.rank] = array
        self._meeting.wait(10)
        parts = list(self._told)
        self._meeting.wait(10)
        return parts


def batch(rows: int) -> Any:
    return (np.zeros((rows, 2)),), rows


def together(given: Sequence[Sequence[int]], stops_after: Sequence[Optional[int]]) -> List[List[Any]]:
    """Rows of the batches that each rank gets; rank r wants to stop after so many of its rounds."""
    size = len(given)
    meeting, told = threading.Barrier(size), [None] * size
    found: List[List[Any]] = [[] for _ in given]

    def run(rank: int) -> None:
        after = stops_after[rank]
        batches = iter([batch(rows) for rows in given[rank]])
        exchange: Any = Threads(rank, size, meeting, told)
        for own in rounds(batches, exchange, lambda: after is not None and len(found[rank]) >= after):
            found[rank].append(None if own is None else own[1])

    threads = [threading.Thread(target=run, args=(rank,)) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()
    return found


def test_a_rank_whose_batches_have_ended_goes_on_with_none() -> None:
    assert together([[4, 4, 4], [4]], [None, None]) == [[4, 4, 4], [4, None, None]]
    assert together([[], [2, 2]], [None, None]) == [[None, None], [2, 2]]


def test_a_round_without_rows_on_any_rank_is_left_out_and_one_of_some_is_not() -> None:
    assert together([[4, 0, 0, 4], [0, 0, 4, 4]], [None, None]) == [[4, 0, 4], [0, 4, 4]]


def test_all_ranks_end_when_one_wants_to_stop() -> None:
    assert together([[4] * 9, [4] * 9], [None, 2]) == [[4, 4], [4, 4]]


def test_alone_nothing_is_fetched_after_a_stop() -> None:
    fetched: List[int] = []

    def batches() -> Any:
        for k in range(9):
            fetched.append(k)
            yield batch(4)

    seen: List[Any] = []
    for own in rounds(batches(), Alone(), lambda: len(seen) >= 2):
        seen.append(own)
    assert (len(seen), fetched) == (2, [0, 1])


@pytest.mark.parametrize("time", [-1, 1_795_273_474_832])
def test_the_latest_event_time_is_exact(time: int) -> None:
    assert latest(Alone(), time) == time
