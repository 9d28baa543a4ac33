"""How much of what can be known Wide&Deep learns in one pass, next to linear models, as one JSON line.

    python benchmarks/learning.py [--rows 700000] [--window 100000]

All models read the same rows of the synthetic stream in the same order, predict each one before they learn it, and are
compared by the AUC of these predictions over the last `window` rows; `auc_oracle` is that of the hidden model itself.
Vowpal Wabbit and River are measured where they are installed; River, being slow, on the first rows only, with
`auc_river_oracle` over the same ones beside it.
"""

from __future__ import annotations

import argparse
import json

import _venv  # noqa: F401
import numpy as np
from _criteo_rows import Rows, synthetic_rows
from _machine import machine
from baselines import ftrl_logistic, river_logistic, vowpal_wabbit
from tqdm import tqdm

from mindspore_rec.config import ModelConfig
from mindspore_rec.logs import quiet_mindspore
from mindspore_rec.metrics import auc

RIVER_ROWS = 5000


def progressive(rows: Rows, config: ModelConfig, wide_only: bool) -> np.ndarray:
    """Train one pass and return the probability of each row before it was learned, float64 [n]."""
    import mindspore as ms
    from mindspore import nn

    from mindspore_rec.models.rank.wide_deep.model import Wide, WideDeep
    from mindspore_rec.train.losses import LogLoss
    from mindspore_rec.train.step import TrainStep
    from mindspore_rec.train.window_monitor import sigmoid

    ms.set_context(mode=ms.GRAPH_MODE, device_target="CPU")
    network = Wide(config) if wide_only else WideDeep(config)
    step = TrainStep(network, LogLoss(), nn.Adam(network.trainable_params(), config.dense_learning_rate))
    step.expect_rows(config.batch_size)
    predictions = []
    name = "wide only" if wide_only else "Wide&Deep"
    for begin in tqdm(range(0, len(rows.labels), config.batch_size), desc=name, leave=False):
        part = slice(begin, begin + config.batch_size)
        step(rows.ids[part], rows.weights[part], rows.labels[part])
        predictions.append(sigmoid(step.result.logits).ravel())
    return np.concatenate(predictions)


def main() -> None:
    """Train all models and print their AUCs."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", type=int, default=700_000)
    parser.add_argument("--window", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=7, help="seed of the stream")
    arguments = parser.parse_args()
    quiet_mindspore()
    rows = synthetic_rows(arguments.rows, arguments.seed)
    labels, last = rows.labels.ravel(), slice(-arguments.window, None)

    def last_auc(probabilities: np.ndarray) -> float:
        return round(auc(labels[last], probabilities[last]), 5)

    config = ModelConfig()
    result = {
        "auc_wide_deep": last_auc(progressive(rows, config, wide_only=False)),
        "auc_wide_only": last_auc(progressive(rows, config, wide_only=True)),
        "auc_ftrl": last_auc(ftrl_logistic(rows.ids, rows.weights, rows.labels)),
        "auc_oracle": last_auc(rows.oracle),
    }
    result["learned_share"] = round((result["auc_wide_deep"] - 0.5) / (result["auc_oracle"] - 0.5), 4)
    wabbit = vowpal_wabbit(rows.ids, rows.weights, rows.labels)
    result["auc_vowpal_wabbit"] = None if wabbit is None else last_auc(wabbit)
    few = slice(0, RIVER_ROWS)
    river = river_logistic(rows.ids[few], rows.weights[few], rows.labels[few])
    result["auc_river"] = None if river is None else round(auc(labels[few], river), 5)
    result["auc_river_oracle"] = None if river is None else round(auc(labels[few], rows.oracle[few]), 5)
    print(json.dumps({**result, "rows": arguments.rows, "window": arguments.window, "machine": machine()}))


if __name__ == "__main__":
    main()
