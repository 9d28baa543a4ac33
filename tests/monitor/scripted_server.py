"""A server with the page and a status that a test writes, on a free port of this machine."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import Any, Dict, Iterator, List, Optional

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from mindspore_rec.monitor.page import page_routes

CREATED = 1_764_000_000.0  # of version 1; one publication each four seconds after it


def publication(version: int, held: str = "", **metrics: float) -> Dict[str, Any]:
    """One entry of ``publications``: version 1 is full, held ones have a reason."""
    wave = (version * 7919 % 13) / 1000
    known = {
        "rows": 70_000.0 + version,
        "auc": 0.78 + 0.0004 * version + wave,
        "log_loss": 0.47 - 0.0003 * version - wave,
        "calibration": 1.004 + wave * (-1) ** version,
        "window_auc": 0.785 + 0.0004 * version,
        "window_log_loss": 0.468 - 0.0003 * version,
        "window_calibration": 1.002,
        "rows_trained": 70_000.0 * version,
        "rows_rejected": 12.0,
        "rows_skipped": 0.0,
        "samples_per_s": 17_500.0 + 900 * (version % 5),
        "lag_messages": 12.0,
        "table_deep_rows": 400_000.0 + 900 * version,
        "table_deep_mib": 62.5,
        "table_deep_evicted": 1_200.0,
    }
    created = CREATED + 4 * version
    return {
        "version": version,
        "kind": "full" if version == 1 else "delta",
        "created": created,
        "data_time": int((created - 1.3) * 1000),
        "step": 70 * version,
        "held": held,
        "bytes": (61 << 20) if version == 1 else (3 << 20) + 1000 * version,
        "metrics": {**known, **metrics},
    }


def status(publications: List[Dict[str, Any]], served: Optional[int] = None, **changed: Any) -> Dict[str, Any]:
    """A status that follows and serves ``served``; default: the newest that is not held."""
    numbers = [entry["version"] for entry in publications if not entry["held"]]
    number = served if served is not None else (numbers[-1] if numbers else None)
    found = next((entry for entry in publications if entry["version"] == number), None)
    version = found and {
        "number": number,
        "identity": "5b1d0c9e",
        "step": found["step"],
        "data_time": found["data_time"],
        "spec_digest": "77aa",
    }
    said = {
        "name": "criteo",
        "version": version,
        "following": True,
        "newest": publications[-1]["version"] if publications else 0,
        "refused": "",
        "loaded_at": found["created"] + 0.4 if found else 0.0,
        "pinned": False,
        "tables": {"deep": 400_000} if found else {},
        "click_to_servable_p50_s": 3.1 if found else None,
        "click_to_servable_p99_s": 5.8 if found else None,
        "requests": {"count": 12345, "failed": 3, "rate_per_s": 118.0, "p50_ms": 2.13, "p99_ms": 7.9},
        "publications": publications,
    }
    return {**said, **changed}


class ScriptedServer:
    """What ``/v1/status`` answers: ``status``, or ``content`` as it is; 401 without ``token``, if one is set."""

    def __init__(self, first: Dict[str, Any]) -> None:
        self.status: Any = first
        self.content: Optional[bytes] = None
        self.code = 200
        self.token = ""
        self.asked: List[str] = []  # the Authorization of each request
        self.app = Starlette(routes=[Route("/v1/status", self._answer), *page_routes()])

    async def _answer(self, request: Request) -> Response:
        given = request.headers.get("authorization", "")
        self.asked.append(given)
        if self.token and given != f"Bearer {self.token}":
            return JSONResponse({"error": "a token is needed"}, 401, {"WWW-Authenticate": 'Basic realm="model server"'})
        if self.content is not None:
            return Response(self.content, self.code)
        return JSONResponse(self.status, self.code)

    @contextlib.contextmanager
    def running(self, port: int = 0) -> Iterator[int]:
        """Serve on ``port``, 0 for a free one, which is given."""
        listening = socket.socket()
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("127.0.0.1", port))
        listening.listen()  # asked before uvicorn runs, a request waits
        config = uvicorn.Config(self.app, log_level="error", lifespan="off", timeout_graceful_shutdown=1)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join(20)
            listening.close()
            assert not thread.is_alive()
