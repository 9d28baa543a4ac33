"""Which rows a table gives up: rules over the statistics of ids.

A rule is a pure function of statistics, steps and weights, so it chooses the same ids wherever their rows lie.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Callable, List, Protocol, Union

import numpy as np

from mindspore_rec.embedding.statistics import FREE, check_finite, score
from mindspore_rec.embedding.timeline import Timeline


@dataclass(frozen=True)
class TableView:
    """What a rule may look at.

    Attributes:
        statistics: STATISTICS[rows], of all rows; where last_step is `FREE` no id has the row.
        ids: int64[rows].
        norms: rows, int[n] -> float32[n], the Euclidean norms of their weights.
        timeline: times and days of the steps.
        step: updates so far.
    """

    statistics: np.ndarray
    ids: np.ndarray
    norms: Callable[[np.ndarray], np.ndarray]
    timeline: Timeline
    step: int


class Periodic(Protocol):
    """A rule that looks at the whole table every so many steps."""

    @property
    def every_steps(self) -> int:
        """Steps between two looks."""

    def dead(self, view: TableView) -> np.ndarray:
        """Return int[n], the rows to give up."""

    def forget(self, view: TableView) -> int:
        """Return the last step at which an id without a row was seen that is forgotten, -1 for none."""


@dataclass(frozen=True)
class Unseen:
    """Ids not seen in training for so many steps, seconds or days; exactly one of them is given.

    Days are the table's, `HashTable.end_day` ends one: in a stream at midnight (UTC) of the event time. Seconds are of
    the event time too, where rows have one.
    """

    steps: int = 0
    seconds: float = 0.0
    days: int = 0
    every_steps: int = 100

    def __post_init__(self) -> None:
        given = [name for name in ("steps", "seconds", "days") if getattr(self, name) != 0]
        if len(given) != 1 or not 0 < getattr(self, given[0]) < math.inf:
            raise ValueError(
                f"steps = {self.steps}, seconds = {self.seconds}, days = {self.days}: expected one of them, positive"
            )
        _check_every(self.every_steps)

    def forget(self, view: TableView) -> int:
        """See `Periodic`."""
        if self.steps:
            return view.step - self.steps
        if self.seconds:
            return min(view.step, view.timeline.step_at_seconds(view.timeline.now - self.seconds))
        return min(view.step, view.timeline.step_at_day(view.timeline.day - self.days))

    def dead(self, view: TableView) -> np.ndarray:
        """See `Periodic`."""
        last = self.forget(view)
        return np.flatnonzero(view.statistics["last_step"] <= np.uint32(last)) if last >= 0 else _NONE


@dataclass(frozen=True)
class NearZero:
    """Rows whose weights have a norm of at most `norm`, `after_steps` after they began: they add nothing."""

    norm: float
    after_steps: int = 1000
    every_steps: int = 1000

    def __post_init__(self) -> None:
        if not 0 <= self.norm < math.inf or self.after_steps < 1:
            raise ValueError(f"norm = {self.norm}, after_steps = {self.after_steps}: expected at least 0, and 1")
        _check_every(self.every_steps)

    def forget(self, view: TableView) -> int:
        """See `Periodic`."""
        return -1

    def dead(self, view: TableView) -> np.ndarray:
        """See `Periodic`."""
        if view.step < self.after_steps:
            return _NONE
        old = view.statistics["admitted_step"] <= np.uint32(view.step - self.after_steps)
        rows = np.flatnonzero(old & (view.statistics["last_step"] != FREE))
        return rows[view.norms(rows) <= np.float32(self.norm)]


@dataclass(frozen=True)
class ShowClickDecay:
    """At the end of a day show and click are multiplied by `decay`; then ids of a low score go, or unseen for long.

    Paddle's shrink (ctr_accessor.cc, Shrink), with its defaults for slot_dnn; `score` has its formula. An id goes where
    score < delete_threshold or it was unseen for more than `delete_after_unseen_days` days.
    """

    decay: float = 0.98
    delete_threshold: float = 0.8
    delete_after_unseen_days: int = 30
    nonclk_coeff: float = 0.1
    click_coeff: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.decay <= 1 or self.delete_after_unseen_days < 0:
            raise ValueError(
                f"decay = {self.decay}, delete_after_unseen_days = {self.delete_after_unseen_days}: "
                f"expected more than 0 and at most 1, and at least 0"
            )
        check_finite(self, "delete_threshold", "nonclk_coeff", "click_coeff")

    def shrink(self, view: TableView) -> np.ndarray:
        """Multiply, and return int[n], the rows to give up."""
        view.statistics["show"] *= np.float32(self.decay)
        view.statistics["click"] *= np.float32(self.decay)
        last = view.timeline.step_at_day(view.timeline.day - self.delete_after_unseen_days - 1)
        dead = score(view.statistics, self.nonclk_coeff, self.click_coeff) < np.float32(self.delete_threshold)
        dead |= view.statistics["last_step"].astype(np.int64) <= last
        return np.flatnonzero(dead & (view.statistics["last_step"] != FREE))


@dataclass(frozen=True)
class LeastRecent:
    """Where the table is full: the `share` of its rows whose ids were seen longest ago, so that there is room again."""

    share: float = 0.05

    def __post_init__(self) -> None:
        _check_share(self.share)

    def least(self, view: TableView, count: int) -> np.ndarray:
        """Return int[count], the rows to give up; none seen in step + 1, which is the batch at hand."""
        return _least(view, count, ["last_step", "show"])


@dataclass(frozen=True)
class LeastFrequent:
    """As `LeastRecent`, for those shown least often; among equals those seen longest ago."""

    share: float = 0.05

    def __post_init__(self) -> None:
        _check_share(self.share)

    def least(self, view: TableView, count: int) -> np.ndarray:
        """See `LeastRecent.least`."""
        return _least(view, count, ["show", "last_step"])


Eviction = Union[Unseen, NearZero, ShowClickDecay, LeastRecent, LeastFrequent]
_NONE = np.empty(0, np.int64)


def _least(view: TableView, count: int, columns: List[str]) -> np.ndarray:
    """The `count` rows with the smallest values, compared column by column and at last by id."""
    last_step = view.statistics["last_step"]
    rows = np.flatnonzero((last_step != FREE) & (last_step != np.uint32(view.step + 1)))
    chosen = [np.empty(0, rows.dtype)]
    count = min(count, rows.size)
    for column in (*columns, "ids"):
        if not count:
            break
        values = view.ids[rows] if column == "ids" else view.statistics[column][rows]
        threshold = np.partition(values, count - 1)[count - 1]
        below = values < threshold
        chosen.append(rows[below])
        count -= int(below.sum())
        rows = rows[values == threshold]
    return np.concatenate((*chosen, rows[:count]))


def _check_every(steps: int) -> None:
    if steps < 1:
        raise ValueError(f"every_steps = {steps!r}: expected at least 1")


def _check_share(share: float) -> None:
    if not 0 < share <= 1:
        raise ValueError(f"share = {share!r}: expected more than 0, at most 1")
