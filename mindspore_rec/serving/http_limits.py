"""What a client may ask of the server: how large, how slow, and how many at a time."""

from __future__ import annotations

import asyncio
import time
from types import TracebackType
from typing import Callable, Optional, Type

from starlette.requests import ClientDisconnect, Request

from mindspore_rec.serving.http_errors import CLOSE, LATER, HttpError


async def read_body(request: Request, limit: int, seconds: float) -> bytes:
    """The body of a request.

    Args:
        request: of which nothing was read yet.
        limit: bytes it may have.
        seconds: in which it has to arrive.

    Raises:
        HttpError: it is too large, too slow, compressed, or ends too early.
    """
    encoding = request.headers.get("content-encoding", "identity")
    if encoding != "identity":
        raise HttpError(415, f"Content-Encoding {encoding!r}: expected a body that is not compressed", headers=CLOSE)
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > limit:
        raise _too_large(limit)
    try:
        return await asyncio.wait_for(_collected(request, limit), seconds)
    except asyncio.TimeoutError:
        raise HttpError(408, f"the body did not arrive within {seconds:g} s", headers=CLOSE) from None
    except ClientDisconnect:
        raise HttpError(400, "the body ends too early", headers=CLOSE) from None


class InFlight:
    """The requests being answered; while it is entered one more is.

    After `drain` no more are taken. Only the thread of the event loop calls, but `drain`, which a signal handler may.

    Args:
        most: requests at a time.
        clock: seconds that only go up.
    """

    def __init__(self, most: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.count = 0
        self.draining = False
        self._most = most
        self._clock = clock
        self._deadline = float("inf")

    def drain(self, seconds: float) -> None:
        """Take no more requests; those that are there have `seconds` left."""
        if not self.draining:
            self._deadline = self._clock() + seconds
            self.draining = True

    @property
    def seconds_left(self) -> float:
        """Until those that are there are given up; infinite while not draining."""
        return max(0.0, self._deadline - self._clock())

    def __enter__(self) -> InFlight:
        if self.draining:
            raise HttpError(503, "the server is stopping", headers={**LATER, **CLOSE})
        if self.count >= self._most:
            raise HttpError(503, f"overloaded: {self.count} requests are being answered", headers=LATER)
        self.count += 1
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self.count -= 1


async def _collected(request: Request, limit: int) -> bytes:
    chunks, size = [], 0
    async for chunk in request.stream():
        chunks.append(chunk)
        size += len(chunk)
        if size > limit:
            raise _too_large(limit)
    return b"".join(chunks)


def _too_large(limit: int) -> HttpError:
    return HttpError(413, f"the body is larger than {limit} bytes", headers=CLOSE)
