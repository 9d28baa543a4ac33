"""The admission of a table at work: its rules, what they keep of waiting ids, and which rule an id goes by."""

from __future__ import annotations

from typing import Dict, List, Optional, Tuple, Union

import numpy as np

from mindspore_rec.embedding.admission import Admission, Always, ByField, NewIds, distinct_rules
from mindspore_rec.embedding.changes import RowChanges
from mindspore_rec.embedding.eviction import ShowClickDecay
from mindspore_rec.embedding.statistics import STATISTICS
from mindspore_rec.embedding.timeline import Timeline
from mindspore_rec.embedding.waiting import Waiting


class Gate:
    """Decides which new ids get a row.

    Args:
        admission: a rule for all ids, or one for each column.
        max_rows: of the table.

    Attributes:
        rule_of_column: int32[columns], the number of the rule of each column; None where one rule is for all.
        is_open: every id is admitted, and nothing is kept.
    """

    def __init__(self, admission: Union[Admission, ByField], max_rows: int) -> None:
        self.rule_of_column: Optional[np.ndarray] = None
        if isinstance(admission, ByField):
            self._rules, self.rule_of_column = distinct_rules(admission.rules)
        else:
            self._rules = (admission,)
        self._waiting: Tuple[Waiting, ...] = tuple(rule.waiting(max_rows) for rule in self._rules)
        self.is_open = all(isinstance(rule, Always) for rule in self._rules)

    def __len__(self) -> int:
        return sum(len(waiting) for waiting in self._waiting)

    @property
    def nbytes(self) -> int:
        """Bytes of what is kept of ids without a row."""
        return sum(waiting.nbytes for waiting in self._waiting)

    @property
    def growing_nbytes(self) -> int:
        """Those of them that become more with the ids."""
        return sum(waiting.nbytes for waiting in self._waiting if waiting.grows)

    def admits(self, ids: np.ndarray, now: np.ndarray, rules: Optional[np.ndarray], step: int) -> np.ndarray:
        """Return bool[n]: which ids, int64[n] without a row, get one.

        Args:
            now: int32[n], their occurrences in the batch.
            rules: int32[n], the number of the rule each goes by; None where there is one.
            step: updates of the table so far.
        """
        admitted = np.zeros(ids.size, np.bool_)
        for number, part in self._parts(ids.size, rules):
            before = self._waiting[number].seen(ids[part])
            admitted[part] = self._rules[number].admits(NewIds(ids[part], now[part], before, step))
        return admitted

    def take(self, ids: np.ndarray, rules: Optional[np.ndarray]) -> np.ndarray:
        """Return STATISTICS[n], what is known of ids that get a row now; they no longer wait."""
        known = np.zeros(ids.size, STATISTICS)
        for number, part in self._parts(ids.size, rules):
            known[part] = self._waiting[number].seen(ids[part])
        for waiting in self._waiting:  # an id may have been under columns of other rules before
            waiting.admit(ids)
        return known

    def observe(
        self,
        ids: np.ndarray,
        shows: np.ndarray,
        clicks: Optional[np.ndarray],
        rules: Optional[np.ndarray],
        step: int,
        room: int,
    ) -> None:
        """Count what a batch showed of ids without a row; for that `room` bytes may be taken."""
        for number, part in self._parts(ids.size, rules):
            clicked, before = None if clicks is None else clicks[part], self.nbytes
            self._waiting[number].observe(ids[part], shows[part], clicked, step, room)
            room -= self.nbytes - before

    def end_step(self, step: int) -> None:
        """Do what is due after a step."""
        for waiting in self._waiting:
            waiting.end_step(step)

    def forget(self, step: int) -> None:
        """Forget waiting ids last seen at `step` or before."""
        for waiting in self._waiting:
            waiting.forget(step)

    def shrink(self, rule: ShowClickDecay, timeline: Timeline, step: int) -> None:
        """Do to waiting ids what a rule does at the end of a day."""
        for waiting in self._waiting:
            waiting.shrink(rule, timeline, step)

    def seen(self, ids: np.ndarray) -> np.ndarray:
        """Return STATISTICS[] of one id, int64[1], as far as any rule knows it."""
        known = [waiting.seen(ids)[0] for waiting in self._waiting]
        return max(known, key=lambda record: float(record["show"]))

    def state(self) -> Dict[str, np.ndarray]:
        """Return what a checkpoint keeps."""
        return {f"{n}.{key}": a for n, waiting in enumerate(self._waiting) for key, a in waiting.state().items()}

    @property
    def changes(self) -> Dict[str, RowChanges]:
        """What follows waiting ids, by the prefix of their names in `state`."""
        return {f"{n}.": waiting.changes for n, waiting in enumerate(self._waiting) if waiting.changes is not None}

    def state_without_ids(self) -> Dict[str, np.ndarray]:
        """Return the part of `state` that `changes` do not follow."""
        return {
            f"{n}.{key}": array
            for n, waiting in enumerate(self._waiting)
            if waiting.changes is None
            for key, array in waiting.state().items()
        }

    def load_state(self, state: Dict[str, np.ndarray], step: int) -> None:
        """Take over what `state` returned at `step`.

        Raises:
            ValueError: it is that of other rules.
        """
        for number, waiting in enumerate(self._waiting):
            prefix = f"{number}."
            waiting.load_state({k[len(prefix) :]: a for k, a in state.items() if k.startswith(prefix)}, step)

    def _parts(self, count: int, rules: Optional[np.ndarray]) -> List[Tuple[int, Union[slice, np.ndarray]]]:
        if len(self._rules) == 1 or rules is None:
            return [(0, slice(0, count))]
        return [(number, np.flatnonzero(rules == number)) for number in range(len(self._rules))]
