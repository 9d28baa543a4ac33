"""What grows by the score of each batch, against a plain dict; the rest of a table takes no notice of it."""

import json
import math

import numpy as np
import pytest

from mindspore_rec.checkpoint.merge import row_digests
from mindspore_rec.embedding.admission import ByField, MinCount, MinCountSketch, ShowClick
from mindspore_rec.embedding.dedupe import distinct_ids
from mindspore_rec.embedding.delta_score import NAME, DeltaScore, DeltaScores
from mindspore_rec.embedding.eviction import LeastRecent, ShowClickDecay, Unseen
from mindspore_rec.embedding.explanation import explain, known_of_state, values_of_rows
from mindspore_rec.embedding.id_values import sum_of_rows
from mindspore_rec.embedding.optimizers import SGD, Adagrad, LazyAdam, SharedAdagrad
from mindspore_rec.embedding.table import HashTable
from tests.embedding.rule_examples import (
    COLUMNS,
    DIM,
    copied,
    loading_changes_nothing,
    new_table,
    one_column,
    random_batches,
    snapshot,
    train,
)

ROW_TYPES = ("float32", "bfloat16", "float16")
every_row_type = pytest.mark.parametrize("row_type", ROW_TYPES)
RULE = DeltaScore(0.3, 1.7)


def scores(table):
    """delta_score by id, read from the state."""
    state = table.state()
    return dict(zip(state["ids"].tolist(), values_of_rows(state["rows"], table.about())[:, -1].tolist()))


def score_of(show, click):
    show, click = np.float32(show), np.float32(click)
    return (show - click) * np.float32(0.3) + click * np.float32(1.7)


@every_row_type
@pytest.mark.parametrize("clicked", [True, False])
def test_equals_a_plain_dict(row_type, clicked):
    table, model = new_table(delta_score=RULE, row_type=row_type), {}
    for batch in random_batches(1, 12, shared=True):
        distinct = distinct_ids(batch.ids)
        clicks = sum_of_rows(distinct, batch.labels, [COLUMNS]) if clicked else None
        prepared = table.prepare(distinct)
        table.apply(prepared, table.sum_gradients(prepared, batch.grads)[0], clicks=clicks, seconds=0.0)
        for k, (id_, count) in enumerate(zip(distinct.ids.tolist(), distinct.counts.tolist())):
            model[id_] = model.get(id_, np.float32(0)) + score_of(count, clicks[k] if clicked else 0)
        assert scores(table) == {id_: float(value) for id_, value in model.items()}
    assert len(model) > 20


@every_row_type
def test_a_row_begins_with_the_score_of_what_was_counted_while_it_waited(row_type):
    table = new_table(delta_score=RULE, row_type=row_type, admission=ShowClick(1.0))
    train(table, one_column([5, 5, 6], labels=[1, 0, 1]))
    train(table, one_column([5], labels=[1]))  # the rule's score of it was 1.1 before: it gets its row
    assert scores(table) == {5: float(score_of(2, 1) + score_of(1, 1))}
    table.evict(np.array([5]))
    train(table, one_column([7] * 12))
    train(table, one_column([7, 5]))
    assert scores(table) == {7: float(score_of(12, 0) + score_of(1, 0))}, "on a row that was used before"


def test_what_waits_is_counted_decayed():
    rule = ShowClickDecay(decay=0.5, delete_threshold=0.0)
    table = new_table(delta_score=RULE, admission=ShowClick(1.0), eviction=rule)
    train(table, one_column([5, 5, 5], labels=[1, 1, 1]))
    table.shrink()
    train(table, one_column([5]))
    assert scores(table) == {5: float(score_of(1.5, 1.5) + score_of(1, 0))}


