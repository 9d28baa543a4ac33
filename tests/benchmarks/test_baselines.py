from __future__ import annotations

import importlib.util
import math

import numpy as np
import pytest

from benchmarks.baselines import ftrl_logistic, river_logistic, vowpal_wabbit
from mindspore_rec.metrics import auc

Rows = tuple[np.ndarray, np.ndarray, np.ndarray]


@pytest.fixture
def rows() -> Rows:
    random = np.random.default_rng(3)
    # Eight values in each of five fields: no id twice in a row, as in the stream.
    values = random.integers(0, 8, (4000, 5)) + 8 * np.arange(5)
    ids = values * 0x1234567890ABCDE
    weights = random.random((4000, 5)).astype(np.float32)
    weights[random.random((4000, 5)) < 0.1] = 0.0
    truth = random.standard_normal(40)
    logits = (truth[values] * weights).sum(axis=1)
    labels = (random.random(4000) < 1 / (1 + np.exp(-logits))).astype(np.float32)
    return ids, weights, labels.reshape(-1, 1)


def plain_ftrl(rows: Rows, alpha: float, beta: float, l1: float, l2: float) -> list[float]:
    """McMahan et al. (2013), algorithm 1, over dictionaries."""
    z: dict[object, float] = {}
    n: dict[object, float] = {}
    predictions = []
    for ids, weights, label in zip(*rows):
        features = [*zip(ids.tolist(), weights.tolist()), ("bias", 1.0)]
        w = {}
        for key, _ in features:
            z_i, n_i = z.get(key, 0.0), n.get(key, 0.0)
            shrunk = 0.0 if abs(z_i) <= l1 else z_i - math.copysign(l1, z_i)
            w[key] = -shrunk / ((beta + math.sqrt(n_i)) / alpha + l2)
        p = 1 / (1 + math.exp(-sum(w[key] * x for key, x in features)))
        predictions.append(p)
        for key, x in features:
            g = (p - float(label[0])) * x
            sigma = (math.sqrt(n.get(key, 0.0) + g * g) - math.sqrt(n.get(key, 0.0))) / alpha
            z[key] = z.get(key, 0.0) + g - sigma * w[key]
            n[key] = n.get(key, 0.0) + g * g
    return predictions


@pytest.mark.parametrize(("alpha", "beta", "l1", "l2"), [(0.05, 1.0, 0.0, 0.0), (0.3, 0.5, 0.2, 0.1)])
def test_ftrl_is_the_published_algorithm(rows: Rows, alpha: float, beta: float, l1: float, l2: float) -> None:
    ids, weights, labels = rows
    part = ids[:800], weights[:800], labels[:800]
    expected = plain_ftrl(part, alpha, beta, l1, l2)
    assert ftrl_logistic(*part, alpha, beta, l1, l2) == pytest.approx(np.array(expected), rel=1e-9)


def test_ftrl_predicts_a_row_before_it_learns_it(rows: Rows) -> None:
    ids, weights, labels = rows
    flipped = labels.copy()
    flipped[2000] = 1 - flipped[2000]
    before, after = ftrl_logistic(ids, weights, labels), ftrl_logistic(ids, weights, flipped)
    assert np.array_equal(before[:2001], after[:2001])
    assert not np.array_equal(before[2001:], after[2001:])


@pytest.mark.parametrize("package", ["vowpalwabbit", "river"])
def test_independent_learners_agree(rows: Rows, package: str) -> None:
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed")
    run = {"vowpalwabbit": vowpal_wabbit, "river": river_logistic}[package]
    ids, weights, labels = rows
    probabilities = run(ids, weights, labels)
    assert probabilities is not None
    assert probabilities[0] == pytest.approx(0.5)  # of a row never seen
    newest = slice(2000, 4000)
    ours = auc(labels[newest], ftrl_logistic(ids, weights, labels)[newest])
    assert ours > 0.6
    assert auc(labels[newest], probabilities[newest]) == pytest.approx(ours, abs=0.03)


@pytest.mark.parametrize("run", [vowpal_wabbit, river_logistic])
def test_a_package_that_is_not_installed_gives_none(rows: Rows, run: object, monkeypatch: pytest.MonkeyPatch) -> None:
    assert callable(run)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert run(*rows) is None
