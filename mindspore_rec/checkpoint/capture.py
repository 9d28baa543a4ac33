"""The state of a trainer at one moment, about to be written: arrays, and rows that are read while training goes on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, Iterator, Mapping, Optional, Protocol, Tuple

import numpy as np

from mindspore_rec.checkpoint.array_file import Arrays
from mindspore_rec.checkpoint.format import TABLE, Checkpoint
from mindspore_rec.checkpoint.manifest import Parent
from mindspore_rec.checkpoint.merge import digest_of_columns, row_columns, row_prefixes


class Rows(Protocol):
    """Rows of a table, or ids that wait for one: all of them, or those that changed."""

    @property
    def columns(self) -> Mapping[str, Tuple[np.dtype, int]]:
        """Name, type and width (0: no second dimension) of what there is by row."""

    @property
    def count(self) -> int:
        """Rows in all chunks."""

    @property
    def total(self) -> int:
        """Rows of the state."""

    @property
    def removed(self) -> np.ndarray:
        """int64[k], ids that lost their row since the parent."""

    @property
    def finite(self) -> bool:
        """Whether no value of the chunks read is NaN or infinite."""

    @property
    def digest(self) -> int:
        """Of all rows of the state, once all chunks were read."""

    def chunks(self) -> Iterator[Arrays]:
        """The rows, once; valid until the next."""

    def close(self) -> None:
        """Give them up, where they were not all read."""


@dataclass(frozen=True)
class Capture:
    """What a checkpoint will hold.

    Attributes:
        groups: arrays that are not kept by row, by group and name; nobody changes them any more.
        rows: rows by group and by the prefix of their names.
        meta: JSON-able metadata.
        parent: what it adds to, where only changes were captured.
        deltas: how many deltas after a full checkpoint it is.
    """

    groups: Dict[str, Arrays]
    rows: Dict[str, Dict[str, Rows]]
    meta: Dict[str, Any]
    parent: Optional[Parent] = None
    deltas: int = 0

    def close(self) -> None:
        """Give up rows that were not read."""
        for rows in self.rows.values():
            for part in rows.values():
                part.close()


class ArrayRows:
    """Rows that lie in arrays."""

    def __init__(self, columns: Arrays) -> None:
        self._arrays = columns
        self.count = self.total = columns["ids"].size
        self.removed = np.empty(0, np.int64)
        self.finite = True
        self.digest = 0

    @property
    def columns(self) -> Dict[str, Tuple[np.dtype, int]]:
        """See `Rows`."""
        return {name: (a.dtype, a.shape[1] if a.ndim > 1 else 0) for name, a in self._arrays.items()}

    def chunks(self) -> Iterator[Arrays]:
        """See `Rows`."""
        self.digest = digest_of_columns(self._arrays)
        self.finite = all(a.dtype.kind != "f" or bool(np.isfinite(a).all()) for a in self._arrays.values())
        yield self._arrays

    def close(self) -> None:
        """Nothing is held."""


def whole(checkpoint: Checkpoint) -> Capture:
    """Return what a full checkpoint of these arrays holds."""
    groups, rows = {}, {}
    for group, arrays in checkpoint.groups.items():
        prefixes = row_prefixes(arrays) if group.startswith(TABLE) else []
        by_row = {prefix: row_columns(arrays, prefix) for prefix in prefixes}
        names = {prefix + name for prefix, columns in by_row.items() for name in columns}
        groups[group] = {name: array for name, array in arrays.items() if name not in names}
        rows[group] = {prefix: ArrayRows(columns) for prefix, columns in by_row.items()}
    return Capture(groups, {group: dict(parts) for group, parts in rows.items() if parts}, checkpoint.meta)
