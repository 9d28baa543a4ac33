"""What every request passes on its way in and out: the token, counts and times, and goodbye when the server stops."""

from __future__ import annotations

import base64
import binascii
import hmac
import time
from pathlib import Path
from typing import Callable, Collection, Optional

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mindspore_rec.config import ConfigError
from mindspore_rec.serving.http_errors import HttpError
from mindspore_rec.serving.http_limits import InFlight

OPEN_PATHS = ("/healthz", "/readyz")
_MAX_TOKEN = 4096
_CHALLENGES = (("WWW-Authenticate", "Bearer"), ("WWW-Authenticate", 'Basic realm="model server"'))


class Token:
    """The secret that clients send, as `Authorization: Bearer TOKEN` or, from a browser, as the password of any user.

    Args:
        secret: the token.
    """

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def allows(self, authorization: str) -> bool:
        """Whether an Authorization header has the token; how long that takes says nothing of the token."""
        scheme, _, credentials = authorization.partition(" ")
        given = credentials.strip().encode("latin-1", "replace")
        if scheme.lower() == "basic":
            try:
                given = base64.b64decode(given, validate=True).partition(b":")[2]
            except binascii.Error:
                return False
        elif scheme.lower() != "bearer":
            return False
        return hmac.compare_digest(given, self._secret)


def read_token(file: Optional[str]) -> Optional[Token]:
    """The token in a file, which may end with a newline; None where no file is named.

    Raises:
        ConfigError: it cannot be read, or has no token.
    """
    if file is None:
        return None
    try:
        with Path(file).open("rb") as opened:
            secret = opened.read(_MAX_TOKEN + 1).strip()
    except OSError as error:
        raise ConfigError(f"token_file: {file}: {error.strerror}") from None
    if not secret or len(secret) > _MAX_TOKEN or not all(0x21 <= byte <= 0x7E for byte in secret):
        raise ConfigError(f"token_file: {file}: expected a token of printable ASCII without blanks")
    return Token(secret)


class Gate:
    """ASGI middleware: refuses who has no token, tells what was answered and when, closes connections when stopping.

    Args:
        app: the rest.
        token: to ask for; None: nobody is asked.
        open_paths: where nobody is asked either.
        in_flight: says when the server is stopping.
        on_answer: told the path, the status and the seconds of each request.
    """

    def __init__(
        self,
        app: ASGIApp,
        token: Optional[Token],
        open_paths: Collection[str],
        in_flight: InFlight,
        on_answer: Callable[[str, int, float], None],
    ) -> None:
        self._app = app
        self._token = token
        self._open_paths = frozenset(open_paths)
        self._in_flight = in_flight
        self._on_answer = on_answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        started, status = time.perf_counter(), 500  # which it stays where the rest raises

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                if self._in_flight.draining:
                    MutableHeaders(scope=message)["Connection"] = "close"
            await send(message)

        try:
            if self._may_pass(scope):
                await self._app(scope, receive, sending)
            else:
                await _refused(scope, receive, sending)
        finally:
            self._on_answer(scope["path"], status, time.perf_counter() - started)

    def _may_pass(self, scope: Scope) -> bool:
        if self._token is None or scope["path"] in self._open_paths:
            return True
        return self._token.allows(Headers(scope=scope).get("authorization", ""))


async def _refused(scope: Scope, receive: Receive, send: Send) -> None:
    response = HttpError(401, "expected the header Authorization: Bearer TOKEN").response()
    for name, value in _CHALLENGES:
        response.headers.append(name, value)
    response.headers["Connection"] = "close"  # the body was not read
    await response(scope, receive, send)
