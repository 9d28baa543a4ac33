"""Which rows were touched since they were last published: two bits a row, apart from what checkpoints follow."""

from __future__ import annotations

from typing import Callable, List, NamedTuple, Optional

import numpy as np

from mindspore_rec.embedding import row_bits
from mindspore_rec.embedding.index import IdIndex

#: int32[n] rows to bool[n], which of them are worth publishing.
Chosen = Callable[[np.ndarray], np.ndarray]


class Touched(NamedTuple):
    """What happened to the rows of a table since the last time.

    Attributes:
        rows: int32[n], ascending: rows that changed or that ids got.
        removed: int64[k], ascending: ids that were published and are no longer; some may have a row again, which is
            among `rows`.
    """

    rows: np.ndarray
    removed: np.ndarray


class TouchedRows:
    """Notes rows as they change; the first time all rows there are count as touched.

    Args:
        most: rows there is room for.
        ids: int64[most], by row.
        index: returns the index of the ids.
    """

    def __init__(self, most: int, ids: np.ndarray, index: Callable[[], IdIndex]) -> None:
        self._bits, self._published = row_bits.no_rows(most), row_bits.no_rows(most)
        self._ids, self._index = ids, index
        self._removed: List[np.ndarray] = []
        self.touch_all()

    def touch(self, rows: np.ndarray) -> None:
        """Rows, int32[n], change or are given to new ids."""
        row_bits.put(self._bits, rows, np.empty(rows.size, np.int32))

    def remove(self, rows: np.ndarray) -> None:
        """Rows, int32[n], are about to lose their ids."""
        row_bits.take(self._bits, rows, np.empty(rows.size, np.int32))
        self._withdraw(rows)

    def touch_all(self) -> None:
        """All rows there are change."""
        index = self._index()
        row_bits.fill(self._bits[: index.end // 8 + 1], index.end, index.free_rows)

    def take(self, chosen: Optional[Chosen] = None) -> Touched:
        """What was touched since the last time; then it begins anew.

        Args:
            chosen: rows that are touched and not chosen are not published, and no longer where they were; default: all
                are.
        """
        end = self._index().end
        bits = self._bits[: end // 8 + 1]
        rows = np.empty(int(row_bits.count(bits, end)), np.int32)
        row_bits.members(bits, 0, end, rows)
        bits[:] = 0
        if chosen is not None:
            good = chosen(rows)
            self._withdraw(rows[~good])
            rows = rows[good]
        row_bits.put(self._published, rows, np.empty(rows.size, np.int32))
        removed, self._removed = self._removed, []
        return Touched(rows, np.unique(np.concatenate([np.empty(0, np.int64), *removed])))

    def _withdraw(self, rows: np.ndarray) -> None:
        """Note the ids of rows that were published and are no longer."""
        known = np.empty(rows.size, np.int32)
        known = known[: row_bits.take(self._published, rows, known)]
        if known.size:
            self._removed.append(self._ids[known])
