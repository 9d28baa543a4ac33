from __future__ import annotations

import numpy as np
import pytest

from mindspore_rec.data.split import is_test_row

ROWS = np.arange(200_000)
SEEDS = [0, 1, 2, 12345, 2**63, 2**64 - 1]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("test_size", [0.001, 0.1, 0.5, 0.97])
def test_the_share_is_near_test_size(test_size: float, seed: int) -> None:
    deviation = np.sqrt(test_size * (1 - test_size) / len(ROWS))
    for rows in (ROWS, ROWS * 7 + 3, ROWS + 4_400_000_000):
        assert is_test_row(rows, test_size, seed).mean() == pytest.approx(test_size, abs=4.5 * deviation)


@pytest.mark.parametrize("seed", SEEDS)
def test_no_row_and_every_row(seed: int) -> None:
    assert not is_test_row(ROWS, 0.0, seed).any()
    assert is_test_row(ROWS, 1.0, seed).all()


def test_a_row_s_place_is_a_matter_of_seed_and_row_alone() -> None:
    rng = np.random.default_rng(1)
    for seed in SEEDS:
        whole = is_test_row(ROWS, 0.1, seed)
        assert whole.dtype == np.bool_
        order = rng.permutation(len(ROWS))
        assert np.array_equal(is_test_row(ROWS[order], 0.1, seed), whole[order])
        parts = [is_test_row(part, 0.1, seed) for part in np.split(ROWS, [1, 2, 1000, 150_000])]
        assert np.array_equal(np.concatenate(parts), whole)
        assert [bool(is_test_row(ROWS[i : i + 1], 0.1, seed)[0]) for i in range(100)] == whole[:100].tolist()


def test_the_caller_s_rows_are_left_alone() -> None:
    rows = np.arange(10)
    is_test_row(rows, 0.5, 3)
    assert rows.tolist() == list(range(10))


def test_no_rows() -> None:
    assert is_test_row(np.empty(0, np.int64), 0.5, 1).shape == (0,)


def test_a_larger_share_holds_the_rows_of_a_smaller_one() -> None:
    small, large = is_test_row(ROWS, 0.1, 4), is_test_row(ROWS, 0.3, 4)
    assert not (small & ~large).any() and large.sum() > small.sum()


def test_seeds_choose_independently() -> None:
    chosen = [is_test_row(ROWS, 0.1, seed) for seed in (0, 1, 2, 3, 2**32, 2**64 - 1)]
    for i, one in enumerate(chosen):
        for other in chosen[:i]:
            for shift in (0, 1, 2):  # nor does one run ahead of another
                both = (one[shift:] & other[: len(other) - shift]).mean()
                assert both == pytest.approx(0.01, abs=0.0012)


def test_neighbours_are_independent() -> None:
    chosen = is_test_row(ROWS, 0.1, 1)
    for distance in (1, 2, 13, 1000):
        assert (chosen[distance:] & chosen[:-distance]).mean() == pytest.approx(0.01, abs=0.0012)


def test_these_rows_never_change() -> None:
    rows = np.array([0, 1, 2, 3, 4, 5, 6, 7, 10**12, 4_400_000_000])
    assert np.flatnonzero(is_test_row(rows, 0.5, 1)).tolist() == [0, 1, 3, 6]
