"""Ids that have no row yet: what an admission rule keeps of them, exactly, in a sketch, or not at all."""

from __future__ import annotations

from functools import partial
from typing import Dict, Optional

import numpy as np

from mindspore_rec.embedding.changes import RowChanges
from mindspore_rec.embedding.eviction import ShowClickDecay, TableView
from mindspore_rec.embedding.index import ENTRY_BYTES, IdIndex
from mindspore_rec.embedding.memory import reserve
from mindspore_rec.embedding.row_arrays import RowArrays
from mindspore_rec.embedding.sketch import CountingSketch
from mindspore_rec.embedding.statistics import FREE, STATISTICS, IdStatistics, arrays_of, from_arrays
from mindspore_rec.embedding.timeline import Timeline

_BYTES = 8 + ENTRY_BYTES + STATISTICS.itemsize  # of a waiting id and its entry in the index


class Waiting:
    """What is known of ids without a row. This one keeps nothing: its rule decides anew each time.

    Attributes:
        grows: takes more bytes the more ids wait.
        changes: follows the ids, where they are known one by one.
    """

    grows = False
    changes: Optional[RowChanges] = None

    @property
    def nbytes(self) -> int:
        """Bytes in use."""
        return 0

    def __len__(self) -> int:
        """Ids waiting, where they are known one by one."""
        return 0

    def seen(self, ids: np.ndarray) -> np.ndarray:
        """Return STATISTICS[n] of ids, zeros where nothing is known."""
        return np.zeros(ids.size, STATISTICS)

    def observe(self, ids: np.ndarray, shows: np.ndarray, clicks: Optional[np.ndarray], step: int, room: int) -> None:
        """Add what a batch showed of ids, int64[n] each once; shows int32[n], clicks float32[n].

        Args:
            room: bytes that may be taken for it.
        """

    def admit(self, ids: np.ndarray) -> None:
        """Forget ids that have a row now."""

    def forget(self, step: int) -> int:
        """Forget ids last seen at `step` or before; how many."""
        return 0

    def shrink(self, rule: ShowClickDecay, timeline: Timeline, step: int) -> None:
        """Do to ids without a row what a rule does at the end of a day."""

    def end_step(self, step: int) -> None:
        """Do what is due after a step."""

    def state(self) -> Dict[str, np.ndarray]:
        """Return what a checkpoint keeps."""
        return {}

    def load_state(self, state: Dict[str, np.ndarray], step: int) -> None:
        """Take over what `state` returned at `step`.

        Raises:
            ValueError: it does not fit.
        """


