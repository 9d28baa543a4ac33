from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from dataclasses import dataclass
from typing import Iterator

import pytest

from mindspore_rec.distributed.exchange import ExchangeError
from mindspore_rec.distributed.scheduler_watch import UNREACHABLE_SECONDS, SchedulerWatch

GONE = "is gone, as it is when a rank was lost"


@dataclass
class Watched:
    """A watch, the watch's connection as the scheduler has it, and whether the process would have been ended."""

    watch: SchedulerWatch
    connection: socket.socket
    ended: threading.Event


@pytest.fixture
def watched() -> Iterator[Watched]:
    """Of a scheduler whose port stays open: another one listens there."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        ended = threading.Event()
        watch = SchedulerWatch(listener.getsockname(), ended.set, grace=0.5)
        stack.enter_context(contextlib.closing(watch))
        yield Watched(watch, stack.enter_context(listener.accept()[0]), ended)


def look_until_gone(watch: SchedulerWatch) -> str:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            watch.look()
        except ExchangeError as error:
            return str(error)
        time.sleep(0.01)  # a poll with a deadline
    return "nothing"


def test_one_that_says_nothing_or_something_is_there(watched: Watched) -> None:
    for said in (b"", b"x" * 10000):
        watched.connection.sendall(said)
        assert not watched.ended.wait(0.6)
        watched.watch.look()


@pytest.mark.parametrize("abruptly", [False, True])
def test_one_that_ended_is_gone_also_when_another_listens_there(abruptly: bool, watched: Watched) -> None:
    if abruptly:
        watched.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    watched.connection.close()
    assert GONE in look_until_gone(watched.watch)
    assert watched.ended.wait(10), "a rank inside a collective has to be ended"


def test_a_rank_that_leaves_is_not_ended(watched: Watched) -> None:
    watched.watch.close()
    watched.connection.close()
    watched.watch.look()
    assert not watched.ended.wait(0.6)


def test_one_that_is_not_there_is_gone() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = listener.getsockname()
    with pytest.raises(ExchangeError, match=rf"the scheduler at 127.0.0.1:{address[1]} {GONE}"):
        SchedulerWatch(address, pytest.fail)


def test_the_network_may_be_away_for_a_minute(watched: Watched) -> None:
    """The cut itself is in tests/hosts."""
    link = watched.watch._connection
    assert link.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
    pause, count = (
        link.getsockopt(socket.IPPROTO_TCP, option) for option in (socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
    )
    assert pause * count == UNREACHABLE_SECONDS
