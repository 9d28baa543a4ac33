"""A hidden model that drifts and ids that die: what changes, how fast, and what does not."""

from __future__ import annotations

from typing import List

import numpy as np
import pytest
from numpy.typing import NDArray

from mindspore_rec.config import SyntheticConfig
from mindspore_rec.data.synthetic import SyntheticStream
from mindspore_rec.data.synthetic_drift import FASTEST, STEP_ROWS, world_at
from mindspore_rec.data.synthetic_world import CATEGORIES, Effects, world
from mindspore_rec.metrics import auc

MILLION = 1_000_000
ROWS = 30_000
LONG_TAILS = [field for field, category in enumerate(CATEGORIES) if category.cardinality > 4096]
OTHERS = [field for field in range(26) if field not in LONG_TAILS]


def tokens(stream: SyntheticStream, start: int, rows: int) -> NDArray[np.bytes_]:
    """C1..C26, bytes[rows, 26]."""
    lines = stream.lines(start, rows).splitlines()
    return np.array([line.split(b"\t")[14:] for line in lines])


def replaced(stream: SyntheticStream, start: int, fields: List[int]) -> float:
    """Share of values that are not those of a stream without churn."""
    now, fixed = (tokens(s, start, 2000)[:, fields] for s in (stream, SyntheticStream()))
    assert np.array_equal(now == b"", fixed == b"")
    return float((now != fixed)[fixed != b""].mean())


def test_without_drift_and_churn_the_world_is_the_fixed_one() -> None:
    assert world_at(0, 0.0, 0.0) is world()
    assert world_at(10**9, 0.0, 0.0) is world()


