"""What is known of an id, from the table and from its state."""

import dataclasses
import json

import numpy as np
import pytest

from mindspore_rec.embedding.admission import ByField, MinCount, MinCountSketch, Probability, ShowClick
from mindspore_rec.embedding.eviction import LeastRecent, Unseen
from mindspore_rec.embedding.explanation import Explanation, explain, known_of_state, summary
from mindspore_rec.embedding.initial import Constant, Uniform
from mindspore_rec.embedding.optimizers import FTRL, SGD, Adagrad, LazyAdam, SharedAdagrad
from mindspore_rec.embedding.table import HashTable
from tests.embedding.rule_examples import (
    ADMISSIONS,
    IDS,
    MIXES,
    copied,
    id_of,
    new_table,
    random_batches,
    train,
)

NOON = 1_700_049_600.0  # 2023-11-15 12:00:00 UTC
KNOWN, NEGATIVE, WAITS, PADDING, UNKNOWN = 5, -3, 8, 0, 99


def small_table(**settings):
    """KNOWN has a row since its second occurrence, at 12:01, NEGATIVE since 12:02; WAITS was seen once, at 12:02."""
    table = HashTable(2, SharedAdagrad(0.5, 2.0), init=Constant(3.0), padding_id=PADDING, **settings)
    steps = [([KNOWN], [1]), ([KNOWN, PADDING], [0, 1]), ([NEGATIVE, NEGATIVE, WAITS], [1, 1])]
    for minute, (ids, clicks) in enumerate(steps):
        batch = table.prepare(np.array(ids))
        sums, _ = table.sum_gradients(batch, np.full((len(ids), 2), 0.5, np.float32))
        table.apply(batch, sums, clicks=np.array(clicks, np.float32), seconds=NOON + 60 * minute)
    return table


def without_weights(explanation):
    return dataclasses.replace(explanation, norm=None, weights=None, optimizer=None)


def test_an_id_that_has_a_row():
    found = small_table(admission=MinCount(2)).explain(KNOWN)
    assert without_weights(found) == Explanation(
        KNOWN,
        "has a row",
        "MinCount(count=2)",
        "step 2, 2023-11-15 12:01:00 UTC",
        "step 2, 2023-11-15 12:01:00 UTC",
        2.0,
        1.0,
    )
    assert (found.weights, found.optimizer) == ([2.75, 2.75], {"g2sum": [0.25]})
    assert found.norm == pytest.approx(np.sqrt(2) * 2.75)


@pytest.mark.parametrize("given", [NEGATIVE, NEGATIVE + 2**64, np.int64(NEGATIVE), np.uint64(NEGATIVE + 2**64)])
def test_ids_are_signed_or_not_and_shown_unsigned(given):
    found = small_table(admission=MinCount(2)).explain(given)
    assert (found.id, found.state, found.show, found.click) == (2**64 - 3, "has a row", 2.0, 1.0)
    assert found.admitted == found.last_seen == "step 3, 2023-11-15 12:02:00 UTC"
    assert type(found.id) is int


def test_an_id_that_waits_and_is_counted_exactly():
    assert small_table(admission=MinCount(2)).explain(WAITS) == Explanation(
        WAITS,
        "waits for admission",
        "MinCount(count=2)",
        last_seen="step 3, 2023-11-15 12:02:00 UTC",
        show=1.0,
        click=1.0,
    )


def test_an_id_that_waits_in_a_sketch_has_neither_clicks_nor_a_time():
    rule = MinCountSketch(2, nbytes=4096)
    found = small_table(admission=rule).explain(WAITS)
    assert found == Explanation(WAITS, "waits for admission", repr(rule), show=1.0)


@pytest.mark.parametrize("rule", [None, MinCount(2), MinCountSketch(2, nbytes=4096), Probability(0.5)], ids=repr)
def test_an_id_never_seen_and_padding(rule):
    table = small_table(admission=rule)
    for given, state in ((UNKNOWN, "unknown"), (PADDING, "padding")):
        assert table.explain(given) == Explanation(given, state, repr(rule) if rule else "Always()")


def test_padding_is_signed_or_not():
    for padding in (-1, 2**64 - 1):
        table = HashTable(2, SGD(), padding_id=padding)
        assert table.explain(-1).state == table.explain(2**64 - 1).state == "padding"


def test_without_statistics_the_row_alone_is_known():
    table = HashTable(2, SGD(), init=Constant(3.0))
    table.prepare(np.array([KNOWN]))
    found = table.explain(KNOWN)
    assert found.norm == pytest.approx(np.sqrt(18))
    assert without_weights(found) == Explanation(KNOWN, "has a row", "Always()")
    assert found.optimizer == {}


