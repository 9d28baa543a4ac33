"""Requests that wait while the predictor is busy are computed together.

Nothing waits for company: when the predictor is free it takes what is there, up to a number of rows. A request is never
split, so that one version answers all its rows.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from typing import Callable, Deque, Dict, List, NamedTuple, Optional, Sequence, Tuple, Union

import numpy as np

from mindspore_rec.serving.http_errors import LATER, HttpError
from mindspore_rec.serving.prediction import Prediction
from mindspore_rec.serving.raw_rows import RawRow

Outcome = Union[Prediction, Exception]


class _Waiting(NamedTuple):
    rows: Sequence[RawRow]
    answer: asyncio.Future[Prediction]


class Batcher:
    """A queue of requests and the thread that computes them.

    Args:
        predict: answers rows with one version; raises for the whole where it cannot read one of them.
        max_batch_rows: rows computed at a time; a request that has more is computed alone.
        max_queue_rows: rows that wait; a request of any size may wait alone.
        on_batch: told the rows of each batch, in the computing thread.
    """

    def __init__(
        self,
        predict: Callable[[Sequence[RawRow]], Prediction],
        max_batch_rows: int,
        max_queue_rows: int,
        on_batch: Callable[[int], None] = lambda rows: None,
    ) -> None:
        self._predict = predict
        self._max_batch_rows = max_batch_rows
        self._max_queue_rows = max_queue_rows
        self._on_batch = on_batch
        self._queue: Deque[_Waiting] = deque()
        self._running: List[_Waiting] = []
        self._changed = threading.Condition()
        self._closed = False
        self._loop: Optional[asyncio.AbstractEventLoop] = None
        self.waiting_rows = 0

    async def predict(self, rows: Sequence[RawRow]) -> Prediction:
        """Predict; a request that is cancelled before its turn is not computed.

        Raises:
            HttpError: too many rows wait, or the batcher is closed.
            RowError: one of these rows cannot be read; `row` counts from the first of these.
        """
        loop = asyncio.get_running_loop()
        waiting = _Waiting(rows, loop.create_future())
        with self._changed:
            if self._closed:
                raise _stopping()
            if self._queue and self.waiting_rows + len(rows) > self._max_queue_rows:
                raise HttpError(503, f"overloaded: {self.waiting_rows} rows wait", headers=LATER)
            if self._loop is None:
                self._loop = loop
                # a daemon: a predictor that hangs does not keep the process from ending
                threading.Thread(target=self._run, name="batches", daemon=True).start()
            self._queue.append(waiting)
            self.waiting_rows += len(rows)
            self._changed.notify()
        return await waiting.answer

    def close(self) -> None:
        """Refuse what waits and what comes, give up what is being computed, and end the thread after it."""
        with self._changed:
            self._closed = True
            given_up = [*self._running, *self._queue]
            self._queue.clear()
            self.waiting_rows = 0
            self._changed.notify()
        for waiting in given_up:
            if not waiting.answer.done():
                waiting.answer.set_exception(_stopping())

    def _run(self) -> None:
        assert self._loop is not None  # noqa: S101  set by who started the thread
        while True:
            batch = self._take()
            if not batch:
                return
            outcomes = self._computed(batch)
            try:
                self._loop.call_soon_threadsafe(_deliver, batch, outcomes)
            except RuntimeError:  # the loop has ended, nobody waits
                return

    def _take(self) -> List[_Waiting]:
        """Wait for requests; those that are computed next, none when closed."""
        with self._changed:
            self._running = []
            while not self._running:
                self._changed.wait_for(lambda: self._queue or self._closed)
                if self._closed:
                    return []
                rows = 0
                while self._queue and (not rows or rows + len(self._queue[0].rows) <= self._max_batch_rows):
                    waiting = self._queue.popleft()
                    self.waiting_rows -= len(waiting.rows)
                    if not waiting.answer.done():  # else its client gave up
                        self._running.append(waiting)
                        rows += len(waiting.rows)
            return self._running

    def _computed(self, batch: Sequence[_Waiting]) -> List[Outcome]:
        """An outcome a request. Where the batch fails each is computed alone, so that one bad row fails one request."""
        rows = batch[0].rows if len(batch) == 1 else [row for waiting in batch for row in waiting.rows]
        self._on_batch(len(rows))
        try:
            prediction = self._predict(rows)
        except Exception as error:  # whatever it is, the request gets it and the thread goes on
            return [error] if len(batch) == 1 else [self._computed([waiting])[0] for waiting in batch]
        if len(batch) == 1:
            return [prediction]
        ends = np.cumsum([len(waiting.rows) for waiting in batch]).tolist()
        return [_part(prediction, bounds) for bounds in zip([0, *ends], ends)]


def _part(prediction: Prediction, bounds: Tuple[int, int]) -> Prediction:
    outputs: Dict[str, np.ndarray] = {name: array[slice(*bounds)] for name, array in prediction.outputs.items()}
    return Prediction(outputs, prediction.version)


def _deliver(batch: Sequence[_Waiting], outcomes: Sequence[Outcome]) -> None:
    for waiting, outcome in zip(batch, outcomes):
        if waiting.answer.done():
            continue
        if isinstance(outcome, Exception):
            waiting.answer.set_exception(outcome)
        else:
            waiting.answer.set_result(outcome)


def _stopping() -> HttpError:
    return HttpError(503, "the server is stopping", headers=LATER)
