"""Which ids of a table have a row: admission, statistics, eviction and bounds at work over a `RowStore`."""

from __future__ import annotations

import logging
from typing import Dict, List, Optional, Sequence, Union

import numpy as np

from mindspore_rec.embedding.admission import Admission, ByField
from mindspore_rec.embedding.bounds import Bounds
from mindspore_rec.embedding.changes import RowChanges
from mindspore_rec.embedding.dedupe import DistinctIds
from mindspore_rec.embedding.delta_score import DeltaScores
from mindspore_rec.embedding.eviction import (
    Eviction,
    LeastFrequent,
    LeastRecent,
    NearZero,
    Periodic,
    ShowClickDecay,
    TableView,
    Unseen,
)
from mindspore_rec.embedding.gate import Gate
from mindspore_rec.embedding.row_store import RowStore
from mindspore_rec.embedding.statistics import LAST_STEP, STATISTICS, IdStatistics, arrays_of, from_arrays
from mindspore_rec.embedding.timeline import Timeline

logger = logging.getLogger(__name__)

COUNTERS = ("admitted", "refused", "evicted")
WAITING = "waiting."  # begins the names of what is kept of ids without a row


class Residents:
    """The ids that have a row.

    Args:
        store: their rows.
        row_bytes: bytes of a row, id and index included.
        admission, eviction, padding_id, bounds, name: as of the table.
        statistics: keep statistics even where no rule asks for them.
        delta_scores: of the rows, where they are kept; they need statistics.

    Attributes:
        name: in log lines.
        statistics: of the rows; None where nobody asks.
        delta_scores: as given.
        counters: rows given out, ids refused for lack of room (once a batch), rows evicted.
        generation: changes where ids get or lose rows: what was found before may be wrong now.
    """

    def __init__(
        self,
        store: RowStore,
        row_bytes: float,
        *,
        admission: Union[Admission, ByField],
        eviction: Sequence[Eviction],
        padding_id: Optional[int],
        bounds: Bounds,
        statistics: bool,
        delta_scores: Optional[DeltaScores],
        name: str,
    ) -> None:
        self._store, self._bounds, self.name, self.delta_scores = store, bounds, name, delta_scores
        self._padding = None if padding_id is None else np.array([padding_id % 2**64], np.uint64).view(np.int64)[0]
        self.gate = Gate(admission, store.max_rows)
        self._periodic: List[Periodic] = [rule for rule in eviction if isinstance(rule, (Unseen, NearZero))]
        self._daily = [rule for rule in eviction if isinstance(rule, ShowClickDecay)]
        full = [rule for rule in eviction if isinstance(rule, (LeastRecent, LeastFrequent))]
        if len(full) > 1 or len(self._daily) > 1:
            raise ValueError(f"eviction = {list(eviction)}: expected at most one rule for a full table, one for days")
        if len(self._periodic) + len(self._daily) + len(full) != len(eviction):
            raise ValueError(f"eviction = {list(eviction)}: expected rules of mindspore_rec.embedding.eviction")
        self._when_full = full[0] if full else None
        keeps = statistics or delta_scores is not None or bool(eviction) or not self.gate.is_open
        self.statistics = IdStatistics(store.max_rows) if keeps else None
        store.keep_statistics(self.statistics.records if self.statistics else None)
        self._row_bytes = row_bytes + (STATISTICS.itemsize if keeps else 0)
        self.timeline = Timeline()
        self.counters = dict.fromkeys(COUNTERS, 0)
        self.generation = 0
        self._tombstones: Optional[List[np.ndarray]] = None
        self._full = False

    @property
    def nbytes(self) -> int:
        """Bytes of rows, index, statistics and waiting ids."""
        kept = STATISTICS.itemsize * self._store.index.end if self.statistics else 0
        return self._store.nbytes + kept + self.gate.nbytes

    def admit(self, distinct: DistinctIds, rules: Optional[np.ndarray], step: int) -> np.ndarray:
        """Return int32[u], the rows of the ids of a training batch, new ones where ids get them, else -1.

        Args:
            rules: int32[u], the number of the admission rule of each id, None where there is one.
            step: updates so far.
        """
        index, ids = self._store.index, distinct.ids
        if self.gate.is_open and self._padding is None and index.size + ids.size <= self._most_rows():
            rows, added = self._store.add(ids)
            self._begin(added, np.zeros(added.size, STATISTICS), step)
            return rows
        rows = self._store.find(ids)
        new = self._without_row(ids, rows)
        if not self.gate.is_open and new.size:
            new = new[self.gate.admits(ids[new], distinct.counts[new], _part(rules, new), step)]
        new = self._fitting(new, ids, rows, step)
        if new.size:
            before = self.gate.take(ids[new], _part(rules, new))
            rows[new], added = self._store.add(ids[new])
            self._begin(added, before, step)
        return rows

    def observe(
        self,
        distinct: DistinctIds,
        rows: np.ndarray,
        rules: Optional[np.ndarray],
        clicks: Optional[np.ndarray],
        step: int,
        seconds: float,
    ) -> None:
        """Count what the batch of a step showed, clicks float32[u] of it; then evict what is due."""
        if self.statistics is not None:
            self.timeline.note(step, seconds)
            self.statistics.observe(rows, distinct.counts, clicks, step)
        if self.delta_scores is not None:
            self.delta_scores.grow(rows, distinct.counts, clicks)
        if not self.gate.is_open:
            new = self._without_row(distinct.ids, rows)
            if new.size:
                clicked, shows = None if clicks is None else clicks[new], distinct.counts[new]
                self.gate.observe(distinct.ids[new], shows, clicked, _part(rules, new), step, self._room_to_wait())
            self.gate.end_step(step)
        for rule in self._periodic:
            if step % rule.every_steps == 0:
                view = self._view(step)
                self._evict_rows(rule.dead(view))
                self.gate.forget(rule.forget(view))

    def shrink(self, step: int) -> int:
        """Do what is due at the end of a day; how many rows were evicted."""
        before = self.counters["evicted"]
        for rule in self._daily:
            self._store.changes.change_all()
            self._evict_rows(rule.shrink(self._view(step)))
            self.gate.shrink(rule, self.timeline, step)
        return self.counters["evicted"] - before

    def evict(self, ids: np.ndarray) -> int:
        """Remove ids, int64[n], each once; how many had a row."""
        rows = self._store.index.remove(np.ascontiguousarray(ids, dtype=np.int64))
        if rows.size:
            self._store.changes.remove(rows)
            if self._tombstones is not None:
                self._tombstones.append(self._store.ids[rows])
            if self.statistics is not None:
                self.statistics.free(rows)
            self.counters["evicted"] += int(rows.size)
            self.generation += 1
        return int(rows.size)

    def take_evicted(self) -> np.ndarray:
        """Return the tombstones since the last call, int64[n], ascending; the first call begins to keep them."""
        ids = np.unique(np.concatenate([np.empty(0, np.int64), *(self._tombstones or [])]))
        self._tombstones = []
        return ids[self._store.index.find(ids) < 0]

    def known(self, ids: np.ndarray, row: np.ndarray) -> Optional[np.ndarray]:
        """Return STATISTICS[] of one id, int64[1], of its row or of its waiting; None where none are kept."""
        if row[0] < 0:
            return self.gate.seen(ids)
        return None if self.statistics is None else self.statistics.of(row)[0]

    def state(self) -> Dict[str, np.ndarray]:
        """Return statistics, times, counters and waiting ids, the rows in the order of `RowStore.rows_in_use`."""
        state = self._times()
        if self.statistics is not None:
            state.update(arrays_of(self.statistics.records[self._store.rows_in_use()]))
        state.update({f"{WAITING}{key}": array for key, array in self.gate.state().items()})
        return state

    @property
    def changes(self) -> Dict[str, RowChanges]:
        """What follows the rows, and waiting ids, by the prefix of their names in `state`."""
        return {"": self._store.changes, **{WAITING + key: found for key, found in self.gate.changes.items()}}

    def state_without_rows(self) -> Dict[str, np.ndarray]:
        """Return copies of what `state` has besides what `changes` follow."""
        fixed = self.gate.state_without_ids()
        return {**self._times(), **{WAITING + key: array.copy() for key, array in fixed.items()}}

    def _times(self) -> Dict[str, np.ndarray]:
        state = {"counters": np.array([self.counters[name] for name in COUNTERS], np.int64)}
        if self.statistics is not None:
            state["timeline"] = self.timeline.state()
        return state

    def load_state(self, state: Dict[str, np.ndarray], step: int) -> None:
        """Take over what `state` returned; the store has the rows already.

        Raises:
            ValueError: it does not fit.
        """
        rows = self._store.index.size
        if self.statistics is not None:
            self.statistics.records[:rows] = from_arrays(state, rows, step)
            self.timeline = Timeline()
            if "timeline" in state:
                self.timeline.load_state(state["timeline"])
            if rows and "last_step" not in state:
                logger.warning("table %r: %d rows without statistics: shows and ages begin now", self.name, rows)
        waiting = {key[len(WAITING) :]: array for key, array in state.items() if key.startswith(WAITING)}
        self.gate.load_state(waiting, step)
        counters = state.get("counters", np.array([rows, 0, 0]))
        if counters.shape != (len(COUNTERS),):
            raise ValueError(f"table state has counters of shape {counters.shape}, expected ({len(COUNTERS)},)")
        self.counters = {name: int(value) for name, value in zip(COUNTERS, counters)}
        if self._padding is not None:  # the table it was saved from may have had none
            self.evict(np.array([self._padding]))
        self._tombstones = None if self._tombstones is None else []
        self.generation += 1

    def _begin(self, rows: np.ndarray, before: np.ndarray, step: int) -> None:
        self.counters["admitted"] += int(rows.size)
        self.generation += bool(rows.size)
        if self.statistics is not None and rows.size:
            if step > LAST_STEP - 2:
                raise OverflowError(f"table {self.name!r}: ids are counted over {LAST_STEP} steps at most")
            self.statistics.begin(rows, before, step + 1)
        if self.delta_scores is not None:
            self.delta_scores.begin(rows, before)

    def _without_row(self, ids: np.ndarray, rows: np.ndarray) -> np.ndarray:
        new = np.flatnonzero(rows < 0)
        return new if self._padding is None else new[ids[new] != self._padding]

    def _most_rows(self) -> int:
        index = self._store.index
        return self._bounds.most_rows(index.size, index.end - index.size, self.nbytes, self._row_bytes)

    def _room_to_wait(self) -> int:
        """Bytes that ids without a row may still take.

        Half of the table's at most, so that there is room for rows; and a little where rows have taken all of it before
        any id waited, or else none would ever be admitted in place of others.
        """
        used, waiting = self.nbytes, self.gate.growing_nbytes
        room = self._bounds.room(used)
        half = (used - (self.gate.nbytes - waiting) + room) // 2
        return max(0, min(room, half - waiting), used // 32 - waiting)

    def _fitting(self, new: np.ndarray, ids: np.ndarray, rows: np.ndarray, step: int) -> np.ndarray:
        """Those of the new ids there is room for: all of them where rows can be evicted, else the smallest ids."""
        size, most = self._store.index.size, min(self._most_rows(), self._store.max_rows)
        if size + new.size > most and self._when_full is not None and self.statistics is not None:
            self._store.changes.change(rows[rows >= 0])
            self.statistics.observe(rows, np.zeros(rows.size, np.int32), None, step + 1)  # the batch needs these
            wanted = max(size + new.size - most, int(self._when_full.share * most))
            self._evict_rows(self._when_full.least(self._view(step), wanted))
            size = self._store.index.size
        room = max(0, most - size)
        full = bool(new.size > room or (self._full and room < most // 100))
        if full and not self._full:
            logger.warning(
                "table %r is full at %s rows: new ids read as zeros until there is room", self.name, f"{size:,}"
            )
        self._full = full
        if new.size <= room:
            return new
        self.counters["refused"] += int(new.size - room)
        return np.sort(new[np.argsort(ids[new], kind="stable")[:room]])

    def _evict_rows(self, rows: np.ndarray) -> None:
        if rows.size:
            self.evict(self._store.ids[rows])

    def _view(self, step: int) -> TableView:
        if self.statistics is None:
            raise AssertionError("a rule keeps statistics")
        end, store = self._store.index.end, self._store
        return TableView(
            self.statistics.records[:end],
            store.ids[:end],
            lambda rows: np.sqrt(np.square(store.values(rows)[:, : store.dim]).sum(axis=1)),
            self.timeline,
            step,
        )


def _part(rules: Optional[np.ndarray], chosen: np.ndarray) -> Optional[np.ndarray]:
    return None if rules is None else rules[chosen]
