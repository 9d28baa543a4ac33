"""The arrays a feature engine makes of messages: kept rows and rejects, each in order."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]
UInt8 = npt.NDArray[np.uint8]
UInt32 = npt.NDArray[np.uint32]
UInt64 = npt.NDArray[np.uint64]
Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]

#: Why a row is rejected; a reject's code is the index into this tuple.
REASONS = ("columns", "label", "number", "non-finite", "utf-8", "json")
COLUMNS, LABEL, NUMBER, NON_FINITE, UTF_8, JSON = range(len(REASONS))

#: Status of a row that is kept, and of one the fast parser leaves to the row-by-row definition. Others are reasons.
KEPT = 255
UNUSUAL = 254


@dataclass(frozen=True, eq=False)
class Features:
    """n kept rows and m rejects of k messages.

    Attributes:
        ids: int64[n, F].
        weights: float32[n, F], every one finite.
        labels: float32[n, 1], 0 or 1.
        message: int32[n], index of each kept row's message.
        row: int32[n], number of each kept row inside its message, rejects counted too.
        rows_per_message: int32[k], kept and rejected.
        reject_message: int32[m].
        reject_row: int32[m].
        reject_reason: uint8[m], indexes into ``REASONS``.
    """

    ids: Int64
    weights: Float32
    labels: Float32
    message: Int32
    row: Int32
    rows_per_message: Int32
    reject_message: Int32
    reject_row: Int32
    reject_reason: UInt8

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, eq=False)
class Rows:
    """All rows of some messages before rejects are taken out: the first axis of every array but the last is the row."""

    ids: Int64
    weights: Float32
    labels: Float32
    status: UInt8
    message: Int32
    row: Int32
    rows_per_message: Int32

    def features(self) -> Features:
        """Split into kept rows and rejects; without rejects the arrays are passed on, not copied."""
        kept = self.status == KEPT
        if kept.all():
            none = np.empty(0, np.int32)
            return Features(
                self.ids,
                self.weights,
                self.labels,
                self.message,
                self.row,
                self.rows_per_message,
                none,
                none,
                np.empty(0, np.uint8),
            )
        rejected = ~kept
        return Features(
            self.ids[kept],
            self.weights[kept],
            self.labels[kept],
            self.message[kept],
            self.row[kept],
            self.rows_per_message,
            self.message[rejected],
            self.row[rejected],
            self.status[rejected],
        )
