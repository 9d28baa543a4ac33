"""How many rows a `RowAudit` has seen, in a file that another process may read at any time."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np


class Audited(NamedTuple):
    """What the file says.

    Attributes:
        rows: rows trained that the present state of the model holds.
        replayed: rows trained whose effect a crash undid, so that they were trained again.
    """

    rows: int
    replayed: int


class AuditProgress:
    """Two counters in a file mapped into memory: they are there for others at once, and survive `kill -9`.

    Args:
        path: the file; what an earlier process counted is continued.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as file:
            file.truncate(16)  # bytes missing are zeros
        self._counts = np.memmap(path, dtype=np.int64, mode="r+", shape=(2,))

    def begin(self, rows: int) -> None:
        """Say that training goes on from a state with so many rows; those beyond it are trained again."""
        self._counts[1] += max(0, int(self._counts[0]) - rows)
        self._counts[0] = rows

    def note(self, rows: int) -> None:
        """Say how many rows the state holds now."""
        self._counts[0] = rows


def read_progress(path: Path) -> Audited:
    """What the file says; zeros where it is not there.

    >>> read_progress(Path("nowhere"))
    Audited(rows=0, replayed=0)
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        content = b""
    counts = np.frombuffer(content[:16].ljust(16, b"\0"), dtype=np.int64)
    return Audited(int(counts[0]), int(counts[1]))
