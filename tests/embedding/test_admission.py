"""The contract of every admission rule; a new one is tested by existing and needs an example."""

import dataclasses
import inspect
import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mindspore_rec.embedding import admission
from mindspore_rec.embedding.admission import Always, ByField, MinCount, MinCountSketch, Probability, ShowClick
from mindspore_rec.embedding.eviction import LeastRecent, Unseen
from tests.embedding import rule_examples
from tests.embedding.rule_examples import (
    ADMISSIONS,
    IDS,
    MIXES,
    Batch,
    apply,
    copied,
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


def flat(ids, labels=None, seconds=0.0):
    """A batch of one column that trains nothing."""
    column = np.asarray(ids, np.int64).reshape(-1, 1)
    clicks = np.zeros(len(column)) if labels is None else np.asarray(labels)
    grads = np.zeros((len(column), rule_examples.DIM), np.float32)
    return Batch(column, grads, clicks.astype(np.float32), seconds, False)


def test_every_rule_has_an_example_and_is_part_of_a_mix():
    assert discovered() == set(KINDS) == {type(rule) for mix in MIXES for rule in mix.rules}


@pytest.mark.parametrize("kind", KINDS)
def test_it_says_whether_rows_can_come_one_by_one(kind):
    assert isinstance(kind.row_by_row, bool)


@every_bound
@every_example
def test_save_load_continue_equals_uninterrupted(rule, bound):
    whole = new_table(admission=rule, **bound)
    batches = list(random_batches(1, 16))
    for saved in (3, 7, 10):
        whole, second = new_table(admission=rule, **bound), new_table(admission=rule, **bound)
        for k, batch in enumerate(batches):
            train(whole, batch)
            if k == saved:
                second.load_state(copied(whole))
            if k > saved:
                train(second, batch)
            if k >= saved:
                assert snapshot(whole) == snapshot(second), k


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


batches_of_few_ids = st.lists(st.lists(st.integers(0, 6), min_size=1, max_size=12), max_size=10)


@settings(max_examples=40)
@given(batches_of_few_ids, st.integers(1, 9))
def test_min_count_is_exact_and_counts_the_batch_at_hand(batches, count):
    table, seen, admitted = new_table(admission=MinCount(count)), Counter(), set()
    for ids in batches:
        seen.update(ids)
        admitted = {i for i, occurrences in seen.items() if occurrences >= count}
        prepared = prepare(table, flat(ids).ids)
        assert with_row(table) == admitted
        apply(table, prepared, flat(ids))
        assert shows(table) == {i: (seen[i], 0.0) for i in admitted}
        assert waiting(table) == {i: (seen[i], 0.0) for i in set(seen) - admitted}
    assert table.stats().waiting == len(set(seen) - admitted)


@settings(max_examples=40)
@given(batches_of_few_ids, st.integers(1, 9))
def test_a_roomy_sketch_admits_what_exact_counts_do(batches, count):
    table, seen = new_table(admission=MinCountSketch(count, nbytes=1 << 16)), Counter()
    for ids in batches:
        seen.update(ids)
        train(table, flat(ids))
        assert with_row(table) == {i for i, occurrences in seen.items() if occurrences >= count}


def test_a_crowded_sketch_admits_too_early_but_never_too_late():
    rng, seen = np.random.default_rng(7), Counter()
    table = new_table(admission=MinCountSketch(5, nbytes=4096))
    empty = table.nbytes
    for _ in range(40):
        ids = rng.zipf(1.3, 500) % 5000
        seen.update(ids.tolist())
        train(table, flat(ids))
        assert {i for i, count in seen.items() if count >= 5} <= with_row(table)
    assert len(with_row(table)) < len(seen)
    refused = new_table(admission=MinCountSketch(60_000, nbytes=4096))
    for first in range(0, 100_000, 10_000):
        train(refused, flat(range(first, first + 10_000)))
    assert (len(refused), refused.nbytes) == (0, empty), "ids never admitted take memory"


def test_a_sketch_forgets_half_of_each_count_at_times():
    table = new_table(admission=MinCountSketch(5, nbytes=4096, halve_steps=2))
    train(table, flat([1, 1, 1, 1, 2, 2]))
    train(table, flat([3]))  # 1: 4 -> 2, 2: 2 -> 1, 3: 1 -> 0
    train(table, flat([1, 1, 2, 2, 2, 3, 3, 3]))
    assert with_row(table) == set()
    train(table, flat([1, 2]))
    assert with_row(table) == {1, 2}


def test_each_occurrence_is_admitted_with_the_probability():
    rule = Probability(0.2, seed=3)
    for occurrences, steps in ((1, 1), (4, 1), (1, 4)):
        table, count = new_table(admission=rule), 20_000
        ids = np.repeat(np.arange(count) * 2**40, occurrences)
        for _ in range(steps):
            train(table, flat(ids))
        expected = 1 - 0.8 ** (occurrences * steps)
        assert len(table) / count == pytest.approx(expected, abs=4 * math.sqrt(expected * (1 - expected) / count))


def test_a_draw_is_repeated_for_the_same_step_and_no_other():
    drawn = []
    ids = np.arange(2000)
    for seed in (3, 4):
        table = new_table(admission=Probability(0.5, seed=seed))
        for _ in range(3):
            prepare(table, flat(ids).ids)
            drawn.append(with_row(table))
    assert drawn[0] == drawn[1] == drawn[2], "what was refused is refused again"
    assert drawn[0] != drawn[3]
    apply(table, prepare(table, flat(ids).ids), flat(ids))
    prepare(table, flat(ids).ids)
    assert len(drawn[3] ^ with_row(table)) == pytest.approx(500, abs=100), "the next step draws anew"


def test_a_click_admits_in_the_batches_after_it_only():
    """Labels of a batch must not tell its own prediction which ids exist."""
    ids = np.arange(8)
    tables = [new_table(admission=ShowClick(0.8)) for _ in range(2)]
    for table, label in zip(tables, (0.0, 1.0)):
        prepared = prepare(table, flat(ids).ids)
        apply(table, prepared, flat(ids, np.full(8, label)))
        assert with_row(table) == set()
        prepare(table, flat(ids).ids)
        assert with_row(table) == (set(range(8)) if label else set())


@settings(max_examples=40)
@given(
    st.lists(st.lists(st.tuples(st.integers(0, 4), st.booleans()), min_size=1, max_size=8), max_size=8),
    st.sampled_from([(0.75, 0.25, 1.0), (2.0, 0.5, 0.75), (-0.5, -0.25, 0.5), (0.25, 0.0, 0.25)]),
)
def test_show_click_has_the_formula_of_paddle(batches, setting):
    threshold, nonclk_coeff, click_coeff = setting
    table = new_table(admission=ShowClick(threshold, nonclk_coeff, click_coeff))
    show, click, admitted = Counter(), Counter(), set()
    for batch in batches:
        for i, _ in batch:
            if (show[i] - click[i]) * nonclk_coeff + click[i] * click_coeff >= threshold:
                admitted.add(i)
        train(table, flat([i for i, _ in batch], [clicked for _, clicked in batch]))
        show.update(i for i, _ in batch)
        click.update(i for i, clicked in batch if clicked)
        assert shows(table) == {i: (show[i], click[i]) for i in admitted}
        assert waiting(table) == {i: (show[i], click[i]) for i in set(show) - admitted}


def test_defaults_are_those_of_paddle():
    assert ShowClick(10.0) == ShowClick(10.0, 0.1, 1.0)


def test_each_column_has_its_rule():
    table = new_table(admission=ByField((MinCount(2), Always(), MinCount(3))))
    ids = np.array([[10, 20, 30], [11, 21, 30]])
    seen = []
    for _ in range(3):
        prepare_only = Batch(ids, np.zeros((6, 2), np.float32), np.zeros(2, np.float32), 0.0, False)
        train(table, prepare_only)
        seen.append(sorted(with_row(table)))
    assert seen == [[20, 21], [10, 11, 20, 21, 30], [10, 11, 20, 21, 30]]


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_an_id_under_several_columns_goes_by_the_first_of_their_rules(order):
    """The first of the columns, wherever in the batch it occurs: 5 waits for two, though column 1 admits at once."""
    rows = np.array([[5, 1, 2], [3, 5, 2], [4, 4, 7]])[list(order)]
    table = new_table(admission=ByField((MinCount(3), Always(), MinCount(2))))
    prepare(table, rows)
    assert with_row(table) == {1, 2}
    only_first = new_table(admission=ByField((Always(), MinCount(3), MinCount(3))))
    prepare(only_first, rows)
    assert with_row(only_first) == {3, 4, 5}


def test_an_admitted_id_waits_for_no_other_rule():
    table = new_table(admission=ByField((MinCount(3), MinCount(2))))
    batch = Batch(np.array([[1, 2]]), np.zeros((2, 2), np.float32), np.zeros(1, np.float32), 0.0, False)
    train(table, batch)
    train(table, batch._replace(ids=np.array([[3, 1]])))
    assert set(waiting(table, 0)) == {1, 3} and set(waiting(table, 1)) == {1, 2}
    train(table, batch._replace(ids=np.array([[4, 1]])))
    assert with_row(table) == {1}
    assert set(waiting(table, 0)) == {3, 4} and set(waiting(table, 1)) == {2}


def test_more_new_ids_than_the_table_may_have_rows_can_wait():
    """As many as there could be rows are counted, the smallest of a batch, and the ones seen last stay."""
    table = new_table(admission=MinCount(2), max_rows=10)
    train(table, flat(range(30)))
    assert set(waiting(table)) == set(range(10))
    train(table, flat([4, *range(100, 106)]))
    assert with_row(table) == {4}
    assert set(range(100, 106)) <= set(waiting(table))
    assert table.stats().waiting <= 10