def test_an_evicted_id_is_unknown():
    table = small_table(eviction=(Unseen(steps=1000),))
    assert table.evict(np.array([KNOWN])) == 1
    assert table.explain(KNOWN) == Explanation(KNOWN, "unknown", "Always()")


def test_of_several_rules_the_one_that_saw_most_of_an_id_counts():
    table = HashTable(2, SGD(), admission=ByField((MinCount(9), MinCountSketch(9, 4096), ShowClick(9.0))))
    for rule, times in ((0, 2), (1, 1), (2, 5), (2, 1)):
        batch = table.prepare(np.full(times, 7), np.array([rule], np.int32))
        table.apply(batch, np.zeros((1, 2), np.float32), clicks=np.ones(1, np.float32), seconds=NOON + 60 * rule)
    found = table.explain(7)
    assert (found.show, found.click, found.last_seen) == (6.0, 2.0, "step 4, 2023-11-15 12:02:00 UTC")
    assert explain(7, known_of_state(copied(table), table.about(), 7), table.about()) == found


def asked_in_both_ways(table, ids):
    """The explanations of ids, which are the same live and from the state and the description of a checkpoint."""
    state, about = copied(table), json.loads(json.dumps(table.about()))
    state = dict(sorted(state.items(), reverse=True))
    for id_ in ids:
        live = table.explain(id_)
        assert explain(id_, known_of_state(state, about, id_), about) == live
        assert json.loads(json.dumps(dataclasses.asdict(live))) == dataclasses.asdict(live)
        yield live


@pytest.mark.parametrize("rule", [*ADMISSIONS, *MIXES], ids=repr)
def test_a_state_knows_what_the_table_does_for_every_rule(rule):
    table = new_table(admission=rule, padding_id=id_of(3), statistics=True, eviction=(LeastRecent(),), max_rows=40)
    for batch in random_batches(3, 10):
        train(table, batch)
    ids = [*IDS.ravel().tolist(), *range(20)]
    states = [found.state for found in asked_in_both_ways(table, ids)]
    stats = table.stats()
    assert states.count("padding") == 1
    assert states.count("has a row") == stats.rows
    assert states.count("waits for admission") >= min(stats.waiting, 1)


@pytest.mark.parametrize("dim", [1, 4, 5])
@pytest.mark.parametrize("row_type", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("optimizer", [SGD(), Adagrad(), SharedAdagrad(), LazyAdam(), FTRL()], ids=repr)
def test_a_state_knows_what_the_table_does_for_all_rows(optimizer, row_type, dim):
    rng = np.random.default_rng(dim)
    table = HashTable(dim, optimizer, init=Uniform(0.5), row_type=row_type)
    for _ in range(4):
        ids = rng.integers(-9, 9, 12)
        batch = table.prepare(ids)
        grads = rng.normal(size=(12, dim)).astype(np.float32)
        table.apply(batch, table.sum_gradients(batch, grads)[0])
    table.evict(np.array([2, 4]))
    for found in asked_in_both_ways(table, range(-9, 9)):
        if found.state == "has a row":
            weights = table.lookup(np.array([found.id], np.uint64).view(np.int64))[0]
            assert found.weights == weights.tolist()
            assert found.norm == pytest.approx(np.linalg.norm(weights.astype(np.float64)))
            assert list(found.optimizer) == [slot.name for slot in optimizer.slots]
            sizes = [1 if slot.per_row else dim for slot in optimizer.slots]
            assert [len(values) for values in found.optimizer.values()] == sizes


def test_figures_of_a_table_and_of_its_state():
    table = new_table(admission=MinCount(2), eviction=(LeastRecent(0.2),), max_rows=20)
    for batch in random_batches(4, 10):
        train(table, batch)
    stats, figures = table.stats(), summary(copied(table))
    assert (stats.rows, stats.waiting) == (len(table), figures["waiting"])
    assert {name: getattr(stats, name) for name in ("rows", "admitted", "refused", "evicted")} == {
        name: figures[name] for name in ("rows", "admitted", "refused", "evicted")
    }
    assert stats.admitted - stats.evicted == stats.rows and stats.evicted > 0
    assert stats.nbytes == table.nbytes and 0 < stats.load < 1 and stats.longest_probe >= 0
    ages = 10 - table.state()["last_step"].astype(int)
    assert figures["steps_unseen_quartiles"][-1] == ages.max() and figures["step"] == 10
    assert figures["show_quartiles"][-1] == table.state()["show"].max()
