"""How large tables may become: rows or bytes of each, and host memory for all of them."""

from __future__ import annotations

import weakref
from typing import Optional, Protocol

from mindspore_rec.embedding import host_memory

MEMORY_SHARE = 0.8  # of host memory, for all tables of a process
_RESERVE_SHARE = 0.05  # of host memory, that stays available whoever uses the rest
_RECHECK_BYTES = 16 << 20


class _Sized(Protocol):
    @property
    def nbytes(self) -> int: ...


class MemoryBudget:
    """Bytes that several tables share.

    Args:
        limit: of all of them; default: 80 % of host memory.

    >>> class Table:
    ...     nbytes = 90
    >>> budget, table = MemoryBudget(100), Table()
    >>> budget.join(table)
    >>> budget.room()
    10
    """

    def __init__(self, limit: Optional[int] = None) -> None:
        self.limit = int(MEMORY_SHARE * host_memory.total()) if limit is None else limit
        self._reserve = int(_RESERVE_SHARE * host_memory.total())
        self._tables: weakref.WeakSet[_Sized] = weakref.WeakSet()
        self._checked = -1
        self._available = 0

    def join(self, table: _Sized) -> None:
        """Count a table, as long as it lives."""
        self._tables.add(table)

    def room(self) -> int:
        """Return how many bytes the tables may still take, 0 or more."""
        used = sum(table.nbytes for table in self._tables)
        if self._checked < 0 or abs(used - self._checked) >= _RECHECK_BYTES or self._available < _RECHECK_BYTES:
            self._available = host_memory.available() - self._reserve
            self._checked = used
        left = self._available - (used - self._checked)
        return max(0, min(self.limit - used, left))


HOST = MemoryBudget()


class Bounds:
    """The most rows a table may have now.

    Args:
        max_rows: rows, 0 for no bound.
        max_bytes: bytes of rows, index, statistics and waiting ids together, 0 for no bound.
        budget: shared with other tables.
    """

    def __init__(self, max_rows: int, max_bytes: int, budget: MemoryBudget) -> None:
        for name, value in (("max_rows", max_rows), ("max_bytes", max_bytes)):
            if value < 0:
                raise ValueError(f"{name} = {value}: expected 0 or more")
        self._max_rows, self._max_bytes, self.budget = max_rows, max_bytes, budget

    def most_rows(self, rows: int, free_rows: int, used: int, row_bytes: float) -> int:
        """Return how many rows a table may have that has `rows` of them and `free_rows` in `used` bytes."""
        most = rows + free_rows + int(self.room(used) / row_bytes)
        return min(most, self._max_rows) if self._max_rows else most

    def room(self, used: int) -> int:
        """Return how many bytes a table of `used` bytes may still take, 0 or more."""
        room = self.budget.room()
        return min(room, max(0, self._max_bytes - used)) if self._max_bytes else room
