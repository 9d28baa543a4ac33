"""Linear baselines for the learning benchmark, each progressive: a row is predicted, then learned.

All take the arrays the trainer gets: ids int64[n, f], weights float32[n, f], labels [n]; all return P(click) float64.
"""

from __future__ import annotations

import importlib.util
import math
from typing import Dict, Optional, Union

import numpy as np
import pandas as pd
from numba import njit
from numpy.typing import NDArray

Ids = NDArray[np.int64]
Weights = NDArray[np.float32]


def ftrl_logistic(
    ids: Ids,
    weights: Weights,
    labels: NDArray[np.generic],
    alpha: float = 0.05,
    beta: float = 1.0,
    l1: float = 0.0,
    l2: float = 0.0,
) -> NDArray[np.float64]:
    """Logistic regression over all ids and a bias by FTRL-Proximal, row by row (McMahan et al., 2013, algorithm 1).

    Ids are enumerated exactly: nothing collides.

    Args:
        ids: int64[n, f].
        weights: float32[n, f]; a weight of 0 leaves its id alone.
        labels: 0 or 1, n of them, any shape.
        alpha: learning rate.
        beta: its smoothing.
        l1: strength of the L1 term.
        l2: strength of the L2 term.

    Returns:
        float64[n], each row's probability before the row was learned.
    """
    codes, unique = pd.factorize(ids.reshape(-1))
    flat_labels = np.asarray(labels, dtype=np.float64).reshape(-1)
    slots = codes.reshape(ids.shape)
    return _ftrl(slots, weights, flat_labels, unique.size, alpha, beta, l1, l2)


@njit(nogil=True)  # no cache: this file has two module names, under pytest and as a script
def _ftrl(
    slots: NDArray[np.int64],
    weights: Weights,
    labels: NDArray[np.float64],
    num_ids: int,
    alpha: float,
    beta: float,
    l1: float,
    l2: float,
) -> NDArray[np.float64]:
    rows, fields = slots.shape
    bias = num_ids
    z = np.zeros(num_ids + 1)
    n = np.zeros(num_ids + 1)
    coefficients = np.empty(fields + 1)
    probabilities = np.empty(rows)
    for i in range(rows):
        logit = 0.0
        for j in range(fields + 1):
            slot = bias if j == fields else slots[i, j]
            x = 1.0 if j == fields else float(weights[i, j])
            coefficients[j] = _coefficient(z[slot], n[slot], alpha, beta, l1, l2)
            logit += coefficients[j] * x
        probabilities[i] = 1.0 / (1.0 + math.exp(-max(-35.0, min(35.0, logit))))
        error = probabilities[i] - labels[i]
        for j in range(fields + 1):
            slot = bias if j == fields else slots[i, j]
            gradient = error * (1.0 if j == fields else float(weights[i, j]))
            sigma = (math.sqrt(n[slot] + gradient * gradient) - math.sqrt(n[slot])) / alpha
            z[slot] += gradient - sigma * coefficients[j]
            n[slot] += gradient * gradient
    return probabilities


@njit(nogil=True)  # no cache: this file has two module names, under pytest and as a script
def _coefficient(z: float, n: float, alpha: float, beta: float, l1: float, l2: float) -> float:
    if abs(z) <= l1:
        return 0.0
    return -(z - math.copysign(l1, z)) / ((beta + math.sqrt(n)) / alpha + l2)


def vowpal_wabbit(
    ids: Ids, weights: Weights, labels: NDArray[np.generic], options: str = "--bit_precision 24"
) -> Optional[NDArray[np.float64]]:
    """Vowpal Wabbit's logistic regression over all ids, with its own adaptive update.

    Returns:
        float64[n], as `ftrl_logistic`; None where Vowpal Wabbit is not installed.
    """
    if importlib.util.find_spec("vowpalwabbit") is None:
        return None
    from vowpalwabbit import Workspace

    workspace = Workspace(f"--quiet --loss_function logistic --link logistic --hash all {options}")
    flat_labels = np.asarray(labels, dtype=np.float64).reshape(-1)
    probabilities = np.empty(flat_labels.size)
    for i in range(flat_labels.size):
        features = " ".join(f"{key}:{value}" for key, value in zip(ids[i].tolist(), weights[i].tolist()))
        example = workspace.example(f"{1 if flat_labels[i] else -1} | {features}")
        workspace.learn(example)  # predicts first; the prediction it keeps is from before the update
        probabilities[i] = example.get_simplelabel_prediction()
        workspace.finish_example(example)
    workspace.finish()
    return probabilities


def river_logistic(
    ids: Ids, weights: Weights, labels: NDArray[np.generic], alpha: float = 0.05, beta: float = 1.0
) -> Optional[NDArray[np.float64]]:
    """River's logistic regression by its FTRL-Proximal.

    Give it a part of the rows. River 0.26 takes some 12 000 rows a second but wants NumPy 2; of the releases for
    NumPy 1, 0.23 slows down with the ids it holds: 900 rows a second over 4000 rows, 300 over 8000.

    Returns:
        float64[n], as `ftrl_logistic`; None where River is not installed.
    """
    if importlib.util.find_spec("river") is None:
        return None
    from river import linear_model, optim

    # River learns its intercept by plain SGD, whose constant rate costs AUC: the bias is a feature here, as in ours.
    model = linear_model.LogisticRegression(
        optimizer=optim.FTRLProximal(alpha=alpha, beta=beta, l1=0.0, l2=0.0), intercept_lr=0.0
    )
    flat_labels = np.asarray(labels).reshape(-1).astype(bool)
    probabilities = np.empty(flat_labels.size)
    for i in range(flat_labels.size):
        row: Dict[Union[int, str], float] = {
            key: value for key, value in zip(ids[i].tolist(), weights[i].tolist()) if value
        }
        row["bias"] = 1.0
        label = bool(flat_labels[i])
        probabilities[i] = model.predict_proba_one(row)[True]
        model.learn_one(row, label)
    return probabilities
