"""The process that serves: its socket, uvicorn, and how it stops."""

from __future__ import annotations

import ipaddress
import logging
import signal
import socket
from types import FrameType
from typing import Callable, Optional

import uvicorn
from starlette.applications import Starlette

from mindspore_rec.config import UserError
from mindspore_rec.serve_config import ServeConfig
from mindspore_rec.serving.http_connections import watched_protocol
from mindspore_rec.serving.server import ModelServer

logger = logging.getLogger(__name__)

_BACKLOG = 1024
_CLOSING_SECONDS = 1  # for answers to leave the buffers


class ListenError(UserError):
    """The address cannot be listened on."""


def listen(config: ServeConfig) -> socket.socket:
    """A socket bound to the host and port of a server; connections are refused until it is served.

    Raises:
        ListenError: the host is unknown, or the port is taken or not allowed.
    """
    where = f"{config.host}:{config.port}"
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            config.host, config.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (OSError, UnicodeError) as error:
        raise ListenError(f"host = {config.host!r}: {getattr(error, 'strerror', error)}") from None
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        listener.close()
        raise ListenError(f"port = {config.port}: cannot listen on {where}: {error.strerror}") from None
    if config.token_file is None and not ipaddress.ip_address(listener.getsockname()[0].split("%")[0]).is_loopback:
        logger.warning("%s is reachable from other machines and asks for no token: set --token_file", where)
    return listener


def url_of(listener: socket.socket) -> str:
    """The URL of what listens on a socket."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def run_server(app: Starlette, listener: socket.socket, on_ready: Callable[[int], None]) -> None:
    """Serve until SIGTERM or SIGINT, then answer the requests that are there and return.

    While they are answered, new ones get status 503 and /readyz says so; what is not answered within `drain_seconds`
    gets 503 too. A second signal ends at once.

    Args:
        app: of `create_app`.
        listener: of `listen`; closed here.
        on_ready: told the version when the first one is served.
    """
    server: ModelServer = app.state.server
    config = uvicorn.Config(
        app,
        http=watched_protocol(server.config.read_seconds),
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=_BACKLOG,
        limit_concurrency=server.config.max_connections,
        timeout_keep_alive=server.config.keep_alive_seconds,
        timeout_graceful_shutdown=_CLOSING_SECONDS,
    )
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)  # a line a malformed request would fill the log
    _DrainingServer(config, server, on_ready).run(sockets=[listener])


class _DrainingServer(uvicorn.Server):
    """uvicorn stops listening at the signal; this listens on until the requests that are there are answered."""

    def __init__(self, config: uvicorn.Config, server: ModelServer, on_ready: Callable[[int], None]) -> None:
        super().__init__(config)
        self._server = server
        self._on_ready: Optional[Callable[[int], None]] = on_ready

    def handle_exit(self, sig: int, frame: Optional[FrameType]) -> None:
        """Drain; the signal is not raised again at the end, so that the exit status is 0."""
        if self._server.in_flight.draining:
            self.should_exit = self.force_exit = True
            return
        self._server.in_flight.drain(self._server.config.drain_seconds)
        logger.info("%s: %d requests to answer", signal.Signals(sig).name, self._server.in_flight.count)

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second: is there a first version, is everything answered?"""
        in_flight = self._server.in_flight
        if self._on_ready is not None:
            version = self._server.predictor.status().version
            if version is not None:
                self._on_ready(version.number)
                self._on_ready = None
        if in_flight.draining and not in_flight.count:
            self.should_exit = True
        elif not in_flight.seconds_left:
            logger.warning("%d requests were not answered within drain_seconds", in_flight.count)
            self._server.close()
            self.should_exit = True
        return await super().on_tick(counter)
