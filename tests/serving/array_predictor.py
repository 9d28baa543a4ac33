"""A predictor over an array, for tests of what lies between it and a client; also a server of it as a process.

A row is a few numbers, by TSV, list, or name (a, b, c); its probability is a logistic function of their sum and of the
version. The row `hold` waits until it is let go.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path
from typing import Any, Callable, List, Optional, Sequence

import numpy as np
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from mindspore_rec.config import UserError
from mindspore_rec.serve_config import ServeConfig
from mindspore_rec.serving.http_server import listen, run_server, url_of
from mindspore_rec.serving.prediction import Prediction, PredictorStatus, Version
from mindspore_rec.serving.publication import PublicationManifest, TableUpdate
from mindspore_rec.serving.raw_rows import RawRow, RowError
from mindspore_rec.serving.server import create_app

LARGE = 100_000_000  # bytes of an answer no buffer takes
WEIGHTS = np.array([0.5, -0.25, 0.125], np.float32)


def version_of(number: int) -> Version:
    return Version(number, f"{number:064x}", step=100 * number, data_time=1_700_000_000_000 + number, spec_digest="d")


def probability(numbers: Sequence[float], version: int) -> float:
    return float(1 / (1 + np.exp(-(np.asarray(numbers, np.float32) @ WEIGHTS + np.float32(version)))))


class ArrayPredictor:
    """Versions 1 to `newest`; None of them is served where `newest` is 0."""

    def __init__(self, newest: int = 12, outputs: Sequence[str] = ("probability",)) -> None:
        self.newest = newest
        self.served: Optional[Version] = version_of(newest) if newest else None
        self.following = True
        self.outputs = outputs
        self.batches: List[List[RawRow]] = []
        self.holding = threading.Event()  # set while a batch is held
        self.go = threading.Event()
        self.on_hold: Callable[[], None] = self._hold

    def predict(self, rows: Sequence[RawRow]) -> Prediction:
        version = self.served
        if version is None:
            raise UserError("nothing is loaded")
        self.batches.append(list(rows))
        if "hold" in rows:
            self.on_hold()
        scores = [
            probability([0, 0, 0] if row == "hold" else _numbers(k, row), version.number) for k, row in enumerate(rows)
        ]
        values = np.array(scores, np.float32)[:, None]
        return Prediction({name: values + np.float32(k) for k, name in enumerate(self.outputs)}, version)

    def _hold(self) -> None:
        self.holding.set()
        assert self.go.wait(60)
        self.holding.clear()

    def status(self) -> PredictorStatus:
        times = (1.5, 2.5) if self.served else (float("nan"), float("nan"))
        refused = "" if self.served or not self.newest else "damaged"
        return PredictorStatus(
            self.served, self.following, False, self.newest, refused, 1_700_000_100.0, times, {"deep": 7}
        )

    def publications(self) -> List[PublicationManifest]:
        return [
            PublicationManifest(
                version=number, kind="full" if number == 1 else "delta", created=1e9 + number, step=100 * number,
                tables={"deep": TableUpdate(files=(), rows=3), "wide": TableUpdate(files=(), rows=4)}, files={},
                metrics={"auc": 0.75}, held="auc fell" if number == 2 else "",
            ).sealed()
            for number in range(1, self.newest + 1)
        ]  # fmt: skip

    def rollback(self, version: int) -> Version:
        if not 1 <= version <= self.newest:
            raise UserError(f"there is no version {version}")
        self.served, self.following = version_of(version), False
        return self.served

    def follow(self) -> None:
        self.served, self.following = version_of(self.newest), True

    def close(self) -> None:
        pass


def _numbers(k: int, row: Any) -> List[float]:
    try:
        if isinstance(row, dict):
            return [float(row.get(name) or 0) for name in "abc"]
        fields = row.split("\t") if isinstance(row, str) else row
        if len(fields) != 3:
            raise RowError(k, f"{len(fields)} fields, expected 3")
        return [float(field or 0) for field in fields]
    except (TypeError, ValueError) as error:
        raise RowError(k, str(error)) from None


def main(folder: Path, keys: Sequence[str]) -> None:
    """Serve until a signal; the row `hold` makes the file `holding` and waits for the file `go`."""
    config = ServeConfig(**dict(zip(keys[::2], keys[1::2])))  # type: ignore[arg-type]
    predictor = ArrayPredictor()

    def hold() -> None:
        (folder / "holding").touch()
        while not (folder / "go").exists():
            time.sleep(0.005)

    predictor.on_hold = hold

    async def large(request: Request) -> PlainTextResponse:
        return PlainTextResponse(b"x" * LARGE)

    listener = listen(config)
    url = url_of(listener)
    run_server(
        create_app(predictor, config, [Route("/large", large)]),
        listener,
        lambda version: os.write(1, f"{version} {url}\n".encode()),
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