def test_the_rest_of_a_table_is_the_same_with_it():
    settings = {"admission": ShowClick(0.8), "eviction": ShowClickDecay(decay=0.5, delete_threshold=0.3)}
    with_it, without = new_table(delta_score=RULE, **settings), new_table(**settings)
    for batch in random_batches(2, 16):
        train(with_it, batch)
        train(without, batch)
        state = dict(with_it.state())
        state["rows"] = state["rows"][:, :-1]
        for name, array in without.state().items():
            assert (array.dtype, array.tobytes()) == (state[name].dtype, state[name].tobytes()), name
    assert without.about()["slots"] == []
    assert not without.export_all().slots


@every_row_type
@pytest.mark.parametrize(
    "admission",
    [None, ShowClick(0.8), MinCount(2), MinCountSketch(2, 4096), ByField((ShowClick(0.5), MinCount(2), MinCount(1)))],
    ids=["always", "click", "count", "sketch", "field"],
)
def test_save_load_continue_equals_uninterrupted(admission, row_type):
    for rule in (ShowClickDecay(0.5, 0.3), Unseen(steps=4, every_steps=1), LeastRecent(0.3)):
        settings = {"delta_score": RULE, "admission": admission, "eviction": rule, "row_type": row_type}
        loading_changes_nothing(lambda s=settings: new_table(**s, max_rows=60), seed=2)


@every_row_type
@pytest.mark.parametrize("optimizer", [SGD(), Adagrad(), SharedAdagrad(), LazyAdam()], ids=repr)
def test_slots_of_optimizers_are_told_apart(optimizer, row_type):
    table = HashTable(5, optimizer, row_type=row_type, delta_score=RULE)
    plain = HashTable(5, optimizer, row_type=row_type)
    for step in range(3):
        for one in (table, plain):
            batch = one.prepare(np.array([3, 8, 3]))
            one.apply(batch, np.full((2, 5), 0.1 + step, np.float32), clicks=np.array([1, 0], np.float32))
    assert table.about()["slots"] == [*plain.about()["slots"], [NAME, 1]]
    assert table.about()["optimizer"] == plain.about()["optimizer"]
    about = json.loads(json.dumps(table.about()))
    for id_, shown in ((3, 3 * score_of(2, 1)), (8, 3 * score_of(1, 0))):
        found, without = table.explain(id_), plain.explain(id_)
        assert found.weights == without.weights
        assert found.optimizer[NAME] == [pytest.approx(shown, rel=1e-6)]
        assert {name: value for name, value in found.optimizer.items() if name != NAME} == without.optimizer
        assert explain(id_, known_of_state(copied(table), about, id_), about) == found
    assert table.nbytes - plain.nbytes == 2 * (4 + 16), "the slot, and statistics"


def test_it_changes_the_digest_of_rows():
    first, second = new_table(delta_score=DeltaScore(0.1)), new_table(delta_score=DeltaScore(0.2))
    for table in (first, second):
        train(table, one_column([5]))
    assert row_digests(first.state())[""] != row_digests(second.state())[""]


def test_a_state_without_it_is_refused_in_a_line():
    plain, table = new_table(statistics=True), new_table(delta_score=RULE)
    train(plain, one_column([5]))
    before = snapshot(table)
    with pytest.raises(
        ValueError, match=rf"^table state has rows float32\[1, {DIM}\], expected float32\[1, {DIM + 1}\]$"
    ):
        table.load_state(copied(plain))
    assert snapshot(table) == before


@pytest.mark.parametrize("name", ["nonclk_coeff", "click_coeff"])
@pytest.mark.parametrize("wrong", [math.nan, math.inf])
def test_wrong_settings_are_named(name, wrong):
    with pytest.raises(ValueError, match=rf"^{name} = {wrong}: expected a finite number$"):
        DeltaScore(**{name: wrong})


def test_reset_leaves_other_rows():
    column = np.arange(4, dtype=np.float32)
    deltas = DeltaScores(column, RULE)
    assert deltas.of(np.array([3, 1])).tolist() == [3, 1]
    deltas.reset(np.array([2, 1]))
    assert column.tolist() == [0, 0, 0, 3]
