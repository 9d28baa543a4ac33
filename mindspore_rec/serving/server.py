"""The HTTP server of a model, as a Starlette application; docs/serving.md lists its routes.

It knows nothing of files and MindSpore: a predictor answers, this reads requests, batches them and writes answers.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import Any, AsyncIterator, Callable, Dict, Optional, Sequence, TypeVar

import orjson
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from mindspore_rec.config import UserError
from mindspore_rec.serve_config import ServeConfig
from mindspore_rec.serving.batching import Batcher
from mindspore_rec.serving.http_errors import LATER, HttpError, handlers, json_response
from mindspore_rec.serving.http_gate import OPEN_PATHS, Gate, read_token
from mindspore_rec.serving.http_limits import InFlight, read_body
from mindspore_rec.serving.predict_json import answer_of, parse_request
from mindspore_rec.serving.prediction import Prediction, PredictorLike
from mindspore_rec.serving.raw_rows import RowError
from mindspore_rec.serving.request_window import RequestWindow
from mindspore_rec.serving.server_metrics import PredictorMetrics, ServerMetrics
from mindspore_rec.serving.server_status import status_of

_MAX_COMMAND = 1 << 10
_PREDICT = ":predict"
T = TypeVar("T")


def create_app(
    predictor: PredictorLike,
    config: ServeConfig,
    routes: Sequence[Route] = (),
    *,
    registry: Optional[CollectorRegistry] = None,
    in_flight: Optional[InFlight] = None,
) -> Starlette:
    """The application; `app.state.server` is its `ModelServer`.

    Args:
        predictor: answers requests; the caller closes it.
        config: limits, the name of the model and the token.
        routes: more of them, such as those of a page; they are open to all.
        registry: of Prometheus; default: one of its own.
        in_flight: tells when the server stops; default: one of its own.

    Raises:
        ConfigError: the token file cannot be read.
    """
    token = read_token(config.token_file)
    server = ModelServer(
        predictor,
        config,
        in_flight or InFlight(config.max_requests),
        registry or CollectorRegistry(),
        token is not None,
    )

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        yield
        server.close()

    open_paths = [*OPEN_PATHS, *(route.path for route in routes)]
    gate = Middleware(Gate, token=token, open_paths=open_paths, in_flight=server.in_flight, on_answer=server.on_answer)
    app = Starlette(
        routes=[*server.routes(), *routes],
        middleware=[gate],
        exception_handlers=handlers(server.path),
        lifespan=lifespan,
    )
    app.state.server = server
    return app


class ModelServer:
    """What the routes of a server share.

    Args:
        predictor: answers requests.
        config: limits and the name of the model.
        in_flight: the requests that are being answered.
        registry: of Prometheus.
        has_token: clients are asked for a token.
    """

    def __init__(
        self,
        predictor: PredictorLike,
        config: ServeConfig,
        in_flight: InFlight,
        registry: CollectorRegistry,
        has_token: bool,
    ) -> None:
        self.predictor = predictor
        self.config = config
        self.in_flight = in_flight
        self.path = f"/v1/models/{config.name}"
        self._has_token = has_token
        self._requests = RequestWindow()
        self._metrics = ServerMetrics(registry)
        self._batcher = Batcher(predictor.predict, config.max_batch_rows, config.max_queue_rows, self._metrics.computed)
        registry.register(PredictorMetrics(predictor, lambda: self._batcher.waiting_rows))
        self._switching = threading.Lock()

    def routes(self) -> Sequence[Route]:
        """All routes but those of others."""
        return [
            Route(f"{self.path}{_PREDICT}", self.predict, methods=["POST"]),
            Route(f"{self.path}/versions/{{version}}{_PREDICT}", self.predict, methods=["POST"]),
            Route(self.path, self.model_status),
            Route(f"{self.path}/versions/{{version}}", self.model_status),
            Route("/v1/status", self.status),
            Route("/v1/rollback", self.rollback, methods=["POST"]),
            Route("/v1/follow", self.follow, methods=["POST"]),
            Route("/healthz", self.healthz),
            Route("/readyz", self.readyz),
            Route("/metrics", self.metrics),
        ]

    def close(self) -> None:
        """Give up the requests that are there; call it on the event loop."""
        self._batcher.close()

    def on_answer(self, path: str, status: int, seconds: float) -> None:
        """Count an answer of any path."""
        if path.endswith(_PREDICT):
            self._requests.add(seconds, status >= 400)
            self._metrics.answered(status, seconds)

    async def predict(self, request: Request) -> Response:
        """Answer POST .../NAME:predict and .../NAME/versions/N:predict."""
        with self.in_flight:
            try:
                return await asyncio.wait_for(self._predicted(request), self.config.request_seconds)
            except asyncio.TimeoutError:
                raise HttpError(504, f"no answer within {self.config.request_seconds:g} s", headers=LATER) from None

    async def _predicted(self, request: Request) -> Response:
        body = await read_body(request, self.config.max_body, self.config.read_seconds)
        wanted = parse_request(body, self.config.max_rows)
        version = self.predictor.status().version
        if version is None:
            raise _no_version()
        self._check_version(request, version.number)
        prediction = await self._answered(wanted.rows)
        self._check_version(request, prediction.version.number)  # it may have changed meanwhile
        self._metrics.predicted(len(wanted.rows))
        headers = {"X-Model-Version": str(prediction.version.number)}
        return json_response(answer_of(prediction, wanted.by_column), headers=headers)

    async def _answered(self, rows: Sequence[object]) -> Prediction:
        try:
            return await self._batcher.predict(rows)  # type: ignore[arg-type]
        except RowError as error:
            raise HttpError(400, f"row {error.row}: {error.reason}", error.row) from None
        except UserError as error:
            raise HttpError(503, str(error), headers=LATER) from None

    def _check_version(self, request: Request, served: int) -> None:
        asked = request.path_params.get("version")
        if asked is not None and asked != str(served):
            raise HttpError(404, f"version {asked!r} is not served: expected {served}")

    async def model_status(self, request: Request) -> Response:
        """Answer GET /v1/models/NAME, as TensorFlow Serving does."""
        status = self.predictor.status()
        if status.version is None and not status.newest:
            raise _no_version()
        number = status.version.number if status.version else status.newest
        self._check_version(request, number)
        state = {
            "version": str(number),
            "state": "AVAILABLE" if status.version else "LOADING",
            "status": {"error_code": "OK", "error_message": ""},
        }
        return json_response({"model_version_status": [state]})

    async def healthz(self, request: Request) -> Response:
        """Answer that the process lives."""
        return json_response({"status": "ok"})

    async def readyz(self, request: Request) -> Response:
        """Answer whether requests are answered."""
        if self.in_flight.draining:
            raise HttpError(503, "the server is stopping")
        version = self.predictor.status().version
        if version is None:
            raise _no_version()
        return json_response({"status": "ready", "version": version.number})

    async def metrics(self, request: Request) -> Response:
        """Answer Prometheus."""
        content: bytes = await run_in_threadpool(generate_latest, self._metrics.registry)
        return Response(content, headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def status(self, request: Request) -> Response:
        """Answer the page and `top`."""
        waiting, requests = self._batcher.waiting_rows, self._requests.summary()
        body: Dict[str, Any] = await run_in_threadpool(status_of, self.predictor, self.config.name, waiting, requests)
        return json_response(body)

    async def rollback(self, request: Request) -> Response:
        """Answer with another version from now on: {"version": 11}."""
        self._check_command(request)
        body = await read_body(request, _MAX_COMMAND, self.config.read_seconds)
        try:
            content = orjson.loads(body)
        except orjson.JSONDecodeError:
            content = None
        number = content.get("version") if isinstance(content, dict) and len(content) == 1 else None
        if type(number) is not int or number < 1:  # bool is an int
            raise HttpError(400, 'expected {"version": N}')
        version = await self._switched(lambda: self.predictor.rollback(number))
        return json_response({"version": version.number, "following": False})

    async def follow(self, request: Request) -> Response:
        """Take new versions again."""
        self._check_command(request)
        await self._switched(self.predictor.follow)
        return json_response({"following": True})

    def _check_command(self, request: Request) -> None:
        """Commands need a token, and JSON so that no page of another site can have a browser send one."""
        if not self._has_token:
            raise HttpError(403, f"{request.url.path} needs a token: start the server with --token_file FILE")
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json":
            raise HttpError(415, f"Content-Type {kind!r}: expected application/json")

    async def _switched(self, command: Callable[[], T]) -> T:
        """One at a time, beside the event loop, for a version may have to be loaded."""

        def alone() -> T:
            with self._switching:
                return command()

        try:
            return await run_in_threadpool(alone)
        except UserError as error:
            raise HttpError(409, str(error)) from None


def _no_version() -> HttpError:
    return HttpError(503, "no version is served yet", headers=LATER)
