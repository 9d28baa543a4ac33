"""Which rows a base and a delta have, at and beside each threshold."""

import dataclasses
import math

import numpy as np
import pytest

from mindspore_rec.embedding.export_rule import ExportRule
from mindspore_rec.embedding.statistics import STATISTICS

RULE = ExportRule(nonclk_coeff=0.5, click_coeff=2.0, base_threshold=3.0, delta_threshold=1.0, delta_keep_days=2)


def record(show, click):
    return np.array([(show, click, 7, 3)], STATISTICS)


@pytest.mark.parametrize(
    ("show", "click", "unseen", "in_base"),
    [(6, 0, 0, True), (5, 0, 0, False), (3, 1, 0, True), (2, 1, 0, False), (9, 1, 2, True), (9, 1, 3, False)],
)
def test_a_base_has_rows_of_a_score_that_were_seen(show, click, unseen, in_base):
    known, days = record(show, click), np.array([unseen])
    assert RULE.base(known, days).tolist() == [in_base]
    for delta_score, enough in ((1.0, True), (0.99, False), (0.0, False), (50.0, True)):
        deltas = np.array([delta_score], np.float32)
        assert RULE.delta(known, days, deltas).tolist() == [in_base and enough]


def test_thresholds_are_compared_as_float32():
    rule = dataclasses.replace(RULE, nonclk_coeff=0.1, base_threshold=0.1, delta_threshold=0.1)
    tenth = np.array([0.1], np.float32)  # larger than 0.1 as a double, equal as what Paddle has
    assert rule.delta(record(1, 0), np.array([0]), tenth).tolist() == [True]
    rule = dataclasses.replace(rule, base_threshold=0.3, nonclk_coeff=0.3)
    assert np.float32(0.3) > 0.3
    assert rule.base(record(1, 0), np.array([0])).tolist() == [True]
    rule = dataclasses.replace(rule, base_threshold=0.7, nonclk_coeff=0.7)
    assert np.float32(0.7) < 0.7
    assert rule.delta(record(1, 0), np.array([0]), np.array([0.1], np.float32)).tolist() == [True]


def test_the_defaults_are_those_of_slot_dnn():
    assert ExportRule() == ExportRule(0.1, 1.0, 1.5, 0.25, 16)


@pytest.mark.parametrize("name", ["nonclk_coeff", "click_coeff", "base_threshold", "delta_threshold"])
def test_wrong_settings_are_named(name):
    with pytest.raises(ValueError, match=rf"^{name} = nan: expected a finite number$"):
        ExportRule(**{name: math.nan})
    with pytest.raises(ValueError, match=r"^delta_keep_days = -1: expected 0 or more$"):
        ExportRule(delta_keep_days=-1)
