"""What a parser makes of consecutive rows of a file: rows, and rejects with their reasons."""

from __future__ import annotations

from dataclasses import dataclass
from typing import List, NamedTuple

from mindspore_rec.data.slot_rows import SlotRows
from mindspore_rec.features.batch import Int64


class RowReject(NamedTuple):
    """A row that is no row of the data set: its number, why, and its bytes."""

    row: int
    reason: str
    raw: bytes


@dataclass(frozen=True, eq=False)
class ParsedRows:
    """What ``count`` consecutive rows are: n kept rows and the rejects, each in order.

    Attributes:
        rows: the n kept rows.
        numbers: int64[n], number of each kept row, counted from 0, rejects counted too.
        count: kept rows and rejects.
        rejects: the others.
    """

    rows: SlotRows
    numbers: Int64
    count: int
    rejects: List[RowReject]

    def shifted(self, first_row: int) -> ParsedRows:
        """The same with rows counted from ``first_row``."""
        rejects = [reject._replace(row=reject.row + first_row) for reject in self.rejects]
        return ParsedRows(self.rows, self.numbers + first_row, self.count, rejects)
