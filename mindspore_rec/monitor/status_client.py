"""Asks a model server for its status over HTTP. Redirects are not followed and answers have a largest size."""

from __future__ import annotations

import http.client
import json
import time
from typing import Any, Callable, Dict
from urllib.parse import urlsplit

from mindspore_rec.config import ConfigError, UserError

LARGEST = 16 << 20
"""Bytes of an answer; 500 publications are some 500 kB."""


class NoStatusError(UserError):
    """The server cannot be reached, or what it answers is no status. It may be back later."""


class AccessError(UserError):
    """The server wants another token, or one at all."""


class StatusClient:
    """Where the status of one server is.

    Args:
        address: ``http://HOST:PORT`` or ``https://HOST:PORT``, with the path of a proxy after it if there is one.
        token: sent as the bearer token; empty: none.
        timeout: seconds for one answer as a whole.
        clock: seconds, monotonic.

    Raises:
        ConfigError: the address is none.
    """

    def __init__(
        self, address: str, token: str = "", timeout: float = 5.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        wrong = ConfigError(f"address = {address!r}: expected http://HOST:PORT or https://HOST:PORT")
        try:
            parts = urlsplit(address)
            self._host, self._port = parts.hostname or "", parts.port
        except ValueError:
            raise wrong from None
        plain = address.isascii() and address.isprintable() and " " not in address
        if parts.scheme not in ("http", "https") or not self._host or not plain:
            raise wrong
        if parts.username is not None or parts.query or parts.fragment:
            raise wrong
        self._secure = parts.scheme == "https"
        self._path = f"{parts.path.rstrip('/')}/v1/status"
        self._token = token
        self._timeout = timeout
        self._clock = clock

    def fetch(self) -> Dict[str, Any]:
        """The status, as the server says it.

        Raises:
            NoStatusError: there is none, for a reason that may pass.
            AccessError: the server wants another token.
        """
        kind = http.client.HTTPSConnection if self._secure else http.client.HTTPConnection
        connection = kind(self._host, self._port, timeout=self._timeout)
        try:
            return self._asked(connection)
        except (OSError, http.client.HTTPException) as error:
            why = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise NoStatusError(f"no answer from the server: {' '.join(str(why).split())}") from None
        finally:
            connection.close()

    def _asked(self, connection: http.client.HTTPConnection) -> Dict[str, Any]:
        deadline = self._clock() + self._timeout
        headers = {"Accept": "application/json"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        connection.request("GET", self._path, headers=headers)
        answer = connection.getresponse()
        if answer.status == 401:
            said = "did not take this token" if self._token else "asks for a token"
            raise AccessError(f"the server {said}: expected --token_file FILE with the one it was started with")
        if answer.status != 200:
            raise NoStatusError(f"no status from the server: it answers {answer.status}, expected 200")
        content = bytearray()
        while True:
            piece = answer.read1(1 << 16)
            if not piece:
                break
            content += piece
            if len(content) > LARGEST:
                raise NoStatusError(f"no status from the server: its answer is larger than {LARGEST >> 20} MiB")
            if self._clock() > deadline:
                raise NoStatusError(f"no status from the server: its answer takes longer than {self._timeout:g} s")
        try:
            status = json.loads(content)
        except (ValueError, RecursionError):
            status = None
        if not isinstance(status, dict):
            raise NoStatusError("no status from the server: its answer is not understood")
        return status
