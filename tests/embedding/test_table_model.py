"""A table with every kind of rule against a plain dict, whatever is done to it in whatever order."""

from collections import Counter
from typing import Dict, List, Optional, Set

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from mindspore_rec.embedding.admission import MinCount
from mindspore_rec.embedding.eviction import LeastRecent, ShowClickDecay, Unseen
from mindspore_rec.embedding.initial import Constant
from mindspore_rec.embedding.optimizers import SGD
from mindspore_rec.embedding.table import HashTable
from tests.embedding.rule_examples import copied

COUNT, MOST, SHARE, UNSEEN, EVERY = 2, 8, 0.3, 6, 2
DECAY, THRESHOLD, DAYS, NONCLK = 0.5, 0.375, 1, 0.25  # exact in float32
IDS = st.integers(-9, 14)


def new_table() -> HashTable:
    days = ShowClickDecay(DECAY, THRESHOLD, DAYS, NONCLK)
    rules = (Unseen(steps=UNSEEN, every_steps=EVERY), LeastRecent(SHARE), days)
    return HashTable(1, SGD(1.0), init=Constant(0.0), admission=MinCount(COUNT), eviction=rules, max_rows=MOST)


class Known:
    """What is known of an id."""

    def __init__(self, step: int, show: float = 0.0, click: float = 0.0) -> None:
        self.weight, self.show, self.click, self.last, self.began, self.day = 0.0, show, click, step, step, 0


class Model:
    """The table once more, an id at a time."""

    def __init__(self) -> None:
        self.rows: Dict[int, Known] = {}
        self.waiting: Dict[int, Known] = {}
        self.step = self.day = self.admitted = self.refused = self.evicted = 0
        self.tombstones: Optional[Set[int]] = None

    def evict(self, ids: List[int]) -> int:
        gone = [i for i in ids if self.rows.pop(i, None) is not None]
        self.evicted += len(gone)
        if self.tombstones is not None:
            self.tombstones |= set(gone)
        return len(gone)

    def train(self, batch: list) -> None:
        now, next_step = Counter(i for i, _, _ in batch), self.step + 1
        counts = {i: now[i] + (self.waiting[i].show if i in self.waiting else 0) for i in now if i not in self.rows}
        new = sorted(i for i, count in counts.items() if count >= COUNT)
        too_many = len(self.rows) + len(new) - MOST
        if too_many > 0:
            others = sorted((k.last, k.show, i) for i, k in self.rows.items() if i not in now)
            self.evict([i for _, _, i in others[: max(too_many, int(SHARE * MOST))]])
        fitting = new[: MOST - len(self.rows)]
        self.refused += len(new) - len(fitting)
        self.admitted += len(fitting)
        for i in fitting:
            before = self.waiting.pop(i, Known(0))
            self.rows[i] = Known(next_step, before.show, before.click)
        self.step = next_step
        self.wait(sorted(set(now) - set(self.rows)))
        for i, gradient, clicked in batch:
            known = self.rows.get(i) or self.waiting.get(i)
            if known is not None:
                known.weight -= gradient
                known.show, known.click = known.show + 1, known.click + clicked
                known.last, known.day = self.step, self.day
        if self.step % EVERY == 0:
            self.evict([i for i, known in self.rows.items() if self.step - known.last >= UNSEEN])
            self.waiting = {i: known for i, known in self.waiting.items() if self.step - known.last < UNSEEN}

    def wait(self, ids: List[int]) -> None:
        new = [i for i in ids if i not in self.waiting]
        too_many = len(self.waiting) + len(new) - MOST
        others = sorted(known.last for i, known in self.waiting.items() if i not in ids)
        if too_many > 0 and others:
            oldest = others[min(max(too_many, len(others) // 2), len(others)) - 1]
            self.waiting = {i: known for i, known in self.waiting.items() if i in ids or known.last > oldest}
        self.waiting.update({i: Known(self.step) for i in new[: MOST - len(self.waiting)]})

    def shrink(self) -> int:
        for known in (*self.rows.values(), *self.waiting.values()):
            known.show, known.click = known.show * DECAY, known.click * DECAY
        self.waiting = {i: known for i, known in self.waiting.items() if not self.is_low(known)}
        return self.evict([i for i, known in self.rows.items() if self.is_low(known)])

    def is_low(self, known: Known) -> bool:
        return (known.show - known.click) * NONCLK + known.click < THRESHOLD or self.day - known.day > DAYS

    def take_evicted(self) -> List[int]:
        taken = sorted((self.tombstones or set()) - set(self.rows))
        self.tombstones = set()
        return taken


class TableEqualsModel(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.table, self.model = new_table(), Model()

    @rule(batch=st.lists(st.tuples(IDS, st.integers(-3, 3), st.booleans()), min_size=1, max_size=14))
    def train(self, batch: list) -> None:
        prepared = self.table.prepare(np.array([i for i, _, _ in batch]))
        grads = np.array([[gradient] for _, gradient, _ in batch], np.float32)
        clicks = Counter(i for i, _, clicked in batch if clicked)
        clicked = np.array([clicks[i] for i in prepared.distinct.ids.tolist()], np.float32)
        self.table.apply(prepared, self.table.sum_gradients(prepared, grads)[0], clicks=clicked, seconds=0.0)
        self.model.train(batch)

    @rule(ids=st.sets(IDS, max_size=4))
    def evict(self, ids: set) -> None:
        assert self.table.evict(np.array(sorted(ids), np.int64)) == self.model.evict(sorted(ids))

    @rule(ids=st.lists(IDS, max_size=8))
    def lookup(self, ids: list) -> None:
        expected = [self.model.rows[i].weight if i in self.model.rows else 0.0 for i in ids]
        assert self.table.lookup(np.array(ids, np.int64)).ravel().tolist() == expected

    @rule()
    def save_and_load(self) -> None:
        state, self.table = copied(self.table), new_table()
        self.table.load_state(state)
        self.model.tombstones = None

    @rule()
    def take_evicted(self) -> None:
        assert self.table.take_evicted().tolist() == self.model.take_evicted()

    @rule()
    def end_day(self) -> None:
        assert self.table.shrink() == self.model.shrink()
        self.table.end_day()
        self.model.day += 1

    @invariant()
    def content_is_the_same(self) -> None:
        state = self.table.state()
        for known, prefix in ((self.model.rows, ""), (self.model.waiting, "waiting.0.")):
            columns = [state[f"{prefix}{name}"] for name in ("show", "click", "last_step", "admitted_step")]
            found = dict(zip(state[f"{prefix}ids"].tolist(), zip(*(column.tolist() for column in columns))))
            assert found == {i: (k.show, k.click, k.last, k.began) for i, k in known.items()}
        weights = dict(zip(state["ids"].tolist(), state["rows"][:, 0].tolist()))
        assert weights == {i: known.weight for i, known in self.model.rows.items()}

    @invariant()
    def figures_are_the_same(self) -> None:
        stats, model = self.table.stats(), self.model
        assert (stats.rows, stats.waiting) == (len(model.rows), len(model.waiting))
        assert (stats.admitted, stats.refused, stats.evicted) == (model.admitted, model.refused, model.evicted)
        assert (self.table.step, len(self.table)) == (model.step, len(model.rows))


TestTableEqualsModel = TableEqualsModel.TestCase
TestTableEqualsModel.settings = settings(max_examples=60, stateful_step_count=30)
