"""The contract of every admission rule; a new one is tested by existing and needs an example."""

import dataclasses
import inspect
import math

import numpy as np
import pytest

from mindspore_rec.embedding import admission
from mindspore_rec.embedding.admission import Always, ByField, MinCount, MinCountSketch, Probability, ShowClick
from mindspore_rec.embedding.eviction import LeastRecent, Unseen
from tests.embedding.rule_examples import (
    ADMISSIONS,
    IDS,
    MIXES,
    apply,
    loading_changes_nothing,
    new_table,
    one_by_one,
    prepare,
    random_batches,
    reordered,
    shows,
    snapshot,
    train,
    waiting,
    with_row,
)

KINDS = sorted({type(rule) for rule in ADMISSIONS}, key=lambda kind: kind.__name__)
every_example = pytest.mark.parametrize("rule", [*ADMISSIONS, *MIXES], ids=repr)
every_bound = pytest.mark.parametrize(
    "bound",
    [{}, {"max_rows": 12}, {"max_rows": 12, "eviction": (LeastRecent(0.2), Unseen(steps=3, every_steps=2))}],
    ids=["unbounded", "full", "evicting"],
)


def discovered():
    kinds = {kind for _, kind in inspect.getmembers(admission, inspect.isclass) if hasattr(kind, "admits")}
    return kinds - {admission.Admission}


def is_row_by_row(rule):
    return all(part.row_by_row for part in (rule.rules if isinstance(rule, ByField) else (rule,)))


def test_every_rule_has_an_example_and_is_part_of_a_mix():
    assert discovered() == set(KINDS) == {type(rule) for mix in MIXES for rule in mix.rules}


@pytest.mark.parametrize("kind", KINDS)
def test_it_says_whether_rows_can_come_one_by_one(kind):
    assert isinstance(kind.row_by_row, bool)


@every_bound
@every_example
def test_save_load_continue_equals_uninterrupted(rule, bound):
    loading_changes_nothing(lambda: new_table(admission=rule, **bound), seed=1)


@every_bound
@every_example
def test_the_order_of_ids_in_a_batch_does_not_matter(rule, bound):
    rng = np.random.default_rng(2)
    one, other = new_table(admission=rule, **bound), new_table(admission=rule, **bound)
    for batch in random_batches(3, 16, shared=True):
        train(one, batch)
        train(other, reordered(batch, rng, columns=not isinstance(rule, ByField)))
        assert snapshot(one) == snapshot(other)


@pytest.mark.parametrize("rule", [rule for rule in (*ADMISSIONS, *MIXES) if is_row_by_row(rule)], ids=repr)
def test_a_batch_admits_and_counts_as_its_rows_one_by_one(rule):
    whole, rows = new_table(admission=rule, statistics=True), new_table(admission=rule, statistics=True)
    for batch in random_batches(4, 12):
        train(whole, batch)
        for row in one_by_one(batch):
            train(rows, row)
        assert shows(whole) == shows(rows)
        assert [waiting(whole, k) for k in range(3)] == [waiting(rows, k) for k in range(3)]
        assert whole.stats().admitted == rows.stats().admitted


@every_example
def test_an_id_that_is_not_admitted_reads_as_zeros_and_trains_nothing(rule):
    table, open_table = new_table(admission=rule), new_table()
    for batch in random_batches(5, 12, shared=True):
        before = with_row(table)
        prepared = prepare(table, batch.ids)
        after, flat_ids = with_row(table), batch.ids.ravel()
        weights = table.read(prepared)
        refused = ~np.isin(flat_ids, list(after))
        assert (weights[refused] == 0).all()
        np.testing.assert_array_equal(weights, table.lookup(flat_ids))
        new = np.isin(flat_ids, list(after - before))
        untrained = open_table.read(open_table.prepare(flat_ids))
        np.testing.assert_array_equal(weights[new], untrained[new], "gradients from before it was admitted count")
        apply(table, prepared, batch)
        assert with_row(table) == after


@pytest.mark.parametrize("rule", [rule for rule in ADMISSIONS if rule not in (Always(), MinCount(1))], ids=repr)
def test_the_examples_both_admit_and_refuse(rule):
    """Else the tests above would say little."""
    table, seen = new_table(admission=rule), set()
    for batch in random_batches(5, 12, shared=True):
        train(table, batch)
        seen |= set(batch.ids.ravel().tolist())
    lets_all_in = rule in (Probability(1.0), ShowClick(0.0), ADMISSIONS[-1])
    assert with_row(table) == seen if lets_all_in else 5 < len(with_row(table)) < len(seen)


@every_bound
@every_example
def test_reading_creates_counts_and_ages_nothing(rule, bound):
    table = new_table(admission=rule, padding_id=int(IDS[0, 0]), **bound)
    for batch in random_batches(6, 9):
        train(table, batch)
    before = snapshot(table)
    ids = np.concatenate([IDS.ravel(), np.arange(40), IDS.ravel()])
    for _ in range(10):
        table.lookup(ids)
        table.read(table.find(ids))
        table.stats()
        table.state()
    for id_ in ids.tolist():
        table.explain(id_)
    assert snapshot(table) == before


@every_example
def test_rules_cannot_change_behind_a_table(rule):
    for field in dataclasses.fields(rule):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(rule, field.name, None)
    assert hash(rule) == hash(dataclasses.replace(rule))


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        *((MinCount, {"count": value}) for value in (0, -1, 65536, math.nan, math.inf)),
        *((MinCountSketch, {"count": value}) for value in (0, 65536)),
        *((MinCountSketch, {"count": 2, "nbytes": value}) for value in (0, 511, 2**41)),
        *((MinCountSketch, {"count": 2, "halve_steps": value}) for value in (0, -1)),
        *((Probability, {"probability": value}) for value in (0, -0.5, 1.01, math.nan)),
        *((ShowClick, {"threshold": value}) for value in (math.nan, math.inf)),
        (ShowClick, {"threshold": 1.0, "nonclk_coeff": math.nan}),
        (ShowClick, {"threshold": 1.0, "click_coeff": -math.inf}),
    ],
    ids=str,
)
def test_wrong_settings_are_named(kind, wrong):
    name, value = list(wrong.items())[-1]
    with pytest.raises(ValueError, match=rf"{name} = {value}.*: expected ") as error:
        kind(**wrong)
    assert "\n" not in str(error.value)


def test_a_rule_for_no_column_is_refused():
    with pytest.raises(ValueError, match=r"^ByField has no rules: expected one for each column of the ids$"):
        ByField(())
