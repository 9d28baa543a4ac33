"""Where the time of a training step goes: waiting for other ranks, exchange, dense sum, update, and the rest."""

from __future__ import annotations

import time
from typing import Any, Callable, Dict

import numpy as np
from _ranks_job import Counted

from mindspore_rec.distributed.exchange import Exchange

LARGE = 1 << 15
"""Bytes: sums of fewer are not those of gradients."""


class Split:
    """Seconds by label; those of an inner span are not counted in the outer one.

    >>> split = Split()
    >>> split.timed("outer", lambda: split.timed("inner", lambda: 7)())()
    7
    >>> sorted(split.seconds)
    ['inner', 'other', 'outer']
    """

    def __init__(self) -> None:
        self.seconds: Dict[str, float] = {}
        self._labels, self._since = ["other"], time.perf_counter()

    def timed(self, label: str, call: Callable[..., Any]) -> Callable[..., Any]:
        """Return `call`, its time put down to `label`."""

        def wrapped(*given: Any, **named: Any) -> Any:
            self._turn()
            self._labels.append(label)
            try:
                return call(*given, **named)
            finally:
                self._turn()
                self._labels.pop()

        return wrapped

    def _turn(self) -> None:
        now = time.perf_counter()
        label = self._labels[-1]
        self.seconds[label] = self.seconds.get(label, 0.0) + now - self._since
        self._since = now

    def restart(self) -> None:
        """Forget what was counted."""
        self.seconds, self._since = {}, time.perf_counter()

    def of_steps(self, *steps: Any) -> None:
        """Have the parts of each `TrainStep`, which has run, counted from now on."""
        import mindspore_rec.train.step as module

        def count(owner: Any, name: str, label: str) -> None:
            object.__setattr__(owner, name, self.timed(label, getattr(owner, name)))

        count(module, "combine", "dense")
        for step in steps:
            count(step, "_compute", "graph")
            count(step, "_apply_dense", "update")
            for _, blocks in step._graphs.values():
                count(blocks, "apply", "update")
                count(blocks, "fill", "lookup")
                count(blocks, "sum_gradients", "lookup")


class SplitExchange(Counted):
    """Counts bytes, and where `meets` is set tells waiting for ranks from talking to them: they meet before each call.

    Args:
        exchange: between the ranks.
        split: where the time goes to.
    """

    def __init__(self, exchange: Exchange, split: Split) -> None:
        super().__init__(exchange)
        self.meets = False
        self._split = split

    def meet(self) -> None:
        """Return once all ranks are here."""
        self._exchange.sum(np.zeros(1, np.float32))

    def _timed(self, sent: int, call: Any, *given: Any) -> Any:
        if not self.meets:
            return super()._timed(sent, call, *given)
        self._split.timed("wait", self.meet)()
        dense = call == self._exchange.sum and given[0].nbytes > LARGE
        return super()._timed(sent, self._split.timed("dense" if dense else "exchange", call), *given)
