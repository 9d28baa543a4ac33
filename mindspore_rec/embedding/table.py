"""A growing hash table of embedding rows in host memory, with its sparse optimizer, admission and eviction."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Callable, Dict, Optional, Sequence, Tuple, Union

import numpy as np

from mindspore_rec.embedding import host_memory
from mindspore_rec.embedding.admission import Admission, Always, ByField
from mindspore_rec.embedding.bounds import HOST, MEMORY_SHARE, Bounds, MemoryBudget
from mindspore_rec.embedding.dedupe import DistinctIds, distinct_ids
from mindspore_rec.embedding.delta_score import DeltaScore, DeltaScores, ScoredOptimizer
from mindspore_rec.embedding.eviction import Eviction
from mindspore_rec.embedding.explanation import Explanation, Known, TableStats, explain
from mindspore_rec.embedding.id_values import sum_gradients
from mindspore_rec.embedding.initial import Initial, Uniform
from mindspore_rec.embedding.memory import Scratch
from mindspore_rec.embedding.ranges import host_threads
from mindspore_rec.embedding.residents import Residents
from mindspore_rec.embedding.row_store import RowStore, SparseOptimizer, bytes_of_row
from mindspore_rec.embedding.table_changes import TableChanges
from mindspore_rec.embedding.table_exports import TableExports

MAX_ROWS = 2**31 - 1


@dataclass(frozen=True)
class Prepared:
    """A batch whose ids were found: what `read`, `sum_gradients` and `apply` work on.

    Attributes:
        distinct: its ids.
        rows: int32[u], -1 for ids without one.
        rules: int32[u], which admission rule each id goes by; None where there is one for all.
        generation: of the table; where ids got or lost rows since, they are looked up anew.
    """

    distinct: DistinctIds
    rows: np.ndarray
    rules: Optional[np.ndarray] = None
    generation: int = 0


class HashTable(TableExports):
    """Rows of `dim` weights and their optimizer slots for any 64-bit ids.

    Args:
        dim: weights of a row.
        optimizer: a sparse optimizer of `embedding.optimizers`.
        init: first values of the weights, a function of (seed, id) alone; default: uniform in [-0.01, 0.01).
        seed: seed of the first values.
        row_type: "float32", "bfloat16" or "float16": how weights are kept; slots are float32.
        padding_id: reads as zeros, is never trained, counted or given a row; None: every id is an id.
        admission: which new ids get a row: a rule of `embedding.admission`.
        eviction: one or more rules of `embedding.eviction`, at most one of them for a full table.
        max_rows, max_bytes: bounds; 0: none but 80 % of host memory, for all tables of the process. A full table evicts
            by its rule, else it admits no more ids.
        statistics: keep show, click and age of ids also where no rule asks for them.
        delta_score: keep how much the scores of ids grew since an export saved them, and statistics.
        name: in log lines.
        threads: default: one a core.
        budget: what tables share.
        clock: seconds since 1970, where `apply` is not told.

    Attributes:
        step: updates made.
        changes: what changed since the last checkpoint.

    >>> from mindspore_rec.embedding.optimizers import SGD
    >>> from mindspore_rec.embedding.initial import Constant
    >>> table = HashTable(2, SGD(0.5), init=Constant(0.0))
    >>> batch = table.prepare(np.array([[7, 9], [7, -1]]))
    >>> table.read(batch).shape
    (4, 2)
    >>> table.apply(batch, table.sum_gradients(batch, np.ones((4, 2), np.float32))[0])
    >>> table.lookup(np.array([7, 9, 8]))  # 7 occurred twice, 8 never
    array([[-1. , -1. ],
           [-0.5, -0.5],
           [ 0. ,  0. ]], dtype=float32)
    """

    def __init__(
        self,
        dim: int,
        optimizer: SparseOptimizer,
        *,
        init: Optional[Initial] = None,
        seed: int = 0,
        row_type: str = "float32",
        padding_id: Optional[int] = None,
        admission: Union[Admission, ByField, None] = None,
        eviction: Union[Eviction, Sequence[Eviction]] = (),
        max_rows: int = 0,
        max_bytes: int = 0,
        statistics: bool = False,
        delta_score: Optional[DeltaScore] = None,
        name: str = "",
        threads: int = 0,
        budget: MemoryBudget = HOST,
        clock: Callable[[], float] = time.time,
    ) -> None:
        for key, value, low, high in (("dim", dim, 1, MAX_ROWS), ("max_rows", max_rows, 0, MAX_ROWS)):
            if not low <= value <= high:
                raise ValueError(f"{key} = {value}: expected {low} to {high}")
        self.dim, self.optimizer = dim, optimizer
        self.admission: Union[Admission, ByField] = admission or Always()
        self.eviction = tuple(eviction) if isinstance(eviction, Sequence) else (eviction,)
        self.step = 0
        self._threads, self._clock = threads or host_threads(), clock
        self._about = {"dim": dim, "row_type": row_type, "padding_id": padding_id}
        stored = optimizer if delta_score is None else ScoredOptimizer(optimizer)
        row_bytes = bytes_of_row(dim, stored, row_type)
        space = max_rows or min(MAX_ROWS, int(MEMORY_SHARE * host_memory.total() / row_bytes))
        self._store = RowStore(space, dim, stored, init or Uniform(), seed, row_type, self._threads)
        self._residents = Residents(
            self._store,
            row_bytes,
            admission=self.admission,
            eviction=self.eviction,
            padding_id=padding_id,
            bounds=Bounds(max_rows, max_bytes, budget),
            statistics=statistics,
            delta_scores=None if delta_score is None else DeltaScores(self._store.last_value, delta_score),
            name=name,
        )
        self.changes = TableChanges(self._residents, lambda: self.step)
        self._sums = Scratch()
        budget.join(self)

    def __len__(self) -> int:
        return self._store.index.size

    @property
    def name(self) -> str:
        """What log lines call the table."""
        return self._residents.name

    @name.setter
    def name(self, name: str) -> None:
        self._residents.name = name

    @property
    def nbytes(self) -> int:
        """Bytes of rows, index, statistics and waiting ids, free rows among them."""
        return self._residents.nbytes

    @property
    def rule_of_column(self) -> Optional[np.ndarray]:
        """int32[columns], the number of each column's admission rule; None where one rule is for all."""
        return self._residents.gate.rule_of_column

    @property
    def evicted(self) -> int:
        """Rows evicted since the table was made or restored."""
        return self._residents.counters["evicted"]

    @property
    def has_statistics(self) -> bool:
        """Whether shows, clicks and ages of ids are kept."""
        return self._residents.statistics is not None

    @property
    def last_seconds(self) -> float:
        """When the last batch was, since 1970; -inf before the first, and where no statistics are kept."""
        return self._residents.timeline.now

    def prepare(self, ids: Union[np.ndarray, DistinctIds], rules: Optional[np.ndarray] = None) -> Prepared:
        """Find the rows of a training batch; ids that are admitted get one.

        Args:
            ids: int64, any shape, or their distinct ids.
            rules: int32[u], of `rule_of_column`, where it is not None: the number of the rule of each distinct id.
        """
        distinct = ids if isinstance(ids, DistinctIds) else distinct_ids(ids)
        if (rules is None) != (self.rule_of_column is None):
            raise ValueError("rules are given where admission is by column, and only there")
        if rules is not None and rules.shape != distinct.ids.shape:
            raise ValueError(f"rules has shape {rules.shape}, expected {distinct.ids.shape}")
        rows = self._residents.admit(distinct, rules, self.step)
        return Prepared(distinct, rows, rules, self._residents.generation)

    def read(self, batch: Prepared, out: Optional[np.ndarray] = None) -> np.ndarray:
        """Return float32[n, dim], the weights of each id of the batch, written to `out` where it is given."""
        return self._store.gather(batch.rows, batch.distinct.inverse, out)

    def find(self, ids: Union[np.ndarray, DistinctIds]) -> Prepared:
        """Prepare a batch for reading only: unknown ids read as zeros, and no id is created, counted or aged."""
        distinct = ids if isinstance(ids, DistinctIds) else distinct_ids(ids)
        return Prepared(distinct, self._store.find(distinct.ids), None, self._residents.generation)

    def lookup(self, ids: np.ndarray) -> np.ndarray:
        """Return float32[n, dim], the weights of `ids`, without touching the table."""
        return self.read(self.find(ids))

    def sum_gradients(self, batch: Prepared, grads: np.ndarray, scale: float = 1.0) -> Tuple[np.ndarray, bool]:
        """Sum `scale * grads`, float32[n, dim], over the occurrences of each id.

        Returns:
            float32[u, dim], valid until the next call, and whether every sum can be used (finite, its square too).
        """
        sums = self._sums.array(batch.distinct.ids.size, self.dim)
        return sums, bool(sum_gradients(grads.reshape(-1, self.dim), batch.distinct.inverse, sums, np.float32(scale)))

    def apply(
        self,
        batch: Prepared,
        sums: np.ndarray,
        rates: Optional[np.ndarray] = None,
        *,
        clicks: Optional[np.ndarray] = None,
        seconds: Optional[float] = None,
    ) -> None:
        """Update the rows of the batch's distinct ids, count what it showed, and evict what is due.

        Args:
            sums: float32[u, dim], their summed gradients.
            rates: float32[u], factors of their learning rates; default: all 1.
            clicks: float32[u], the summed labels of their occurrences; default: unknown.
            seconds: when that was, since 1970; default: now.
        """
        for name, values in (("rates", rates), ("clicks", clicks)):
            if values is not None and (values.shape != (sums.shape[0],) or values.dtype != np.float32):
                raise ValueError(f"{name} is {values.dtype}{list(values.shape)}, expected float32[{sums.shape[0]}]")
        rows = batch.rows
        if batch.generation != self._residents.generation:
            rows = self._store.find(batch.distinct.ids)
        self.step += 1
        if rows.size and rows.min() < 0:
            with_row = np.flatnonzero(rows >= 0)
            factors = None if rates is None else rates[with_row]
            self._store.changes.change(rows[with_row])
            self._store.update(rows[with_row], sums[with_row], self.step, factors)
        else:
            self._store.changes.change(rows)
            self._store.update(rows, sums, self.step, rates)
        now = self._clock() if seconds is None else seconds
        self._residents.observe(batch.distinct, rows, batch.rules, clicks, self.step, now)

    def evict(self, ids: np.ndarray) -> int:
        """Remove ids, int64[n], each once; how many had a row. Their rows are used again for the next new ids."""
        return self._residents.evict(ids)

    def shrink(self) -> int:
        """Do what the rule for days asks for at the end of one; how many ids were evicted."""
        return self._residents.shrink(self.step)

    def end_day(self) -> None:
        """Let all ids grow older by a day; `shrink` comes first."""
        self._residents.timeline.day += 1

    def take_evicted(self) -> np.ndarray:
        """Tombstones: int64[n], the ids evicted since the last call that have no row now, each once, ascending.

        None are kept before the first call.
        """
        return self._residents.take_evicted()

    def stats(self) -> TableStats:
        """Return figures of the table; reads the whole index."""
        index, residents = self._store.index, self._residents
        return TableStats(
            rows=index.size,
            free_rows=index.end - index.size,
            waiting=len(residents.gate),
            load=index.size / index.capacity,
            longest_probe=index.longest_probe(),
            nbytes=self.nbytes,
            **residents.counters,
        )

    def about(self) -> Dict[str, Any]:
        """Return what `explain` has to know of the table, JSON-able."""
        slots = [[slot.name, 1 if slot.per_row else self.dim] for slot in self._store.slots]
        rules = {"admission": repr(self.admission), "eviction": [repr(rule) for rule in self.eviction]}
        return {**self._about, "optimizer": repr(self.optimizer), "slots": slots, **rules}

    def explain(self, id: int) -> Explanation:
        """Tell what is known of an id, signed or unsigned, without touching it."""
        ids = np.array([id % 2**64], np.uint64).view(np.int64)
        row = self._store.index.find(ids)
        values = self._store.values(row)[0] if row[0] >= 0 else None
        return explain(id, Known(values, self._residents.known(ids, row), self._residents.timeline), self.about())

    def state(self) -> Dict[str, np.ndarray]:
        """The whole state: ids int64[r], rows, step int64[1], statistics; rows are not copied where none is free."""
        chosen = self._store.rows_in_use()
        return {
            "ids": self._store.ids[chosen],
            "rows": self._store.content(chosen),
            "step": np.array([self.step], dtype=np.int64),
            **self._residents.state(),
        }

    def load_state(self, state: Dict[str, np.ndarray]) -> None:
        """Replace the content by what `state()` returned; changes are followed no longer.

        Raises:
            ValueError: shapes do not fit this table, or an id occurs twice.
        """
        self._store.load(state["ids"], state["rows"])
        self.step = int(state["step"][0])
        self._residents.load_state(state, self.step)
