"""Shares of work in forked processes: results, errors, and processes that are killed."""

import os
import signal
import time
from functools import partial
from typing import List, Sequence

import pytest

from mindspore_rec.config import UserError
from mindspore_rec.data.share_processes import Shared, ShareRunner, Worker

DEADLINE = 60.0


def nothing() -> None:
    """What needs no preparation."""


def fail() -> None:
    raise UserError("cannot prepare")


def square(share: Sequence[int], shared: Shared) -> None:
    for item in share:
        shared.add_rows(item)
        shared.results.put((item, (item * item, os.getpid(), os.getppid())))


def die_at(number: int, share: Sequence[int], shared: Shared) -> None:
    if number in share:
        os.kill(os.getpid(), signal.SIGKILL)
    end = time.monotonic() + DEADLINE
    while not shared.stop.value and time.monotonic() < end:
        time.sleep(0.005)  # a poll with a deadline


def refuse(share: Sequence[int], shared: Shared) -> None:
    raise UserError(f"no {share[0]}")


def load(worker: Worker) -> Worker:
    return worker


SHARES = [[1, 2], [3], [4, 5, 6]]


def test_each_share_has_a_process_and_all_report() -> None:
    seen: List[int] = []
    with ShareRunner(nothing, 3) as runner:
        results = runner.run(partial(load, square), SHARES, seen.append)
    assert {item: result[0] for item, result in results.items()} == {n: n * n for n in range(1, 7)}
    first = results[1][1]
    assert [len({results[item][1] for item in share}) for share in SHARES] == [1, 1, 1]
    assert len({result[1] for result in results.values()}) == 3
    assert results[1][2] == os.getpid() and results[3][2] == results[4][2] == first, "one loads and forks the others"
    assert sum(seen) <= 21


@pytest.mark.parametrize("prepare", [nothing, fail])
def test_without_work_nothing_is_left(prepare: object) -> None:
    with ShareRunner(prepare, 3) as runner:  # type: ignore[arg-type]
        process = runner._first
    assert process.exitcode == 0


def test_errors_are_raised_here() -> None:
    with pytest.raises(UserError, match="cannot prepare"), ShareRunner(fail, 3) as runner:
        runner.run(partial(load, square), SHARES, lambda rows: None)
    with pytest.raises(UserError, match=r"no [134]"), ShareRunner(nothing, 3) as runner:
        runner.run(partial(load, refuse), SHARES, lambda rows: None)


@pytest.mark.parametrize("number", [1, 4], ids=["the first", "a forked one"])
def test_a_killed_process_is_told(number: int) -> None:
    with pytest.raises(UserError, match="killed"), ShareRunner(nothing, 3) as runner:
        runner.run(partial(load, partial(die_at, number)), SHARES, lambda rows: None)
