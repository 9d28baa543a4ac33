"""The arrays that hold a set of rows, and copying some of their rows into others of the kind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, Optional, Tuple

import numpy as np
from numba import njit

from mindspore_rec.embedding.memory import reserve
from mindspore_rec.embedding.row_digest import STATISTICS_WORDS, digest_rows, place_factors
from mindspore_rec.embedding.statistics import STATISTICS
from mindspore_rec.features.words import prefetch

_AHEAD = 16
Columns = Dict[str, Tuple[np.dtype, int]]


@dataclass(frozen=True)
class RowArrays:
    """Ids with what is kept of each, by row number.

    Attributes:
        ids: int64[n].
        words: uint32[n, w], weights and slots; w = 0 where ids have none.
        statistics: uint32[n, 4], the fields of STATISTICS; uint32[0, 4] where none are kept.
        row_type: of what `words` holds: float32, or uint16 where weights have 16 bits.
    """

    ids: np.ndarray
    words: np.ndarray
    statistics: np.ndarray
    row_type: np.dtype

    @classmethod
    def of(cls, ids: np.ndarray, rows: Optional[np.ndarray], records: Optional[np.ndarray]) -> RowArrays:
        """Return views of ids, rows (float32[n, w] or uint16[n, 2 w]) and STATISTICS[n]."""
        words = np.empty((ids.size, 0), np.uint32) if rows is None else rows.view(np.uint32)
        none = np.empty((0, STATISTICS_WORDS), np.uint32)
        statistics = none if records is None else records.view(np.uint32).reshape(-1, STATISTICS_WORDS)
        return cls(ids, words, statistics, np.dtype(np.float32) if rows is None else rows.dtype)

    def reserved(self, rows: int) -> RowArrays:
        """Return arrays of the same kind for so many rows, which cost memory only where they are written."""
        width = self.words.shape[1]
        words = reserve(rows, width, np.uint32, huge=False) if width else np.empty((rows, 0), np.uint32)
        kept = reserve(rows, STATISTICS_WORDS, np.uint32, huge=False) if len(self.statistics) else self.statistics
        return RowArrays(reserve(rows, 0, np.int64, huge=False), words, kept, self.row_type)

    @property
    def row_bytes(self) -> int:
        """Bytes of a row."""
        return 8 + 4 * self.words.shape[1] + (STATISTICS.itemsize if len(self.statistics) else 0)

    @property
    def columns(self) -> Columns:
        """Name, type and width (0: no second dimension) of each array, as a checkpoint has them."""
        columns: Columns = {"ids": (np.dtype(np.int64), 0)}
        if self.words.shape[1]:
            columns["rows"] = (self.row_type, self.words.shape[1] * 4 // self.row_type.itemsize)
        if len(self.statistics):
            columns.update({name: (STATISTICS[name], 0) for name in STATISTICS.names or ()})
        return columns

    def arrays(self, count: int) -> Dict[str, np.ndarray]:
        """Return the first rows, by the names of `columns`; copies only where the statistics come apart."""
        arrays = {"ids": self.ids[:count]}
        if self.words.shape[1]:
            arrays["rows"] = self.words[:count].view(self.row_type)
        if len(self.statistics):
            for k, name in enumerate(STATISTICS.names or ()):
                arrays[name] = np.ascontiguousarray(self.statistics[:count, k]).view(STATISTICS[name])
        return arrays

    def copy(self, rows: np.ndarray, into: RowArrays, at: np.ndarray) -> None:
        """Copy rows, int[n], to the rows `at`, int[n], of other arrays."""
        _copy(self.ids, self.words, self.statistics, rows, into.ids, into.words, into.statistics, at)

    def digest(self, rows: np.ndarray, begin: int, end: int) -> int:
        """Return the digest of `rows[begin:end]`, int[n]; see `row_digest`."""
        factors = place_factors(self.words.shape[1])
        return int(digest_rows(self.ids, self.words, self.statistics, rows, begin, end, factors))

    def finite(self, count: int) -> bool:
        """Whether the first rows have no NaN and no infinity; weights of 16 bits are not looked at."""
        return self.row_type == np.uint16 or bool(_finite(self.words, count))


@njit(cache=True, nogil=True)
def _copy(ids, words, statistics, rows, to_ids, to_words, to_statistics, at):  # type: ignore[no-untyped-def]
    flat, width, kept = words.reshape(-1), words.shape[1], statistics.shape[0] > 0
    for k in range(rows.size):
        if width and k + _AHEAD < rows.size:
            prefetch(flat, np.int64(rows[k + _AHEAD]) * width)
        source, target = rows[k], at[k]
        to_ids[target] = ids[source]
        row, into = words[source], to_words[target]
        for j in range(width):
            into[j] = row[j]
        if kept:
            for j in range(STATISTICS_WORDS):
                to_statistics[target, j] = statistics[source, j]


@njit(cache=True, nogil=True)
def _finite(words, count):  # type: ignore[no-untyped-def]
    exponent, bad = np.uint32(0x7F800000), np.uint32(0)
    for k in range(count):
        row = words[k]
        for j in range(row.size):
            bad |= np.uint32((row[j] & exponent) == exponent)
    return bad == 0
