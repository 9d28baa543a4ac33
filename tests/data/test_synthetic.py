"""The stream's promises, checked on its lines alone, not on the arrays of its hidden model."""

from __future__ import annotations

import hashlib
import io
import re
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from benchmarks.baselines import ftrl_logistic
from mindspore_rec.data.synthetic import SyntheticStream
from mindspore_rec.metrics import auc, calibration

LOW_CARDINALITY_FIELDS = (5, 8, 13, 16, 22)  # C6, C9, C14, C17, C23
STREAMS = (SyntheticStream(), SyntheticStream(drift=0.7), SyntheticStream(churn=3), SyntheticStream(3, 100.0, 100.0))
LINE = re.compile(rb"[01](\t(-[123]|0|[1-9][0-9]{0,6})?){13}(\t([0-9a-f]{8})?){26}\n")


class Table(NamedTuple):
    """Parsed rows and their oracle."""

    labels: NDArray[np.uint8]  # [n]
    weights: NDArray[np.float32]  # [n, 39] signed log1p of the numbers, 0 where missing; 1 for categories
    missing: NDArray[np.bool_]  # [n, 39]
    ids: NDArray[np.int64]  # [n, 39] one a number field; categories enumerated by field and value
    oracle: NDArray[np.float64]  # [n]


def read(stream: SyntheticStream, rows: int) -> Table:
    frame = pd.read_csv(
        io.BytesIO(stream.lines(0, rows)), sep="\t", header=None, dtype=dict.fromkeys(range(14, 40), "category")
    )
    numbers = frame.iloc[:, 1:14].to_numpy(dtype=np.float64)
    weights = np.ones((rows, 39), dtype=np.float32)
    weights[:, :13] = np.nan_to_num(np.sign(numbers) * np.log1p(np.abs(numbers)))
    ids = np.tile(np.arange(39, dtype=np.int64) << 32, (rows, 1))
    for field in range(26):
        ids[:, 13 + field] += frame[14 + field].cat.codes.to_numpy() + 1  # a blank is code -1
    return Table(
        labels=frame[0].to_numpy(dtype=np.uint8),
        weights=weights,
        missing=frame.iloc[:, 1:].isna().to_numpy(),
        ids=ids,
        oracle=stream.probabilities(0, rows),
    )


@pytest.fixture(scope="module")
def table() -> Table:
    return read(SyntheticStream(), 100_000)


@pytest.mark.parametrize("cuts", [(0, 40_000), (0, 1, 2, 40_000), (0, 16_383, 16_384, 16_385, 39_999, 40_000)])
def test_any_cut_gives_the_same_rows(cuts: tuple[int, ...]) -> None:
    stream = SyntheticStream()
    parts = list(zip(cuts, cuts[1:]))
    assert b"".join(stream.lines(a, b - a) for a, b in parts) == stream.lines(0, 40_000)
    scores = np.concatenate([stream.probabilities(a, b - a) for a, b in parts])
    assert np.array_equal(scores, stream.probabilities(0, 40_000))


@settings(max_examples=60)
@given(st.sampled_from(STREAMS), st.integers(0, 2**40), st.integers(0, 6000), st.integers(0, 300))
def test_a_slice_is_a_slice_of_any_longer_one(stream: SyntheticStream, start: int, before: int, rows: int) -> None:
    text, scores = stream.lines_and_probabilities(start, before + rows + 5)
    longer = text.splitlines(keepends=True)
    assert stream.lines(start + before, rows) == b"".join(longer[before : before + rows])
    assert np.array_equal(stream.probabilities(start + before, rows), scores[before : before + rows])
    labels = bytes(48 + label for label in stream.labels(start + before, rows).tolist())
    assert labels == b"".join(line[:1] for line in longer[before : before + rows])


@pytest.mark.parametrize(
    ("stream", "start", "expected"),
    [
        (SyntheticStream(seed=7), 0, "86eebab0b8c028ed8612d340d332a5aa86a56d84f484ce2b285be7ad1b8c7339"),
        (SyntheticStream(7, 0.0, 0.0), 3_000_000, "85dcba416c27a7702bac616177fd3a109c4401ca8c5b40769754ad87250f1ebf"),
        (SyntheticStream(7, 0.5, 0.5), 3_000_000, "6c976cffb38a81a4a6ab7f8e27dfea21c1a2fd0105651567aee45130e8ad28a5"),
    ],
)
def test_rows_never_change(stream: SyntheticStream, start: int, expected: str) -> None:
    assert hashlib.sha256(stream.lines(start, 1000)).hexdigest() == expected


