"""What a table gives to exports: all its rows, or those that a rule chooses."""

from __future__ import annotations

from typing import Optional

import numpy as np

from mindspore_rec.embedding.export_rule import ExportRule
from mindspore_rec.embedding.id_order import sort_ids
from mindspore_rec.embedding.residents import Residents
from mindspore_rec.embedding.row_store import RowStore
from mindspore_rec.embedding.statistics import STATISTICS
from mindspore_rec.embedding.table_rows import ChangedRows, TableRows
from mindspore_rec.embedding.touched import Chosen, TouchedRows


class TableExports:
    """The exports of a `HashTable`, which is one. What they return are copies; a padding id is never among them."""

    _store: RowStore
    _residents: Residents
    _touched: Optional[TouchedRows] = None

    def export_all(self) -> TableRows:
        """Return all rows; nothing is changed."""
        return self._rows(self._in_use())

    def export_base(self, rule: ExportRule) -> TableRows:
        """Return the rows of a base, with their delta_score before it becomes 0; without statistics all rows."""
        rows, statistics = self._in_use(), self._residents.statistics
        if statistics is not None:
            known = _taken(statistics.records, rows)
            rows = rows[rule.base(known, self._unseen_days(known))]
        return self._saved(rows)

    def export_delta(self, rule: ExportRule) -> TableRows:
        """Return the rows that changed enough since they were last saved, with their delta_score before it becomes 0.

        Raises:
            ValueError: the table keeps no delta_score.
        """
        statistics, delta_scores = self._residents.statistics, self._residents.delta_scores
        if statistics is None or delta_scores is None:
            raise ValueError(
                f"table {self._residents.name!r} keeps no delta_score, so what changed since the last export is not "
                f"known: expected one made with delta_score = DeltaScore(...)"
            )
        rows = self._in_use()
        known = _taken(statistics.records, rows)
        return self._saved(rows[rule.delta(known, self._unseen_days(known), delta_scores.of(rows))])

    def export_changed(self, rule: Optional[ExportRule] = None, whole: bool = False) -> ChangedRows:
        """Return what changed since the last call, the first time all rows; for one reader.

        Args:
            rule: only rows of a base are worth publishing; default: all. Without statistics it has no say.
            whole: all rows, as the first time.
        """
        if self._touched is None:
            self._touched = self._store.changes.touch()
        elif whole:
            self._touched.touch_all()
        rows, removed = self._touched.take(None if rule is None else self._of_base(rule))
        ids, rows = sort_ids(self._store.ids[rows], rows)
        gone = np.setdiff1d(removed, ids, assume_unique=True)
        weights = self._store.weights(rows, np.empty((rows.size, self._store.dim), np.float32))
        return ChangedRows(ids, weights, np.sort(gone.view(np.uint64)).view(np.int64))

    def _of_base(self, rule: ExportRule) -> Optional[Chosen]:
        statistics = self._residents.statistics
        if statistics is None:
            return None
        records = statistics.records

        def chosen(rows: np.ndarray) -> np.ndarray:
            known = _taken(records, rows)
            return rule.base(known, self._unseen_days(known))

        return chosen

    def _in_use(self) -> np.ndarray:
        """int64[r], the rows that ids have."""
        chosen = self._store.rows_in_use()
        return np.arange(chosen.stop) if isinstance(chosen, slice) else chosen

    def _saved(self, rows: np.ndarray) -> TableRows:
        saved = self._rows(rows)
        delta_scores = self._residents.delta_scores
        if delta_scores is not None:
            grown = rows[delta_scores.of(rows) != 0].astype(np.int32)
            self._store.changes.change(grown)
            delta_scores.reset(grown)
        return saved

    def _rows(self, rows: np.ndarray) -> TableRows:
        ids, rows = sort_ids(self._store.ids[rows], rows)
        values, dim = self._store.values(rows), self._store.dim
        widths = [1 if slot.per_row else dim for slot in self._store.slots]
        weights, *slots = np.split(values, np.cumsum([dim, *widths])[:-1], axis=1)
        statistics = self._residents.statistics
        known = np.zeros(rows.size, STATISTICS) if statistics is None else _taken(statistics.records, rows)
        return TableRows(
            ids=ids,
            weights=weights,
            slots={slot.name: part for slot, part in zip(self._store.slots, slots)},
            show=known["show"].copy(),
            click=known["click"].copy(),
            unseen_days=self._unseen_days(known),
        )

    def _unseen_days(self, statistics: np.ndarray) -> np.ndarray:
        """int32[n], days that ended since ids were last trained, of STATISTICS[n]; 0 where none are kept."""
        if self._residents.statistics is None:
            return np.zeros(statistics.size, np.int32)
        timeline = self._residents.timeline
        unseen: np.ndarray = (timeline.day - timeline.days(statistics["last_step"])).astype(np.int32)
        return unseen


def _taken(records: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """STATISTICS[n] of rows; as numbers of the same size, which numpy copies faster than records."""
    taken: np.ndarray = records.view(np.complex128).take(rows).view(STATISTICS)
    return taken
