"""What each admission rule admits, against its definition in plain Python."""

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mindspore_rec.embedding.admission import Always, ByField, MinCount, MinCountSketch, Probability, ShowClick
from tests.embedding.rule_examples import Batch, apply, new_table, one_column, prepare, shows, train, waiting, with_row

batches_of_few_ids = st.lists(st.lists(st.integers(0, 6), min_size=1, max_size=12), max_size=10)


@settings(max_examples=40)
@given(batches_of_few_ids, st.integers(1, 9))
def test_min_count_is_exact_and_counts_the_batch_at_hand(batches, count):
    table, seen, admitted = new_table(admission=MinCount(count)), Counter(), set()
    for ids in batches:
        seen.update(ids)
        admitted = {i for i, occurrences in seen.items() if occurrences >= count}
        prepared = prepare(table, one_column(ids).ids)
        assert with_row(table) == admitted
        apply(table, prepared, one_column(ids))
        assert shows(table) == {i: (seen[i], 0.0) for i in admitted}
        assert waiting(table) == {i: (seen[i], 0.0) for i in set(seen) - admitted}
    assert table.stats().waiting == len(set(seen) - admitted)


@settings(max_examples=40)
@given(batches_of_few_ids, st.integers(1, 9))
def test_a_roomy_sketch_admits_what_exact_counts_do(batches, count):
    table, seen = new_table(admission=MinCountSketch(count, nbytes=1 << 16)), Counter()
    for ids in batches:
        seen.update(ids)
        train(table, one_column(ids))
        assert with_row(table) == {i for i, occurrences in seen.items() if occurrences >= count}


def test_a_crowded_sketch_admits_too_early_but_never_too_late():
    rng, seen = np.random.default_rng(7), Counter()
    table = new_table(admission=MinCountSketch(5, nbytes=4096))
    empty = table.nbytes
    for _ in range(40):
        ids = rng.zipf(1.3, 500) % 5000
        seen.update(ids.tolist())
        train(table, one_column(ids))
        assert {i for i, count in seen.items() if count >= 5} <= with_row(table)
    assert len(with_row(table)) < len(seen)
    refused = new_table(admission=MinCountSketch(60_000, nbytes=4096))
    for first in range(0, 100_000, 10_000):
        train(refused, one_column(range(first, first + 10_000)))
    assert (len(refused), refused.nbytes) == (0, empty), "ids never admitted take memory"


def test_a_sketch_forgets_half_of_each_count_at_times():
    table = new_table(admission=MinCountSketch(5, nbytes=4096, halve_steps=2))
    train(table, one_column([1, 1, 1, 1, 2, 2]))
    train(table, one_column([3]))  # 1: 4 -> 2, 2: 2 -> 1, 3: 1 -> 0
    train(table, one_column([1, 1, 2, 2, 2, 3, 3, 3]))
    assert with_row(table) == set()
    train(table, one_column([1, 2]))
    assert with_row(table) == {1, 2}


def test_each_occurrence_is_admitted_with_the_probability():
    rule = Probability(0.2, seed=3)
    for occurrences, steps in ((1, 1), (4, 1), (1, 4)):
        table, count = new_table(admission=rule), 20_000
        ids = np.repeat(np.arange(count) * 2**40, occurrences)
        for _ in range(steps):
            train(table, one_column(ids))
        expected = 1 - 0.8 ** (occurrences * steps)
        assert len(table) / count == pytest.approx(expected, abs=4 * math.sqrt(expected * (1 - expected) / count))


def test_a_draw_is_repeated_for_the_same_step_and_no_other():
    drawn = []
    ids = np.arange(2000)
    for seed in (3, 4):
        table = new_table(admission=Probability(0.5, seed=seed))
        for _ in range(3):
            prepare(table, one_column(ids).ids)
            drawn.append(with_row(table))
    assert drawn[0] == drawn[1] == drawn[2], "what was refused is refused again"
    assert drawn[0] != drawn[3]
    apply(table, prepare(table, one_column(ids).ids), one_column(ids))
    prepare(table, one_column(ids).ids)
    assert len(drawn[3] ^ with_row(table)) == pytest.approx(500, abs=100), "the next step draws anew"


def test_a_click_admits_in_the_batches_after_it_only():
    """Labels of a batch must not tell its own prediction which ids exist."""
    ids = np.arange(8)
    tables = [new_table(admission=ShowClick(0.8)) for _ in range(2)]
    for table, label in zip(tables, (0.0, 1.0)):
        prepared = prepare(table, one_column(ids).ids)
        apply(table, prepared, one_column(ids, np.full(8, label)))
        assert with_row(table) == set()
        prepare(table, one_column(ids).ids)
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
        train(table, one_column([i for i, _ in batch], [clicked for _, clicked in batch]))
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