@pytest.mark.parametrize("stream", STREAMS)
def test_lines_and_probabilities_belong_together(stream: SyntheticStream) -> None:
    text, scores = stream.lines_and_probabilities(2_000_000, 5000)
    assert text == stream.lines(2_000_000, 5000)
    assert np.array_equal(scores, stream.probabilities(2_000_000, 5000))


def test_every_line_has_the_raw_form_of_criteo() -> None:
    lines = SyntheticStream().lines(0, 2000).splitlines(keepends=True)
    assert len(lines) == 2000
    assert [line for line in lines if not LINE.fullmatch(line)] == []


def test_seeds_are_samples_of_one_world() -> None:
    first, second = SyntheticStream(seed=1), SyntheticStream(seed=2)
    assert not set(first.lines(0, 1000).splitlines()) & set(second.lines(0, 1000).splitlines())
    assert first.probabilities(0, 50_000).mean() == pytest.approx(second.probabilities(0, 50_000).mean(), abs=0.01)
    first_table, second_table = read(first, 20_000), read(second, 20_000)
    logits = [np.log(t.oracle / (1 - t.oracle)) for t in (first_table, second_table)]
    for number in (4, 6):
        slopes = [np.polyfit(t.weights[:, number], z, 1)[0] for t, z in zip((first_table, second_table), logits)]
        assert slopes[0] == pytest.approx(slopes[1], abs=0.1)


@pytest.mark.parametrize("seed", [-1, 2**64])
def test_a_seed_out_of_range_is_refused(seed: int) -> None:
    with pytest.raises(ValueError, match="seed must be in"):
        SyntheticStream(seed)


