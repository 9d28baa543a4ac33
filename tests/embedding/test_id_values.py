import numpy as np
import pytest

from mindspore_rec.embedding.dedupe import distinct_ids
from mindspore_rec.embedding.id_values import field_factors, smallest_of_columns, sum_of_rows


def by_hand(lookups, factors):
    """The smallest factor each id is looked up under, with a dict."""
    smallest, column = {}, 0
    for ids in lookups:
        for k in range(ids.shape[1]):
            for value in ids[:, k].tolist():
                smallest[value] = min(smallest.get(value, np.inf), factors[column + k])
        column += ids.shape[1]
    return smallest


@pytest.mark.parametrize("widths", [[3], [1], [1, 2], [2, 1, 4]])
@pytest.mark.parametrize("rows", [1, 2, 50])
def test_each_id_gets_the_smallest_factor_of_its_columns(widths, rows):
    rng = np.random.default_rng(sum(widths) + rows)
    lookups = [rng.integers(-20, 60, (rows, width)) for width in widths]
    factors = rng.permutation(sum(widths)).astype(np.float32) + 0.5
    expected = by_hand(lookups, factors)
    for order in (np.arange(rows), rng.permutation(rows)):
        distinct = distinct_ids(np.concatenate([ids[order].ravel() for ids in lookups]))
        rates = smallest_of_columns(distinct, factors, widths)
        assert rates.dtype == np.float32
        assert dict(zip(distinct.ids.tolist(), rates.tolist())) == expected


@pytest.mark.parametrize("value", [0, -1.0, np.nan, np.inf, 1e7, True, "1", None])
def test_factors_that_cannot_be_used_are_refused(value):
    with pytest.raises(ValueError, match=r"^field_learning_rates\[1\] = .*: expected a factor from 1e-6 to 1e6$"):
        field_factors([1.0, value])


def test_factors_are_float32():
    factors = field_factors([1, np.float32(0.5)])
    assert factors.dtype == np.float32
    assert factors.tolist() == [1.0, 0.5]


@pytest.mark.parametrize("widths", [[3], [1, 2]])
def test_values_of_rows_are_summed_by_id(widths):
    rng = np.random.default_rng(4)
    lookups = [rng.integers(0, 9, (20, width)) for width in widths]
    by_row = rng.integers(0, 5, 20).astype(np.float32)
    expected = {}
    for ids in lookups:
        for row, values in enumerate(ids.tolist()):
            for value in values:
                expected[value] = expected.get(value, 0.0) + float(by_row[row])
    distinct = distinct_ids(np.concatenate([ids.ravel() for ids in lookups]))
    sums = sum_of_rows(distinct, by_row, widths)
    assert sums.dtype == np.float32
    assert dict(zip(distinct.ids.tolist(), sums.tolist())) == expected
