"""Errors as clients see them: a status and `{"error": "..."}`, with the number of the row at fault where one is."""

from __future__ import annotations

from typing import Any, Dict, Mapping, Optional

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

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


def handlers(model: str) -> Dict[Any, Any]:
    """What Starlette calls with an exception, by its class.

    Args:
        model: path of the model, for those who ask for another.
    """

    async def on_http_error(request: Request, error: HttpError) -> Response:
        return error.response()

    async def on_no_route(request: Request, error: HTTPException) -> Response:
        path = request.url.path
        hint = f"; expected {model} or {model}:predict" if path.startswith("/v1/models") else ""
        message = {
            404: f"{path}: no such route{hint}",
            405: f"{request.method} {path}: expected {(error.headers or {}).get('Allow', 'another method')}",
        }.get(error.status_code, error.detail)
        return HttpError(error.status_code, message, headers=error.headers).response()

    async def on_bug(request: Request, error: Exception) -> Response:
        """The traceback is for our log: uvicorn writes it there."""
        return HttpError(500, "internal error", headers=CLOSE).response()

    return {HttpError: on_http_error, HTTPException: on_no_route, Exception: on_bug}