@pytest.mark.parametrize("pace", [-0.1, 100.5, float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["drift", "churn"])
def test_a_pace_out_of_range_is_refused(name: str, pace: float) -> None:
    with pytest.raises(ValueError, match=rf"{name} must be in \[0, 100\]"):
        SyntheticStream(**{name: pace})


@pytest.mark.parametrize(("start", "rows"), [(-1, 5), (0, -5)])
def test_negative_rows_are_refused(start: int, rows: int) -> None:
    stream = SyntheticStream()
    for method in (stream.lines, stream.probabilities, stream.labels):
        with pytest.raises(ValueError, match="must be at least 0"):
            method(start, rows)


def test_no_rows_are_no_bytes() -> None:
    assert SyntheticStream().lines(10, 0) == b""
    assert SyntheticStream().labels(10, 0).shape == (0,)


def test_the_oracle_is_calibrated_everywhere(table: Table) -> None:
    order = np.argsort(table.oracle)
    for part in np.array_split(order, 10):
        clicks, expected = table.labels[part].sum(), table.oracle[part].sum()
        deviation = np.sqrt((table.oracle[part] * (1 - table.oracle[part])).sum())
        assert abs(clicks - expected) < 4.5 * deviation


def test_oracle_auc_and_base_rate(table: Table) -> None:
    assert 0.82 <= auc(table.labels, table.oracle) <= 0.90
    assert 0.15 <= table.labels.mean() <= 0.40


def test_missing_values_and_negative_counts(table: Table) -> None:
    share = table.missing.mean(axis=0)
    assert share.max() > 0.7
    assert (share == 0).sum() >= 10
    assert ((share > 0.02) & (share < 0.98)).sum() >= 15
    values = np.rint(np.sign(table.weights[:, 1]) * np.expm1(np.abs(table.weights[:, 1])))
    assert set(values[values < 0]) == {-1.0, -2.0, -3.0}
    assert 0.05 < (values < 0).mean() < 0.20
    others = np.delete(table.weights[:, :13], 1, axis=1)
    assert others.min() == 0.0


def test_counts_have_heavy_tails(table: Table) -> None:
    for number in range(13):
        values = np.expm1(table.weights[~table.missing[:, number], number])
        assert values.max() > 10 * np.quantile(values, 0.9)


def test_category_frequencies_are_power_laws(table: Table) -> None:
    for field in range(13, 39):
        present = table.ids[~table.missing[:, field], field]
        counts = np.sort(np.unique(present, return_counts=True)[1])[::-1]
        frequent = counts[counts >= 30].astype(np.float64)
        if frequent.size < 8:
            continue  # too few points for a slope
        ranks = np.log(np.arange(frequent.size) + 1.0)
        slope = np.polyfit(ranks, np.log(frequent), 1)[0]
        assert -1.5 < slope < -0.4
        assert np.corrcoef(ranks, np.log(frequent))[0, 1] < -0.9


def test_fields_of_one_cause_are_correlated(table: Table) -> None:
    complete = ~table.missing[:, [1, 4, 5]].any(axis=1)
    i2, i5, i6 = (table.weights[complete, number] for number in (1, 4, 5))
    assert np.corrcoef(i5, i6)[0, 1] > 0.03
    assert abs(np.corrcoef(i2, i6)[0, 1]) < 0.015


def interaction(table: Table, rows: slice, left: int, right: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean oracle logit of each cell of two category fields less its row and column effects, and the cells' shares."""
    logits = np.log(table.oracle[rows] / (1.0 - table.oracle[rows]))
    a, b = (table.ids[rows, 13 + field] % 2**32 - 1 for field in (left, right))
    shape = tuple(int(table.ids[:, 13 + field].max() % 2**32) for field in (left, right))
    cells = np.ravel_multi_index((a, b), shape)
    counts = np.bincount(cells, minlength=shape[0] * shape[1]).reshape(shape)
    sums = np.bincount(cells, weights=logits, minlength=counts.size).reshape(shape)
    means = sums / np.maximum(counts, 1)
    shares = counts / counts.sum()
    for _ in range(20):  # weighted two-way analysis of variance by alternating projections
        means = means - (shares * means).sum(axis=1, keepdims=True) / shares.sum(axis=1, keepdims=True)
        means = means - (shares * means).sum(axis=0, keepdims=True) / shares.sum(axis=0, keepdims=True)
    return means, shares


def test_at_least_six_pairs_of_categories_interact(table: Table) -> None:
    found = []
    fields = LOW_CARDINALITY_FIELDS
    for left, right in ((a, b) for a in fields for b in fields if a < b):
        first, shares = interaction(table, slice(0, 50_000), left, right)
        second, _ = interaction(table, slice(50_000, 100_000), left, right)
        # Noise of the two halves is independent: their product estimates the variance of the interaction itself.
        found.append(float((shares * first * second).sum()))
    assert sum(variance > 0.07 for variance in found) >= 6
    assert sum(abs(variance) < 0.02 for variance in found) >= 1


def test_a_linear_model_stays_below_the_oracle(table: Table) -> None:
    newest = slice(80_000, 100_000)
    linear = ftrl_logistic(table.ids, table.weights, table.labels)
    assert auc(table.labels[newest], linear[newest]) > 0.6
    assert auc(table.labels[newest], table.oracle[newest]) - auc(table.labels[newest], linear[newest]) >= 0.03


@pytest.mark.slow
def test_the_first_700k_rows_are_honest() -> None:
    table = read(SyntheticStream(seed=7), 700_000)
    newest = slice(600_000, 700_000)
    assert 0.82 <= auc(table.labels, table.oracle) <= 0.90
    assert 0.15 <= table.labels.mean() <= 0.40
    assert calibration(table.labels, table.oracle) == pytest.approx(1.0, abs=0.01)

    codes, unique = pd.factorize(table.ids.reshape(-1))
    counts = np.bincount(codes)
    assert (counts[codes] < 10).mean() >= 0.20
    fields = unique >> 32
    cardinalities = np.sort(np.bincount(fields, minlength=39)[13:])
    assert cardinalities[0] == 3
    assert cardinalities[-1] >= 250_000

    oracle = auc(table.labels[newest], table.oracle[newest])
    for alpha in (0.02, 0.05, 0.1):
        linear = ftrl_logistic(table.ids, table.weights, table.labels, alpha=alpha)
        assert oracle - auc(table.labels[newest], linear[newest]) >= 0.03
