"""What is kept of an id besides its row: how often it was shown and clicked, and when it was seen.

Steps count the updates of a table; `timeline.py` turns them into times.
"""

from __future__ import annotations

import math
from typing import Dict, Optional

import numpy as np
from numba import njit

from mindspore_rec.embedding.memory import reserve

#: Statistics of an id. `show` and `click` are exact up to 2**24, and decay where a rule says so.
STATISTICS = np.dtype(
    [("show", np.float32), ("click", np.float32), ("last_step", np.uint32), ("admitted_step", np.uint32)]
)
FREE = np.uint32(0xFFFFFFFF)  # last_step of a row that no id has
LAST_STEP = int(FREE) - 1


class IdStatistics:
    """`STATISTICS` for each row of an index, in address space reserved for `max_rows` of them.

    >>> statistics = IdStatistics(10)
    >>> statistics.begin(np.array([0, 1], np.int32), np.zeros(2, STATISTICS), step=3)
    >>> statistics.observe(np.array([1, -1], np.int32), np.array([2, 5], np.int32), np.array([1, 0], np.float32), 3)
    >>> statistics.of(np.array([0, 1])).tolist()
    [(0.0, 0.0, 3, 3), (2.0, 1.0, 3, 3)]
    """

    def __init__(self, max_rows: int) -> None:
        self.records = reserve(max_rows, 0, STATISTICS)

    def of(self, rows: np.ndarray) -> np.ndarray:
        """Return STATISTICS[n] of rows; zeros for row -1."""
        records = self.records[rows]
        records[rows < 0] = np.zeros((), STATISTICS)
        return records

    def begin(self, rows: np.ndarray, before: np.ndarray, step: int) -> None:
        """Begin those of rows that ids got in this step, with what is known of the ids."""
        self.records[rows] = before
        self.records["last_step"][rows] = step
        self.records["admitted_step"][rows] = step

    def observe(self, rows: np.ndarray, shows: np.ndarray, clicks: Optional[np.ndarray], step: int) -> None:
        """Add what a batch showed; rows of -1 are left out.

        Args:
            rows: int32[n].
            shows: int32[n], how often each id occurs.
            clicks: float32[n], summed labels of those occurrences; None where there are none.
        """
        _observe(self.records, rows, shows, np.empty(0, np.float32) if clicks is None else clicks, np.uint32(step))

    def free(self, rows: np.ndarray) -> None:
        """Mark rows that no id has any more."""
        self.records[rows] = np.array((0.0, 0.0, FREE, 0), STATISTICS)


def score(statistics: np.ndarray, nonclk_coeff: float, click_coeff: float) -> np.ndarray:
    """Return float32[n], the show-click score of STATISTICS[n] (Paddle's ctr_accessor.cc, ShowClickScore).

    >>> float(score(np.array([(12, 2, 0, 0)], STATISTICS), 0.1, 1.0)[0])
    3.0
    """
    show, click = statistics["show"], statistics["click"]
    result: np.ndarray = (show - click) * np.float32(nonclk_coeff) + click * np.float32(click_coeff)
    return result


def check_finite(rule: object, *names: str) -> None:
    """Refuse a rule one of whose settings is NaN or infinite."""
    for name in names:
        if not math.isfinite(getattr(rule, name)):
            raise ValueError(f"{name} = {getattr(rule, name)!r}: expected a finite number")


def arrays_of(records: np.ndarray) -> Dict[str, np.ndarray]:
    """Return the columns of STATISTICS[n], as a checkpoint keeps them."""
    return {name: np.ascontiguousarray(records[name]) for name in STATISTICS.names or ()}


def from_arrays(arrays: Dict[str, np.ndarray], rows: int, step: int) -> np.ndarray:
    """Return STATISTICS[rows] of what `arrays_of` returned; ids without any were last seen and admitted at `step`.

    Raises:
        ValueError: a column has another length or type.
    """
    records = np.zeros(rows, STATISTICS)
    if "last_step" not in arrays:
        records["last_step"] = records["admitted_step"] = step
        return records
    for name in STATISTICS.names or ():
        column = arrays.get(name)
        if column is None or column.shape != (rows,) or column.dtype != STATISTICS[name]:
            raise ValueError(f"table state has no {STATISTICS[name]}[{rows}] {name}")
        records[name] = column
    return records


@njit(cache=True, nogil=True)
def _observe(records, rows, shows, clicks, step):  # type: ignore[no-untyped-def]
    for k in range(rows.size):
        if rows[k] >= 0:
            record = records[rows[k]]
            record.show += np.float32(shows[k])
            if clicks.size:
                record.click += clicks[k]
            record.last_step = step
