from __future__ import annotations

import contextlib
import socket
import struct
import time
from typing import Iterator, Tuple

import pytest

from mindspore_rec.distributed.exchange import ExchangeError
from mindspore_rec.distributed.scheduler_watch import UNREACHABLE_SECONDS, SchedulerWatch

GONE = "is gone, as it is when a rank was lost"


@pytest.fixture
def watched() -> Iterator[Tuple[SchedulerWatch, socket.socket, socket.socket]]:
    """A watch, the socket that listens, and the watch's connection as the scheduler has it."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        watch = stack.enter_context(contextlib.closing(SchedulerWatch(listener.getsockname())))
        yield watch, listener, stack.enter_context(listener.accept()[0])


def look_until_gone(watch: SchedulerWatch) -> str:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            watch.look()
        except ExchangeError as error:
            return str(error)
        time.sleep(0.01)  # a poll with a deadline
    return "nothing"


def test_one_that_says_nothing_or_something_is_there(
    watched: Tuple[SchedulerWatch, socket.socket, socket.socket],
) -> None:
    watch, _, connection = watched
    for said in (b"", b"x" * 10000):
        connection.sendall(said)
        for _ in range(5):
            watch.look()


@pytest.mark.parametrize("abruptly", [False, True])
def test_one_that_ended_is_gone_also_when_another_listens_there(
    abruptly: bool, watched: Tuple[SchedulerWatch, socket.socket, socket.socket]
) -> None:
    watch, _, connection = watched
    if abruptly:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
    assert GONE in look_until_gone(watch)


def test_one_that_is_not_there_is_gone() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = listener.getsockname()
    with pytest.raises(ExchangeError, match=rf"the scheduler at 127.0.0.1:{address[1]} {GONE}"):
        SchedulerWatch(address)


def test_the_network_may_be_away_for_a_minute(watched: Tuple[SchedulerWatch, socket.socket, socket.socket]) -> None:
    """The cut itself is in tests/hosts."""
    watch, _, _ = watched
    link = watch._connection
    assert link.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
    first, pause, count = (
        link.getsockopt(socket.IPPROTO_TCP, option)
        for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
    )
    assert first + pause * count == UNREACHABLE_SECONDS + first
