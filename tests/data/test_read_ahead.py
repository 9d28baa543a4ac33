from __future__ import annotations

import threading
import time
from typing import Any, Callable, Iterator, List, Type

import pytest

from mindspore_rec.data.read_ahead import read_ahead

DEADLINE = 60.0


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def threads() -> List[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "read-ahead"]


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    before = threads()
    yield
    assert [thread for thread in threads() if thread not in before] == []


@pytest.mark.parametrize("depth", [1, 2, 1000])
@pytest.mark.parametrize("count", [0, 1, 2, 300])
def test_the_same_items_in_the_same_order(count: int, depth: int) -> None:
    assert list(read_ahead(iter(range(count)), depth)) == list(range(count))


def test_any_object_may_be_an_item() -> None:
    items = [None, ValueError("an item"), (), (None,), StopIteration(), KeyboardInterrupt()]
    assert list(read_ahead(iter(items), 2)) == items


def test_items_are_made_in_another_thread() -> None:
    def items() -> Iterator[threading.Thread]:
        yield threading.current_thread()

    assert list(read_ahead(items(), 1)) != [threading.current_thread()]


@pytest.mark.parametrize("depth", [1, 3])
def test_it_reads_depth_items_ahead_and_no_more(depth: int) -> None:
    made = asked = most = 0

    def items() -> Iterator[int]:
        nonlocal made, most
        for i in range(60):
            made += 1
            most = max(most, made - asked)
            yield i

    found = []
    reading = read_ahead(items(), depth)
    assert made == 0
    for i in range(60):
        asked += 1
        found.append(next(reading))
        wait_until(lambda: made >= min(60, i + 1 + depth))  # noqa: B023 - called at once
    assert list(reading) == [] and found == list(range(60))
    assert most <= depth


@pytest.mark.parametrize("error", [ValueError, OSError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("good", [0, 1, 5])
def test_an_error_comes_after_the_items_before_it(good: int, error: Type[BaseException]) -> None:
    def items() -> Iterator[int]:
        yield from range(good)
        raise error("at its place")

    reading = read_ahead(items(), 2)
    assert [next(reading) for _ in range(good)] == list(range(good))
    with pytest.raises(error, match=r"^at its place$"):
        next(reading)
    assert list(reading) == []


def test_closing_early_ends_the_thread() -> None:
    made: List[None] = []

    def items() -> Iterator[int]:
        while True:
            made.append(None)
            yield len(made)

    reading: Any = read_ahead(items(), 2)
    assert [next(reading), next(reading)] == [1, 2]
    assert len(threads()) == 1
    reading.close()
    assert threads() == []
    assert len(made) <= 2 + 2


def test_letting_go_ends_the_thread() -> None:
    reading = read_ahead(iter(range(100)), 2)
    assert next(reading) == 0
    assert len(threads()) == 1
    del reading
    wait_until(lambda: threads() == [])


def test_closing_waits_for_the_item_in_the_making() -> None:
    begun, go_on, ended = threading.Event(), threading.Event(), threading.Event()

    def items() -> Iterator[int]:
        yield 0
        begun.set()
        go_on.wait(DEADLINE)
        ended.set()
        yield 1

    reading: Any = read_ahead(items(), 1)
    next(reading)
    assert begun.wait(DEADLINE)
    threading.Timer(0.0, go_on.set).start()
    reading.close()
    assert ended.is_set() and threads() == []


def test_an_error_nobody_waits_for_is_dropped() -> None:
    raised = threading.Event()

    def items() -> Iterator[int]:
        yield 0
        raised.set()
        raise ValueError("too late")

    reading: Any = read_ahead(items(), 1)
    assert next(reading) == 0
    assert raised.wait(DEADLINE)
    reading.close()


def test_no_thread_before_the_first_item_is_asked_for() -> None:
    reading = read_ahead(iter([1]), 1)
    assert threads() == []
    assert next(reading) == 1
    assert list(reading) == []


def test_readers_do_not_disturb_each_other() -> None:
    readings: List[Any] = [read_ahead(iter(range(k, 200 + k)), 2) for k in range(4)]
    assert list(zip(*readings)) == [(i, i + 1, i + 2, i + 3) for i in range(200)]
    for reading in readings:
        reading.close()
