"""Connections of clients that send or take too slowly are ended; uvicorn itself waits for them forever.

The application watches over bodies. Here it is heads that do not arrive and answers that are not taken.
"""

from __future__ import annotations

import asyncio
from typing import Any, Optional, Type

from uvicorn.protocols.http.auto import AutoHTTPProtocol


def watched_protocol(seconds: float) -> Type[asyncio.Protocol]:
    """The HTTP protocol of uvicorn (httptools where installed, else h11), which aborts slow connections.

    Args:
        seconds: in which the head of a request has to arrive, from its first byte or the opening of the connection,
            and in which an answer that does not fit the buffers has to be taken.
    """
    base: Any = AutoHTTPProtocol

    class WatchedProtocol(base):
        _head: Optional[asyncio.TimerHandle] = None
        _answer: Optional[asyncio.TimerHandle] = None

        def connection_made(self, transport: asyncio.Transport) -> None:
            super().connection_made(transport)
            self._head = self.loop.call_later(seconds, transport.abort)

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if self.cycle is None or self.cycle.response_complete:  # bytes, but no head of a request yet
                self._head = self._head or self.loop.call_later(seconds, self.transport.abort)
            elif self._head is not None:
                self._head.cancel()
                self._head = None

        def pause_writing(self) -> None:
            super().pause_writing()
            self._answer = self._answer or self.loop.call_later(seconds, self.transport.abort)

        def resume_writing(self) -> None:
            super().resume_writing()
            if self._answer is not None:
                self._answer.cancel()
                self._answer = None

        def connection_lost(self, exc: Optional[Exception]) -> None:
            for timer in (self._head, self._answer):
                if timer is not None:
                    timer.cancel()
            super().connection_lost(exc)

    return WatchedProtocol
