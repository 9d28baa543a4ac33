"""Requests computed together."""

from __future__ import annotations

import asyncio
from typing import Any, Sequence

import numpy as np
import pytest

from mindspore_rec.serving.batching import Batcher
from mindspore_rec.serving.http_errors import HttpError
from mindspore_rec.serving.prediction import Prediction
from mindspore_rec.serving.raw_rows import RawRow
from tests.serving.array_predictor import ArrayPredictor, version_of


async def spun(condition: Any) -> None:
    while not condition():
        await asyncio.sleep(0)


def test_every_request_gets_its_own_rows() -> None:
    """Of many requests of random sizes, each row is answered once, in its place, with one version a request."""
    rng = np.random.default_rng(0)
    calls = []

    def predict(rows: Sequence[RawRow]) -> Prediction:
        calls.append(len(rows))
        values = np.array([float(row) for row in rows], np.float32)[:, None]  # type: ignore[arg-type]
        return Prediction({"probability": values, "square": values**2}, version_of(len(calls)))

    async def all_of_them() -> None:
        batcher = Batcher(predict, max_batch_rows=50, max_queue_rows=10**6)
        sizes = rng.integers(1, 70, 200).tolist()
        requests = [[str(1000 * k + row) for row in range(size)] for k, size in enumerate(sizes)]
        answers = await asyncio.gather(*(batcher.predict(rows) for rows in requests))
        for rows, answer in zip(requests, answers):
            expected = np.array([float(row) for row in rows], np.float32)[:, None]
            np.testing.assert_array_equal(answer.outputs["probability"], expected)
            np.testing.assert_array_equal(answer.outputs["square"], expected**2)
        assert sum(calls) == sum(sizes)
        assert len(calls) < len(sizes)
        assert all(rows <= 50 or rows in sizes for rows in calls)
        assert batcher.waiting_rows == 0
        batcher.close()

    asyncio.run(all_of_them())


def test_closing_answers_everybody() -> None:
    async def run() -> None:
        predictor = ArrayPredictor()
        batcher = Batcher(predictor.predict, 10, 100)
        running = asyncio.ensure_future(batcher.predict(["hold"]))
        await spun(predictor.holding.is_set)
        waiting = asyncio.ensure_future(batcher.predict(["1\t2\t3"]))
        await spun(lambda: batcher.waiting_rows == 1)
        batcher.close()
        for answer in (running, waiting, batcher.predict(["1\t2\t3"])):
            with pytest.raises(HttpError, match="the server is stopping"):
                await answer
        predictor.go.set()
        batcher.close()  # again, which changes nothing
        assert predictor.batches == [["hold"]]

    asyncio.run(run())


def test_a_request_larger_than_the_queue_may_wait_alone() -> None:
    async def run() -> None:
        predictor = ArrayPredictor()
        batcher = Batcher(predictor.predict, max_batch_rows=2, max_queue_rows=2)
        assert len((await batcher.predict(["1\t2\t3"] * 9)).outputs["probability"]) == 9
        batcher.close()

    asyncio.run(run())


def test_what_is_cancelled_is_not_computed() -> None:
    async def run() -> None:
        predictor = ArrayPredictor()
        batcher = Batcher(predictor.predict, 10, 100)
        first = asyncio.ensure_future(batcher.predict(["hold"]))
        await spun(predictor.holding.is_set)
        others = [asyncio.ensure_future(batcher.predict([f"{k}\t0\t0"])) for k in range(3)]
        await spun(lambda: batcher.waiting_rows == 3)
        others[1].cancel()
        first.cancel()
        await spun(others[1].cancelled)
        predictor.go.set()
        for answer in (others[0], others[2]):
            assert (await answer).version == version_of(12)
        assert predictor.batches == [["hold"], ["0\t0\t0", "2\t0\t0"]]
        batcher.close()

    asyncio.run(run())
