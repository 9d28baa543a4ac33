"""Examples of every admission and eviction rule, and random batches that drive a table by them.

Gradients are multiples of 2**-6 and labels 0 or 1, so that sums over them are exact in any order.
"""

from typing import Callable, Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from mindspore_rec.embedding.admission import (
    Always,
    ByField,
    MinCount,
    MinCountSketch,
    Probability,
    ShowClick,
)
from mindspore_rec.embedding.dedupe import distinct_ids
from mindspore_rec.embedding.eviction import LeastFrequent, LeastRecent, NearZero, ShowClickDecay, Unseen
from mindspore_rec.embedding.id_values import smallest_of_columns, sum_of_rows
from mindspore_rec.embedding.initial import Uniform
from mindspore_rec.embedding.optimizers import SGD
from mindspore_rec.embedding.statistics import STATISTICS
from mindspore_rec.embedding.table import HashTable, Prepared

COLUMNS, DIM = 3, 2

ADMISSIONS = [
    Always(),
    MinCount(1),
    MinCount(4),
    MinCountSketch(4, nbytes=2048, halve_steps=3),
    Probability(0.2, seed=5),
    Probability(1.0),
    ShowClick(0.0),
    ShowClick(1.5),
    ShowClick(-0.5, nonclk_coeff=-0.25, click_coeff=0.5),
]
MIXES = [
    ByField((Always(), MinCount(3), MinCount(3))),
    ByField((MinCount(2), Always(), MinCount(5))),
    ByField((ShowClick(0.8), MinCountSketch(3, nbytes=512), Probability(0.4))),
]
EVICTIONS = [
    Unseen(steps=4, every_steps=1),
    Unseen(steps=3, every_steps=2),
    Unseen(seconds=40.0, every_steps=1),
    Unseen(days=1, every_steps=3),
    NearZero(0.5, after_steps=2, every_steps=2),
    ShowClickDecay(decay=0.5, delete_threshold=0.3),
    ShowClickDecay(delete_threshold=-1.0, delete_after_unseen_days=0),
    LeastRecent(),
    LeastRecent(share=0.3),
    LeastFrequent(),
    LeastFrequent(share=0.3),
]


class Batch(NamedTuple):
    """A training batch.

    Attributes:
        ids: int64[rows, columns].
        grads: float32[rows * columns, DIM].
        labels: float32[rows], 0 or 1.
        seconds: when it was.
        ends_day: the day is over after it.
    """

    ids: np.ndarray
    grads: np.ndarray
    labels: np.ndarray
    seconds: float
    ends_day: bool


def id_of(number: int, column: int = 0) -> int:
    """An id far from others, negative for odd numbers, as the int64 it is stored as."""
    mixed = ((number * COLUMNS + column + 1) * 0x9E3779B97F4A7C15) % 2**64
    return mixed - 2**64 if mixed >= 2**63 else mixed


IDS = np.array([[id_of(number, column) for column in range(COLUMNS)] for number in range(60)])


