"""Errors as clients see them: a status and `{"error": "..."}`, with the number of the row at fault where one is."""

from __future__ import annotations

import logging
from typing import Any, Dict, Mapping, Optional

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

logger = logging.getLogger(__name__)

CLOSE = {"Connection": "close"}
LATER = {"Retry-After": "1"}


class HttpError(Exception):
    """A request that is answered with an error.

    Args:
        status: of HTTP, 4xx or 5xx.
        message: one line for the client.
        row: number of the row at fault, where one is.
        headers: of the answer.
    """

    def __init__(
        self, status: int, message: str, row: Optional[int] = None, headers: Optional[Mapping[str, str]] = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.row = row
        self.headers = headers

    def response(self) -> Response:
        """The answer."""
        body: Dict[str, Any] = {"error": " ".join(self.message.split())}
        if self.row is not None:
            body["row"] = self.row
        return json_response(body, self.status, self.headers)


def json_response(body: Any, status: int = 200, headers: Optional[Mapping[str, str]] = None) -> Response:
    """An answer in JSON; numbers that are not finite become null."""
    content = orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS)
    return Response(content, status, headers, "application/json")


async def _on_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HttpError)  # noqa: S101  it is registered for these
    return error.response()


async def _on_no_route(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101  likewise
    message = {
        404: f"{request.url.path}: no such route",
        405: f"{request.method} {request.url.path}: expected {(error.headers or {}).get('Allow', 'another method')}",
    }.get(error.status_code, error.detail)
    return HttpError(error.status_code, message, headers=error.headers).response()


async def _on_bug(request: Request, error: Exception) -> Response:
    """The traceback is for our log: uvicorn writes it there."""
    return HttpError(500, "internal error", headers=CLOSE).response()


HANDLERS: Dict[Any, Any] = {HttpError: _on_http_error, HTTPException: _on_no_route, Exception: _on_bug}
"""For Starlette: by the class of the exception."""
