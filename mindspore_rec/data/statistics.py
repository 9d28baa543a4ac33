"""What pass one saw of a data set: rows, bad rows, clicks, bounds of the numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import List, Tuple

import numpy as np

from mindspore_rec.data.row_scan import ScannedRows


@dataclass
class Totals:
    """What was seen so far.

    Attributes:
        file: index of the file that comes next.
        row: its row that comes next.
        file_rows: rows of each file begun, bad ones among them.
        bad_rows: rows that break the format.
        bad_bytes: size of the list of them.
        clicks: rows with label 1.
        low: smallest number of each field; infinity where none was seen.
        high: largest; minus infinity where none was seen.
        missing: rows without a number, of each number field.
    """

    dense_dim: int
    file: int = 0
    row: int = 0
    file_rows: List[int] = field(default_factory=list)
    bad_rows: int = 0
    bad_bytes: int = 0
    clicks: int = 0
    low: List[float] = field(default_factory=list)
    high: List[float] = field(default_factory=list)
    missing: List[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.low = self.low or [math.inf] * self.dense_dim
        self.high = self.high or [-math.inf] * self.dense_dim
        self.missing = self.missing or [0] * self.dense_dim

    @property
    def rows(self) -> int:
        """Rows, bad ones among them."""
        return sum(self.file_rows)

    def add(self, file: int, rows: ScannedRows) -> int:
        """Take in the rows that come next; the row of the file that is the first of them."""
        self.file_rows += [0] * (file + 1 - len(self.file_rows))
        first = self.file_rows[file]
        self.file_rows[file] += rows.rows
        self.file, self.row = file, self.file_rows[file]
        self.bad_rows += len(rows.rejects)
        self.clicks += int(rows.labels.sum())
        self.missing = (rows.missing + self.missing).tolist()
        self.low = np.minimum(rows.low, self.low).tolist()
        self.high = np.maximum(rows.high, self.high).tolist()
        return first

    def bounds(self) -> Tuple[List[float], List[float]]:
        """Smallest and largest number of each field; 0 and 0 where none was seen."""
        seen = [low <= high for low, high in zip(self.low, self.high)]
        return (
            [low if known else 0.0 for low, known in zip(self.low, seen)],
            [high if known else 0.0 for high, known in zip(self.high, seen)],
        )