def random_batches(seed: int, count: int, rows: int = 10, shared: bool = False) -> Iterator[Batch]:
    """Batches over a window of ids that drifts, so that ids come, return and die.

    Args:
        shared: an id may occur in any column; else each column has its own.
    """
    rng = np.random.default_rng(seed)
    seconds = 1.7e9
    for k in range(count):
        numbers = (2 * k + rng.integers(0, 24, (rows, COLUMNS)) // rng.integers(1, 6, (rows, 1))) % len(IDS)
        columns = rng.integers(0, COLUMNS, (rows, COLUMNS)) if shared else np.arange(COLUMNS)
        grads = rng.integers(-64, 65, (rows * COLUMNS, DIM)) * 2.0**-6
        seconds += float(rng.integers(1, 30))
        labels = rng.integers(0, 2, rows).astype(np.float32)
        yield Batch(IDS[numbers, columns], grads.astype(np.float32), labels, seconds, k % 4 == 3)


def one_column(ids: Sequence[int], labels: Optional[Sequence[float]] = None, seconds: float = 0.0) -> Batch:
    """A batch of a single column, that trains nothing."""
    column = np.asarray(ids, np.int64).reshape(-1, 1)
    clicks = np.zeros(len(column)) if labels is None else np.asarray(labels)
    grads = np.zeros((len(column), DIM), np.float32)
    return Batch(column, grads, clicks.astype(np.float32), seconds, False)


def new_table(**settings) -> HashTable:
    """A table of random first values; those of an id are the same in all of them."""
    return HashTable(DIM, SGD(0.5), init=Uniform(0.75), seed=7, **settings)


def prepare(table: HashTable, ids: np.ndarray) -> Prepared:
    """What a network does with ids int64[rows, columns]."""
    distinct = distinct_ids(ids)
    columns = table.rule_of_column
    return table.prepare(distinct, None if columns is None else smallest_of_columns(distinct, columns, [ids.shape[1]]))


def apply(table: HashTable, prepared: Prepared, batch: Batch) -> None:
    """What a network does with gradients, labels and times."""
    sums, usable = table.sum_gradients(prepared, batch.grads)
    assert usable
    clicks = sum_of_rows(prepared.distinct, batch.labels, [batch.ids.shape[1]])
    table.apply(prepared, sums, clicks=clicks, seconds=batch.seconds)


def train(table: HashTable, batch: Batch) -> Prepared:
    """Train on a batch, and end the day where it does."""
    prepared = prepare(table, batch.ids)
    apply(table, prepared, batch)
    if batch.ends_day:
        table.shrink()
        table.end_day()
    return prepared


def one_by_one(batch: Batch) -> List[Batch]:
    """The rows of a batch as batches of one row."""
    rows, columns = batch.ids.shape
    grads = batch.grads.reshape(rows, columns, -1)
    return [
        Batch(batch.ids[k : k + 1], grads[k], batch.labels[k : k + 1], batch.seconds, batch.ends_day and k == rows - 1)
        for k in range(rows)
    ]


def reordered(batch: Batch, rng: np.random.Generator, columns: bool) -> Batch:
    """The batch with its rows, and where `columns` says so its columns, in another order."""
    rows, width = batch.ids.shape
    row, column = rng.permutation(rows), rng.permutation(width) if columns else np.arange(width)
    grads = batch.grads.reshape(rows, width, -1)[row][:, column].reshape(rows * width, -1)
    return batch._replace(ids=batch.ids[row][:, column], grads=grads, labels=batch.labels[row])


def snapshot(table: HashTable) -> Dict[str, object]:
    """All that a table knows, whatever rows its ids have: what belongs to ids by id, the rest as bytes."""
    state = dict(table.state())
    known: Dict[str, object] = {}
    for prefix in [key[: -len("ids")] for key in state if key.endswith("ids")]:
        ids = state.pop(f"{prefix}ids")
        columns = [name for name in ("rows", *STATISTICS.names) if f"{prefix}{name}" in state]
        values = [state.pop(f"{prefix}{name}") for name in columns]
        rows = zip(*([value.tobytes() for value in column] for column in values))
        known[f"{prefix}{columns}"] = dict(zip(ids.tolist(), rows))
    known.update({key: (array.shape, array.tobytes()) for key, array in state.items()})
    return known


def copied(table: HashTable) -> Dict[str, np.ndarray]:
    """The state of a table, its own."""
    return {key: array.copy() for key, array in table.state().items()}


def shows(table: HashTable) -> Dict[int, Tuple[float, float]]:
    """(show, click) of the ids with a row."""
    state = table.state()
    return dict(zip(state["ids"].tolist(), zip(state["show"].tolist(), state["click"].tolist())))


def waiting(table: HashTable, rule: int = 0) -> Optional[Dict[int, Tuple[float, float]]]:
    """(show, click) of the ids that wait for a rule; None where they are not known one by one."""
    state, prefix = table.state(), f"waiting.{rule}."
    if f"{prefix}ids" not in state:
        return None
    columns = zip(state[f"{prefix}show"].tolist(), state[f"{prefix}click"].tolist())
    return dict(zip(state[f"{prefix}ids"].tolist(), columns))


def with_row(table: HashTable) -> set:
    """The ids that have a row."""
    return set(table.state()["ids"].tolist())


def loading_changes_nothing(make: Callable[[], HashTable], seed: int) -> None:
    """Tables of `make`: one that is trained, and ones that take over its state at some step and go on."""
    batches = list(random_batches(seed, 16))
    for saved in (3, 7, 10):
        whole, second = make(), make()
        for k, batch in enumerate(batches):
            train(whole, batch)
            if k == saved:
                second.load_state(copied(whole))
            if k > saved:
                train(second, batch)
            if k >= saved:
                assert snapshot(whole) == snapshot(second), k
