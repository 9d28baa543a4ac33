"""The band against plain formulas, and what becomes of it over a restart."""

import math

import numpy as np
import pytest

from mindspore_rec.metrics.control_band import ControlBand


def taken(values, **options):
    band = ControlBand(**{"weight": 0.1, "width": 3.0, "warm_up": 2, **options})
    for value in values:
        band.take(value)
    return band


@pytest.mark.parametrize("seed", range(5))
def test_the_first_values_weigh_the_same(seed):
    values = np.random.default_rng(seed).normal(2.0, 3.0, 10)
    band = taken(values)
    assert band.mean == pytest.approx(values.mean(), rel=1e-12)
    assert band.deviation == pytest.approx(values.std(), rel=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_mean_and_deviation_are_those_of_exponential_weights(seed):
    values = np.random.default_rng(seed).normal(2.0, 3.0, 60)
    band = taken(values, weight=0.25)
    weights = np.concatenate([np.full(4, 0.25), np.full(56, 0.25)])  # the first four as one mean
    for k in range(4, 60):
        weights[:k] *= 0.75
    mean = np.sum(weights * values) / weights.sum()
    assert weights.sum() == pytest.approx(1.0)
    assert band.mean == pytest.approx(mean, rel=1e-12)
    assert band.deviation == pytest.approx(math.sqrt(np.sum(weights * (values - mean) ** 2)), rel=1e-9)


def test_there_are_limits_after_the_warm_up_on_the_sides_asked_for():
    assert taken([1.0], warm_up=2).limits() == (-math.inf, math.inf)
    assert taken([1.0, 3.0]).limits() == (-1.0, 5.0)
    assert taken([1.0, 3.0], upper=False).limits() == (-1.0, math.inf)
    assert taken([1.0, 3.0], lower=False).limits() == (-math.inf, 5.0)


def test_a_side_is_as_wide_as_the_greatest_of_deviation_error_and_tolerance():
    band = taken([1.0, 3.0], tolerance=2.0)
    assert band.limits() == (-2.0, 6.0)
    assert band.limits(error=0.1) == (-2.0, 6.0)
    assert band.limits(error=2.0) == (-4.0, 8.0)
    assert taken([-1.0, -3.0], tolerance=2.0).limits() == (-6.0, 2.0)


def test_a_steady_drift_stays_inside():
    band = taken([0.0])
    for k in range(1, 500):
        low, high = band.limits()
        assert low <= 0.01 * k <= high
        band.take(0.01 * k)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_not_finite_is_refused(value):
    band = taken([1.0, 3.0])
    with pytest.raises(ValueError, match="finite"):
        band.take(value)
    assert (band.seen, band.mean) == (2, 2.0)


def test_a_restored_band_goes_on_to_the_bit():
    values = np.random.default_rng(3).normal(size=40)
    whole, first, second = taken(values), taken(values[:13]), ControlBand(0.1, 3.0, 2)
    second.load_state(first.state())
    for value in values[13:]:
        second.take(value)
    assert second.state().tobytes() == whole.state().tobytes()
    fresh = taken(values)
    fresh.reset()
    assert np.isnan(fresh.mean) and fresh.seen == 0
    second.load_state(fresh.state())
    assert second.seen == 0


@pytest.mark.parametrize(
    "state", [[1.0, 2.0], [-1.0, 0, 0], [1.5, 0, 0], [2.0, np.nan, 0], [0.0, 1.0, 0], [2.0, 1.0, -1.0], [2, 1, np.inf]]
)
def test_a_state_that_is_none_is_refused(state):
    band = taken([1.0, 3.0])
    with pytest.raises(ValueError, match="control band"):
        band.load_state(np.array(state, np.float64))
    assert band.seen == 2


@pytest.mark.parametrize(
    "options", [{"weight": 0.0}, {"weight": 1.1}, {"width": -1.0}, {"warm_up": 0}, {"tolerance": -1}]
)
def test_arguments_out_of_range_are_refused(options):
    with pytest.raises(ValueError, match="expected"):
        taken([], **options)
