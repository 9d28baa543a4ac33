"""Rounds: what each rank gets, when they end, and that nothing is passed over in silence."""

from __future__ import annotations

from typing import Any, List, Optional, Sequence

import numpy as np
import pytest

from mindspore_rec.distributed.exchange import Alone
from mindspore_rec.distributed.rounds import Rounds, Seen, seen_by_all
from tests.distributed.thread_exchange import run_ranks


def batch(rows: int) -> Any:
    return (np.zeros((rows, 2)),), rows


def together(
    given: Sequence[Sequence[int]], stops_after: Sequence[Optional[int]], ready: Optional[Sequence[bool]] = None
) -> List[List[Any]]:
    """Rows of the batches that each rank gets; rank r wants to stop after so many of its rounds.

    `ready`: all look ahead in each round; what each rank says then.
    """

    def run(exchange: Any) -> List[Any]:
        rank, found = exchange.rank, []
        after = stops_after[rank]
        own = Rounds(
            iter([batch(rows) for rows in given[rank]]), exchange, lambda: after is not None and len(found) >= after
        )
        for now in own:
            found.append(None if now is None else now[1])
            if ready is not None and own.look_ahead(ready[rank]):
                found[-1] = (found[-1], None if own.ahead is None else own.ahead[1])
        return [*found, "exhausted"] if own.exhausted else found

    return run_ranks(len(given), run)


def test_a_rank_whose_batches_have_ended_goes_on_with_none() -> None:
    assert together([[4, 4, 4], [4]], [None, None]) == [[4, 4, 4, "exhausted"], [4, None, None, "exhausted"]]
    assert together([[], [2, 2]], [None, None]) == [[None, None, "exhausted"], [2, 2, "exhausted"]]


def test_a_round_without_rows_on_any_rank_is_left_out_and_one_of_some_is_not() -> None:
    assert together([[4, 0, 0, 4], [0, 0, 4, 4]], [None, None]) == [[4, 0, 4, "exhausted"], [0, 4, 4, "exhausted"]]


def test_all_ranks_end_when_one_wants_to_stop() -> None:
    assert together([[4] * 9, [4] * 9], [None, 2]) == [[4, 4], [4, 4]]


def test_batches_that_another_rank_had_dropped_do_not_count_as_ended() -> None:
    assert together([[4, 4, 4], [4, 4, 4]], [2, None]) == [[4, 4], [4, 4]]
    assert together([[4, 4, 4], [4]], [2, None]) == [[4, 4], [4, None, "exhausted"]]


def test_the_next_round_can_be_had_before_its_turn() -> None:
    found = together([[4, 3, 2], [1]], [None, None], [True, True])
    assert found == [[(4, 3), (3, 2), 2, "exhausted"], [(1, None), (None, None), None, "exhausted"]]


def test_no_rank_waits_ahead_for_another() -> None:
    found = together([[4, 3, 2], [1]], [None, None], [False, True])
    assert found == [[4, 3, 2, "exhausted"], [1, None, None, "exhausted"]]
    found = together([[4, 3, 2], [1]], [None, None], [True, False])
    assert found == [[4, (3, 2), 2, "exhausted"], [1, (None, None), None, "exhausted"]], "its end was known by then"


def test_a_round_without_rows_is_not_waited_for_ahead() -> None:
    assert together([[4, 0, 0, 3]], [None], [True]) == [[4, 3, "exhausted"]]


@pytest.mark.parametrize("after", [1, 2, 3])
def test_a_round_that_was_had_ahead_is_dropped_by_a_stop(after: int) -> None:
    found = together([[4] * 9, [4] * 9], [None, after], [True, True])
    assert found == [[(4, 4)] * (after - 1) + [4]] * 2 or found == [[(4, 4)] * after] * 2


def test_alone_nothing_is_fetched_after_a_stop() -> None:
    fetched: List[int] = []

    def batches() -> Any:
        for k in range(9):
            fetched.append(k)
            yield batch(4)

    seen: List[Any] = []
    for own in Rounds(batches(), Alone(), lambda: len(seen) >= 2):
        seen.append(own)
    assert (len(seen), fetched) == (2, [0, 1])


def test_what_all_have_seen_is_exact() -> None:
    own = [Seen(1_795_273_474_832, 2**40), Seen(-1, 1), Seen(1_795_273_474_831, 0)]
    found = run_ranks(3, lambda exchange: seen_by_all(exchange, own[exchange.rank]))
    assert found == [Seen(1_795_273_474_832, 2**40 + 1)] * 3
    assert seen_by_all(Alone(), Seen()) == Seen(-1, 0)
