"""When the steps of a table were: an id keeps the step it was last seen at, this the time and day of each step."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mindspore_rec.embedding.statistics import LAST_STEP

_MOST = 1 << 16


class Moment(NamedTuple):
    """A step, its time in seconds since 1970, and the table's day, a counter."""

    step: int
    seconds: float
    day: int


class Timeline:
    """Steps at which the clock moved by a second or the day by one, oldest first.

    The steps up to the next of them were within a second: where it is longer until then, the last of them is noted as
    at the end of that second.

    Beyond 65,536 of them every other one of the older half is forgotten: what is long ago is known less exactly, and
    an id then counts as younger than it is, by as much.

    >>> timeline = Timeline()
    >>> for step in range(1, 5):
    ...     timeline.note(step, seconds=100.0 + 10 * step)
    >>> timeline.step_at_seconds(125.0), timeline.moment(3)
    (2, Moment(step=3, seconds=130.0, day=0))
    """

    def __init__(self) -> None:
        self._steps = np.empty(0, np.int64)
        self._seconds = np.empty(0, np.float64)
        self._days = np.empty(0, np.int64)
        self._count = 0
        self.day = 0

    @property
    def now(self) -> float:
        """The latest time noted, -inf before the first."""
        return float(self._seconds[self._count - 1]) if self._count else -np.inf

    def note(self, step: int, seconds: float) -> None:
        """Say when a step is. Time that goes back counts as standing still."""
        last = self._count - 1
        if last >= 0 and seconds < self._seconds[last] + 1.0 and self._days[last] == self.day:
            return
        if last >= 0 and self._steps[last] < step - 1 and seconds >= self._seconds[last] + 2.0:
            self._append(step - 1, self._seconds[last] + 1.0, self._days[last])
        self._append(step, max(seconds, self.now), self.day)

    def moment(self, step: int) -> Moment:
        """Return what is known of a step."""
        found = int(np.searchsorted(self._steps[: self._count], step, "right")) - 1
        if found < 0:
            return Moment(step, -np.inf, 0)
        return Moment(step, float(self._seconds[found]), int(self._days[found]))

    def days(self, steps: np.ndarray) -> np.ndarray:
        """Return int64[n], the days of steps, as `moment` has them."""
        days = self._days[: self._count]
        first = np.flatnonzero(np.diff(days, prepend=0))
        of_first: np.ndarray = np.concatenate(([0], days[first]))
        return of_first[np.searchsorted(self._steps[first], steps, "right")]

    def step_at_seconds(self, seconds: float) -> int:
        """Return the last step known to be no later than a time, -1 where there is none."""
        found = int(np.searchsorted(self._seconds[: self._count], seconds, "right"))
        return int(self._steps[found - 1]) if found else -1

    def step_at_day(self, day: int) -> int:
        """Return the last step of a day or one before it; before the first step -1, after the last one 2**32 - 2."""
        found = int(np.searchsorted(self._days[: self._count], day, "right"))
        if found and found == self._count:
            return LAST_STEP
        return int(self._steps[found]) - 1 if found else -1

    def state(self) -> np.ndarray:
        """Return float64[m + 1, 3], steps, seconds and days; the last row has the day of now."""
        count = self._count
        moments = np.stack((self._steps[:count], self._seconds[:count], self._days[:count]), axis=1)
        return np.concatenate((moments.astype(np.float64), [[0.0, 0.0, self.day]]))

    def load_state(self, state: np.ndarray) -> None:
        """Take over what `state` returned.

        Raises:
            ValueError: it has another shape, or is out of order.
        """
        shaped = state.ndim == 2 and state.shape[1] == 3 and 1 <= len(state) <= _MOST + 1
        if not shaped or (np.diff(state[:-1], axis=0) < 0).any():
            raise ValueError("table state has no timeline in order")
        self._steps, self._days = state[:-1, 0].astype(np.int64), state[:-1, 2].astype(np.int64)
        self._seconds = state[:-1, 1].astype(np.float64)
        self._count, self.day = len(state) - 1, int(state[-1, 2])

    def _append(self, step: int, seconds: float, day: int) -> None:
        if self._count == _MOST:
            self._forget()
        if self._count == self._steps.size:
            self._grow()
        self._steps[self._count], self._seconds[self._count], self._days[self._count] = step, seconds, day
        self._count += 1

    def _forget(self) -> None:
        days = self._days[: self._count]
        keep = (np.arange(self._count) % 2 == 0) | (np.arange(self._count) >= self._count // 2)
        keep[1:] |= days[1:] != days[:-1]
        for name in ("_steps", "_seconds", "_days"):
            column = getattr(self, name)
            column[: keep.sum()] = column[: self._count][keep]
        self._count = int(keep.sum())

    def _grow(self) -> None:
        for name in ("_steps", "_seconds", "_days"):
            column = getattr(self, name)
            setattr(self, name, np.concatenate((column, np.empty(max(16, column.size), column.dtype))))