class Candidates(Waiting):
    """Keeps exact statistics of each id, 37 bytes, until it is admitted or forgotten.

    Args:
        most: ids there is room for; beyond them the ones seen least recently are forgotten, at least half of those
            that the batch does not name.
    """

    grows = True

    def __init__(self, most: int) -> None:
        self._most = most
        self._ids = reserve(most, 0, np.int64)
        self._index = IdIndex(self._ids)
        self._statistics = IdStatistics(most)
        self.changes: RowChanges = RowChanges(
            RowArrays.of(self._ids, None, self._statistics.records), lambda: self._index
        )

    @property
    def nbytes(self) -> int:
        """See `Waiting`."""
        return int(self._index.end * _BYTES) + self.changes.nbytes(self._index.end)

    def __len__(self) -> int:
        return self._index.size

    def seen(self, ids: np.ndarray) -> np.ndarray:
        """See `Waiting`."""
        return self._statistics.of(self._index.find(ids))

    def observe(self, ids: np.ndarray, shows: np.ndarray, clicks: Optional[np.ndarray], step: int, room: int) -> None:
        """See `Waiting`."""
        most = min(self._most, self._index.end + int(room / _BYTES))
        if len(self) + ids.size > most:
            fitting = self._fitting(ids, step, most)
            ids, shows = ids[fitting], shows[fitting]
            clicks = None if clicks is None else clicks[fitting]
        rows, added = self._index.find_or_add(ids)
        self.changes.add(added)
        self.changes.change(rows)
        self._statistics.begin(added, np.zeros(added.size, STATISTICS), step)
        self._statistics.observe(rows, shows, clicks, step)

    def admit(self, ids: np.ndarray) -> None:
        """See `Waiting`."""
        rows = self._index.remove(ids)
        self.changes.remove(rows)
        self._statistics.free(rows)

    def forget(self, step: int) -> int:
        """See `Waiting`."""
        last = self._statistics.records["last_step"][: self._index.end]
        rows = np.flatnonzero(last <= step)
        self.admit(self._ids[rows])
        return int(rows.size)

    def shrink(self, rule: ShowClickDecay, timeline: Timeline, step: int) -> None:
        """See `Waiting`."""
        self.changes.change_all()
        end = self._index.end
        no_norms = partial(np.zeros, dtype=np.float32)
        rows = rule.shrink(TableView(self._statistics.records[:end], self._ids[:end], no_norms, timeline, step))
        self.admit(self._ids[rows])

    def state(self) -> Dict[str, np.ndarray]:
        """See `Waiting`."""
        rows = np.flatnonzero(self._statistics.records["last_step"][: self._index.end] != FREE)
        return {"ids": self._ids[rows], **arrays_of(self._statistics.records[rows])}

    def load_state(self, state: Dict[str, np.ndarray], step: int) -> None:
        """See `Waiting`."""
        ids = np.ascontiguousarray(state.get("ids", np.empty(0, np.int64)), np.int64)
        if ids.size > self._most:
            raise ValueError(f"table state has {ids.size} waiting ids, room is for {self._most}")
        self.changes.stop()
        self._index = IdIndex(self._ids)
        self._index.find_or_add(ids)
        if self._index.size != ids.size:
            raise ValueError("table state names a waiting id twice")
        self._statistics.records[: ids.size] = from_arrays(state, ids.size, step)

    def _fitting(self, ids: np.ndarray, step: int, most: int) -> np.ndarray:
        """Make room; return int[n], those of the ids that wait already, and of the others the smallest that fit."""
        rows = self._index.find(ids)
        new = np.flatnonzero(rows < 0)
        if len(self) + new.size > most:
            self.changes.change(rows[rows >= 0])
            self._statistics.observe(rows, np.zeros(rows.size, np.int32), None, step)  # these stay
            last = self._statistics.records["last_step"][: self._index.end]
            steps = np.sort(last[last < step])
            if steps.size:
                wanted = max(len(self) + new.size - most, steps.size // 2)
                self.forget(int(steps[min(wanted, steps.size) - 1]))
        smallest = new[np.argsort(ids[new], kind="stable")[: max(0, most - len(self))]]
        return np.concatenate((np.flatnonzero(rows >= 0), smallest))


class Sketched(Waiting):
    """Keeps how often ids occurred in a counting sketch, halved every so many steps so that it does not fill up.

    Counts of admitted ids stay in it until they are halved away: other ids may share them.
    """

    def __init__(self, nbytes: int, halve_steps: int, seed: int) -> None:
        self._sketch = CountingSketch(nbytes, seed)
        self._halve_steps = halve_steps

    @property
    def nbytes(self) -> int:
        """See `Waiting`."""
        return self._sketch.nbytes

    def seen(self, ids: np.ndarray) -> np.ndarray:
        """See `Waiting`."""
        records = np.zeros(ids.size, STATISTICS)
        records["show"] = self._sketch.counts(ids)
        return records

    def observe(self, ids: np.ndarray, shows: np.ndarray, clicks: Optional[np.ndarray], step: int, room: int) -> None:
        """See `Waiting`."""
        self._sketch.add(ids, shows)

    def end_step(self, step: int) -> None:
        """See `Waiting`."""
        if step % self._halve_steps == 0:
            self._sketch.halve()

    def state(self) -> Dict[str, np.ndarray]:
        """See `Waiting`."""
        return self._sketch.state()

    def load_state(self, state: Dict[str, np.ndarray], step: int) -> None:
        """See `Waiting`; a table that had no sketch has counted nothing."""
        if "cells" in state:
            self._sketch.load_state(state)
