"""Rows of the synthetic stream as the trainer sees them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from mindspore_rec.config import FeatureConfig
from mindspore_rec.data.synthetic import SyntheticStream
from mindspore_rec.features.engine import make_engine

CHUNK = 50_000


@dataclass(frozen=True)
class Rows:
    """ids int64 [n, 39], weights float32 [n, 39], labels float32 [n, 1], oracle float64 [n]."""

    ids: np.ndarray
    weights: np.ndarray
    labels: np.ndarray
    oracle: np.ndarray


def synthetic_rows(rows: int, seed: int = 7, drift: float = 0.0, churn: float = 0.0) -> Rows:
    """Generate `rows` rows and run them through the feature engine."""
    stream, engine = SyntheticStream(seed, drift, churn), make_engine(FeatureConfig())
    parts = []
    for begin in tqdm(range(0, rows, CHUNK), desc="rows", unit_scale=CHUNK, leave=False):
        count = min(CHUNK, rows - begin)
        made = engine.transform([stream.lines(begin, count)], "block")
        parts.append((made.ids, made.weights, made.labels, stream.probabilities(begin, count)))
    return Rows(*(np.concatenate(columns) for columns in zip(*parts)))
