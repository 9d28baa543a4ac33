"""Which ranks of a job hold tables, and which read data."""

from __future__ import annotations

from mindspore_rec.distributed.exchange import Alone
from mindspore_rec.train.place import ALONE, Place


class Rank(Alone):
    """One of three; nothing is said."""

    def __init__(self, rank: int) -> None:
        self.rank, self.size = rank, 3


def test_workers_come_first_and_servers_hold_the_tables() -> None:
    for servers, owners, workers in ((0, [0, 1, 2], 3), (1, [2], 2), (2, [1, 2], 1)):
        places = [Place(Rank(rank), servers) for rank in range(3)]
        assert {tuple(place.owners) for place in places} == {tuple(owners)}
        assert [place.reads for place in places] == [rank < workers for rank in range(3)]
        assert {place.workers for place in places} == {workers}


def test_a_process_of_its_own_does_both() -> None:
    assert (list(ALONE.owners), ALONE.reads, ALONE.workers, ALONE.staleness) == ([0], True, 1, 0)
