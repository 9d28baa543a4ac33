"""What admission and eviction cost in AUC and save in rows, on a stream whose ids come and go; as one JSON line.

    python benchmarks/admission_eviction.py [--rows 2000000] [--plot admission_eviction.png]

The hidden model drifts and ids of the long tails die and are replaced. Each way trains the same Wide&Deep on the same
rows in the same order, and is compared by the AUC of its predictions, each made before the row is learned, over the
second half of the stream, and by the rows of both its tables at the end. ``rows_ratio`` and ``auc_loss`` belong to
five occurrences before a row and eviction after ``ttl`` steps, against tables that keep all ids. Other ways stand in
the table above the line: the same counted in a sketch, without admission in the wide part, each rule alone, and
tables of a third of the rows that evict the least recent.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from typing import Dict, List

import _venv  # noqa: F401
import numpy as np
from _criteo_rows import Rows, synthetic_rows
from _machine import machine
from tqdm import tqdm

from mindspore_rec.config import ModelConfig
from mindspore_rec.logs import quiet_mindspore
from mindspore_rec.metrics import auc

BATCH = 4096
POINTS = 20
KEEPS_ALL, RULES = "all ids", "five occurrences + TTL"
SMALL = {"layers": (128, 64), "emb_dim": 8, "batch_size": BATCH}


@dataclass(frozen=True)
class Run:
    """Probabilities float64[n], and the rows of both tables at each of the points."""

    probabilities: np.ndarray
    table_rows: List[int]
    mib: float


def train(rows: Rows, name: str, keys: Dict[str, object]) -> Run:
    """Predict and train one pass."""
    import mindspore as ms
    from mindspore import nn

    from mindspore_rec.models.rank.wide_deep.model import WideDeep
    from mindspore_rec.train.losses import LogLoss
    from mindspore_rec.train.step import TrainStep
    from mindspore_rec.train.window_monitor import sigmoid

    ms.set_context(mode=ms.GRAPH_MODE, device_target="CPU")
    config = ModelConfig(**SMALL, **keys)
    network = WideDeep(config)
    tables = [network.wide.table.table, network.deep.table.table]
    step = TrainStep(network, LogLoss(), nn.Adam(network.trainable_params(), config.dense_learning_rate))
    step.expect_rows(BATCH)
    count, predictions, table_rows = len(rows.labels), [], []
    for begin in tqdm(range(0, count, BATCH), desc=name, leave=False):
        part = slice(begin, begin + BATCH)
        step.at(float(begin))  # rows are a second apart
        step(rows.ids[part], rows.weights[part], rows.labels[part])
        predictions.append(sigmoid(step.result.logits).ravel())
        if begin * POINTS // count != (begin + BATCH) * POINTS // count:
            table_rows.append(sum(len(table) for table in tables))
    return Run(np.concatenate(predictions), table_rows, sum(table.nbytes for table in tables) / 2**20)


def plot(path: str, rows: Rows, runs: Dict[str, Run]) -> None:
    """Draw rows and AUC of each way over the stream."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    labels = rows.labels.ravel()
    edges = np.linspace(0, labels.size, POINTS + 1).astype(int)
    figure, (sizes, quality) = plt.subplots(1, 2, figsize=(12, 4.5))
    for name, run in runs.items():
        sizes.plot(edges[1 : len(run.table_rows) + 1] / 1e6, np.array(run.table_rows) / 1e6, label=name)
        parts = list(zip(edges[1:], edges[2:]))
        quality.plot(edges[2:] / 1e6, [auc(labels[a:b], run.probabilities[a:b]) for a, b in parts], label=name)
    sizes.set(xlabel="million rows of the stream", ylabel="million rows of both tables", ylim=(0, None))
    quality.set(xlabel="million rows of the stream", ylabel="AUC, each row predicted before it is learned")
    sizes.legend(fontsize=8)
    for axes in (sizes, quality):
        axes.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def main() -> None:
    """Train each way and print the table and the line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--drift", type=float, default=0.5, help="replacements of the hidden model per million rows")
    parser.add_argument("--churn", type=float, default=2.0, help="replacements of each long-tail id per million rows")
    parser.add_argument("--ttl", type=int, default=100, help="steps of 4096 rows")
    parser.add_argument("--plot", default="admission_eviction.png", help="PNG file; empty: none")
    arguments = parser.parse_args()
    quiet_mindspore()
    rows = synthetic_rows(arguments.rows, drift=arguments.drift, churn=arguments.churn)
    labels, half = rows.labels.ravel(), len(rows.labels) // 2
    runs: Dict[str, Run] = {}
    late: Dict[str, float] = {}

    def measure(name: str, keys: Dict[str, object]) -> None:
        runs[name] = run = train(rows, name, keys)
        late[name] = auc(labels[half:], run.probabilities[half:])
        share, loss = run.table_rows[-1] / runs[KEEPS_ALL].table_rows[-1], late[KEEPS_ALL] - late[name]
        print(f"{name:28}{run.table_rows[-1]:12,}{share:8.3f}{run.mib:8.0f}{late[name]:9.5f}{loss:9.5f}", flush=True)

    print(f"{'':28}{'rows':>12}{'share':>8}{'MiB':>8}{'AUC':>9}{'loss':>9}")
    measure(KEEPS_ALL, {})
    ttl, both = {"evict_after": f"{arguments.ttl}step"}, {"admit_after": 5, "admit_wide": True}
    measure(RULES, {**both, **ttl})
    measure("the same, in a sketch", {**both, **ttl, "admit_memory": "64MiB"})
    measure("the same, deep part only", {**ttl, "admit_after": 5})
    measure("five occurrences", both)
    measure("time to live", ttl)
    third = runs[KEEPS_ALL].table_rows[-1] // 6  # of each of the two tables
    measure("least recent of a third", {"max_table_rows": third, "when_full": "least_recent"})
    if arguments.plot:
        plot(arguments.plot, rows, runs)
    result = {
        "rows_ratio": round(runs[RULES].table_rows[-1] / runs[KEEPS_ALL].table_rows[-1], 4),
        "auc_loss": round(late[KEEPS_ALL] - late[RULES], 5),
        "auc_all_ids": round(late[KEEPS_ALL], 5),
        "auc_oracle": round(auc(labels[half:], rows.oracle[half:]), 5),
        "rows": arguments.rows,
        "drift": arguments.drift,
        "churn": arguments.churn,
        "ttl_steps": arguments.ttl,
    }
    print(json.dumps({**result, "machine": machine()}))


if __name__ == "__main__":
    main()