@pytest.mark.parametrize("key", Effects._fields)
def test_the_model_turns_from_one_draw_to_the_next(key: str) -> None:
    steps = MILLION // STEP_ROWS
    start, near, half, end = (
        getattr(world_at(step, STEP_ROWS * steps / MILLION, 0.0), key) for step in (0, 1, steps // 2, steps)
    )
    assert np.array_equal(start, getattr(world(), key))
    assert 0 < np.linalg.norm(near - start) < 0.02 * np.linalg.norm(start)
    # The lines are 13 numbers and the pairs products of few: chance alone makes such a correlation some tenths.
    chance = 0.05 if key == "effects" else 0.5
    assert abs(np.corrcoef(start, end)[0, 1]) < chance
    assert np.corrcoef(start, half)[0, 1] == pytest.approx(np.sqrt(0.5), abs=chance)


def test_every_replacement_is_another_model() -> None:
    drift = MILLION / (2 * STEP_ROWS)  # in two steps
    models = [world_at(step, drift, 0.0).effects for step in range(9)]
    assert np.abs(np.corrcoef(models[::2]) - np.eye(5)).max() < 0.05
    for before, between, after in zip(models[::2], models[1::2], models[2::2]):
        assert np.corrcoef(before, between)[0, 1] == pytest.approx(np.sqrt(0.5), abs=0.05)
        assert np.corrcoef(between, after)[0, 1] == pytest.approx(np.sqrt(0.5), abs=0.05)


@pytest.mark.parametrize("drift", [0.25, 1.0])
def test_drift_changes_labels_and_nothing_else(drift: float) -> None:
    late, fixed = SyntheticStream(drift=drift).lines(MILLION, 5000), SyntheticStream().lines(MILLION, 5000)
    assert late != fixed
    assert [line[1:] for line in late.splitlines()] == [line[1:] for line in fixed.splitlines()]


@pytest.mark.parametrize("churn", [0.0, 1.0])
def test_a_frozen_model_gets_worse_and_the_oracle_does_not(churn: float) -> None:
    drifting, frozen = SyntheticStream(drift=1.0, churn=churn), SyntheticStream(churn=churn)
    lost = []
    for start in (0, 250_000, 500_000, MILLION):
        labels, oracle = drifting.labels(start, ROWS), drifting.probabilities(start, ROWS)
        assert 0.82 <= auc(labels, oracle) <= 0.90
        assert 0.2 <= labels.mean() <= 0.4
        lost.append(auc(labels, oracle) - auc(labels, frozen.probabilities(start, ROWS)))
    assert 0.0 <= lost[0] < 0.005
    assert lost[1] > 0.02
    assert lost[2] > lost[1] + 0.04
    assert lost[3] > lost[2] + 0.04


def test_the_oracle_of_drifting_rows_is_calibrated() -> None:
    stream = SyntheticStream(drift=0.6, churn=0.6)
    labels, oracle = stream.labels(5 * MILLION, ROWS), stream.probabilities(5 * MILLION, ROWS)
    for part in np.array_split(np.argsort(oracle), 5):
        deviation = np.sqrt((oracle[part] * (1 - oracle[part])).sum())
        assert abs(int(labels[part].sum()) - oracle[part].sum()) < 4.5 * deviation


def test_drift_twice_as_fast_is_as_far_in_half_the_rows() -> None:
    slow, fast = world_at(100, 0.5, 0.0), world_at(50, 1.0, 0.0)
    assert np.array_equal(slow.effects, fast.effects)
    assert not np.array_equal(slow.effects, world_at(50, 0.5, 0.0).effects)


@pytest.mark.parametrize(("churn", "row", "expected"), [(1.0, 0, 0.0), (1.0, 250_000, 0.25), (0.5, MILLION, 0.5)])
def test_churn_is_the_share_of_ids_replaced_per_million_rows(churn: float, row: int, expected: float) -> None:
    stream = SyntheticStream(churn=churn)
    assert replaced(stream, row, LONG_TAILS) == pytest.approx(expected, abs=0.03)
    assert replaced(stream, row, OTHERS) == 0.0


def test_late_ids_are_new_and_old_ones_are_gone() -> None:
    fixed, changing = SyntheticStream(), SyntheticStream(churn=1.0)
    for field in LONG_TAILS:
        counts = []
        for stream in (fixed, changing):
            early, late = (set(tokens(stream, start, 2000)[:, field].tolist()) - {b""} for start in (0, 2 * MILLION))
            counts.append(len(early & late))
        assert counts[0] >= 10
        assert counts[1] == 0


@pytest.mark.parametrize(("later", "expected"), [(0, 1.0), (25_000, 0.5), (50_500, 0.0)])
def test_ids_live_as_long_as_churn_says(later: int, expected: float) -> None:
    stream, fixed = SyntheticStream(churn=20.0), SyntheticStream()  # a life of 50 000 rows
    # Of the values of 500 rows, those that turn up again later, against those that would if ids stayed.
    found, all_found = (
        int(np.isin(tokens(s, 500_000, 500)[:, LONG_TAILS], seen[seen != b""]).sum())
        for s, seen in ((s, tokens(s, 500_000 + later, 2000)[:, LONG_TAILS]) for s in (stream, fixed))
    )
    assert all_found > 400
    assert found / all_found == pytest.approx(expected, abs=0.0 if expected == 0.0 else 0.06)


@pytest.mark.parametrize("start", [700_000, 3_000 * MILLION])
def test_new_ids_stand_at_the_ranks_of_old_ones(start: int) -> None:
    """Each new token is of one field and one rank, also where the tokens of a field have been used up before."""
    now, fixed = tokens(SyntheticStream(churn=1.0), start, 4000), tokens(SyntheticStream(), start, 4000)
    seen = {}
    for field in range(26):
        for new, old in set(zip(now[:, field].tolist(), fixed[:, field].tolist())) - {(b"", b"")}:
            assert seen.setdefault(new, (field, old)) == (field, old)


def test_new_ids_have_effects_of_their_own() -> None:
    start = 3 * MILLION
    fixed, changing = (SyntheticStream(churn=churn).probabilities(start, ROWS) for churn in (0.0, 1.0))
    moved = np.log(changing / (1 - changing)) - np.log(fixed / (1 - fixed))
    # Two independent draws: the difference has twice the variance of the effects, less that of blanks.
    variance = sum(CATEGORIES[field].effect ** 2 * (1 - CATEGORIES[field].missing) for field in LONG_TAILS)
    assert moved.var() == pytest.approx(2 * variance, rel=0.25)
    assert abs(moved.mean()) < 0.1


def test_the_bounds_of_the_keys_are_those_of_the_stream() -> None:
    for key in ("drift", "churn"):
        assert SyntheticStream(**{key: FASTEST})
        assert SyntheticConfig(**{key: FASTEST})
        with pytest.raises(ValueError, match="less than or equal to 100"):
            SyntheticConfig(**{key: FASTEST + 1})
