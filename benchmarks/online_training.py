"""Training speed of the pipeline and of the bare step, beside a reference, PyTorch and the matrix products alone.

    python benchmarks/online_training.py [--rows 1003520] [--rounds 9] [--broker kafka|tansu]

One JSON line. `pipeline_samples_per_s` is what the trainer reaches on a topic filled before, over a real broker, with
the consumer beside it; the same step fed from memory runs before and after it, and their median is
`step_samples_per_s`. All other timings are medians of rounds in which every contender runs once, in turn. The
reference trains at batch 100 with tables of 200k x 80, as its published configuration does.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import tempfile
import time
from pathlib import Path
from typing import Callable, Dict, List, Optional

import _venv  # noqa: F401
import numpy as np
from _criteo_rows import Rows, synthetic_rows
from _machine import machine
from tqdm import tqdm

from mindspore_rec.config import ModelConfig
from mindspore_rec.logs import quiet_mindspore

quiet_mindspore()

import mindspore as ms  # noqa: E402
from _pipeline import fill_topic, run_pipeline  # noqa: E402
from _reference_step import reference_step  # noqa: E402
from _torch_step import torch_step  # noqa: E402
from mindspore import Tensor, nn, ops  # noqa: E402

from mindspore_rec.models.rank.wide_deep.model import WideDeep  # noqa: E402
from mindspore_rec.stream.brokers import BROKERS  # noqa: E402
from mindspore_rec.train.losses import LogLoss  # noqa: E402
from mindspore_rec.train.step import TrainStep  # noqa: E402

REFERENCE_VOCABULARY, REFERENCE_DIM, REFERENCE_BATCH = 200_000, 80, 100
Timings = Dict[str, List[float]]


class _Products(nn.Cell):
    """The matrix products of one step, at their exact shapes: forward, input gradient and weight gradient."""

    def __init__(self) -> None:
        super().__init__()
        self.forward = ops.MatMul()
        self.to_input = ops.MatMul(transpose_b=True)
        self.to_weight = ops.MatMul(transpose_a=True)

    def construct(self, *tensors: Tensor) -> tuple:
        count = len(tensors) // 2
        results = ()
        for k in range(count):
            x, w, y = tensors[k], tensors[count + 1 + k], tensors[k + 1]
            results = (*results, self.forward(x, w), self.to_input(y, w), self.to_weight(x, y))
        return results


def train_step(config: ModelConfig) -> TrainStep:
    """Return the product's own step."""
    network = WideDeep(config)
    step = TrainStep(network, LogLoss(), nn.Adam(network.trainable_params(), config.dense_learning_rate))
    step.expect_rows(config.batch_size)
    return step


def on_rows(step: Callable[..., object], rows: Rows, batch: int) -> Callable[[], None]:
    """Return a call that trains the next batch of `rows`, from the start again at the end."""
    starts = iter(np.tile(np.arange(0, len(rows.labels) - batch + 1, batch), 1000))

    def call() -> None:
        part = slice(k := next(starts), k + batch)
        step(rows.ids[part], rows.weights[part], rows.labels[part])

    return call


def products(config: ModelConfig) -> Dict[str, Callable[[], None]]:
    """Return the products of a step through NumPy and through MindSpore."""
    rng = np.random.default_rng(0)
    sizes = [config.num_fields * config.emb_dim, *config.layers, 1]
    xs = [rng.standard_normal((config.batch_size, n), dtype=np.float32) for n in sizes]
    ws = [rng.standard_normal((a, b), dtype=np.float32) for a, b in zip(sizes, sizes[1:])]
    graph, tensors = _Products(), [Tensor(array) for array in (*xs, *ws)]

    def with_numpy() -> None:
        for k, w in enumerate(ws):
            xs[k] @ w, xs[k + 1] @ w.T, xs[k].T @ xs[k + 1]

    def with_mindspore() -> None:
        for result in graph(*tensors):
            result.asnumpy()

    return {"sgemm_numpy": with_numpy, "sgemm_mindspore": with_mindspore}


def flops(config: ModelConfig) -> float:
    """Floating point operations of the products of a step."""
    sizes = [config.num_fields * config.emb_dim, *config.layers, 1]
    return 6.0 * config.batch_size * sum(a * b for a, b in zip(sizes, sizes[1:]))


def interleave(calls: Dict[str, Callable[[], None]], rounds: int, label: str, settle: int = 2) -> Timings:
    """Time each call once a round, in turn, after a call that lets the threads of the one before it fall asleep.

    The first rounds only warm up.
    """
    timings: Timings = {name: [] for name in calls}
    for k in tqdm(range(rounds + settle), desc=label, leave=False):
        for name, call in calls.items():
            call()
            begin = time.perf_counter()
            call()
            if k >= settle:
                timings[name].append(time.perf_counter() - begin)
    return timings


def reference_calls(config: ModelConfig) -> Dict[str, Callable[[], None]]:
    """Return the reference step and ours at its shape, over the same ids."""
    shape = config.model_copy(update={"emb_dim": REFERENCE_DIM, "batch_size": REFERENCE_BATCH})
    rng = np.random.default_rng(0)
    ids = rng.integers(0, REFERENCE_VOCABULARY, (64 * REFERENCE_BATCH, config.num_fields))
    weights = rng.random(ids.shape, dtype=np.float32)
    labels = (rng.random((len(ids), 1)) < 0.25).astype(np.float32)
    ours = train_step(shape)
    for lookup in (ours.network.wide.table, ours.network.deep.table):
        lookup.table.prepare(np.arange(REFERENCE_VOCABULARY))
    theirs = reference_step(shape, REFERENCE_VOCABULARY, REFERENCE_DIM)
    first = slice(0, REFERENCE_BATCH)
    tensors = Tensor(ids[first].astype(np.int32)), Tensor(weights[first]), Tensor(labels[first])
    return {
        "reference": lambda: [loss.asnumpy() for loss in theirs(*tensors)],
        "ours_at_reference_shape": on_rows(ours, Rows(ids, weights, labels, labels), REFERENCE_BATCH),
    }


def step_speed(call: Callable[[], None], batch: int, rounds: int) -> float:
    """Return samples/s of a call that trains one batch, by the median."""
    return batch / statistics.median(interleave({"step": call}, rounds, "step")["step"])


def measure(arguments: argparse.Namespace) -> Dict[str, object]:
    """Run everything and return the figures."""
    config = ModelConfig()
    ms.set_context(mode=ms.GRAPH_MODE, device_target="CPU")
    rows = synthetic_rows(min(arguments.rows, 409_600))
    dense_ids = np.unique(rows.ids, return_inverse=True)[1].reshape(rows.ids.shape)
    step = on_rows(train_step(config), rows, config.batch_size)
    contenders = {"step": step, **products(config)}
    torch_call = torch_step(config, int(dense_ids.max()) + 1)
    if torch_call is not None:
        numbered = Rows(dense_ids, rows.weights, rows.labels, rows.oracle)
        contenders["pytorch"] = on_rows(torch_call, numbered, config.batch_size)
    timings = interleave(contenders, arguments.rounds, "step, products, PyTorch")
    timings.update(interleave(reference_calls(config), arguments.rounds, "reference"))
    median = {name: statistics.median(times) for name, times in timings.items()}
    floor = min(median["sgemm_numpy"], median["sgemm_mindspore"])

    broker_name = arguments.broker
    folder = Path(tempfile.mkdtemp(prefix="online_training-"))
    try:
        with BROKERS[broker_name](folder / "broker", port=0) as broker:
            fill_topic(broker.bootstrap_servers, "benchmark", arguments.rows)
            speeds = [step_speed(step, config.batch_size, arguments.rounds)]
            pipelines = []
            for k in range(arguments.pipelines):
                summary = run_pipeline(broker.bootstrap_servers, "benchmark", arguments.rows, folder / str(k))
                pipelines.append(summary["samples_per_s"])
                speeds.append(step_speed(step, config.batch_size, arguments.rounds))
            broker_label = broker.name
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    pipeline, alone = statistics.median(pipelines), statistics.median(speeds)
    reference = REFERENCE_BATCH / median["reference"]
    ours = REFERENCE_BATCH / median["ours_at_reference_shape"]
    pytorch: Optional[float] = median.get("pytorch")
    return {
        "pipeline_samples_per_s": round(pipeline),
        "step_samples_per_s": round(alone),
        "pipeline_ratio": round(pipeline / alone, 3),
        "reference_samples_per_s": round(reference, 1),
        "ours_at_reference_shape_samples_per_s": round(ours, 1),
        "reference_ratio": round(ours / reference, 2),
        "sgemm_floor_ratio": round(floor / median["step"], 3),
        "sgemm_gflops": round(flops(config) / floor / 1e9, 1),
        "pytorch_step_ratio": None if pytorch is None else round(pytorch / median["step"], 2),
        "step_ms": round(1e3 * median["step"], 1),
        "batch": config.batch_size,
        "emb_dim": config.emb_dim,
        "layers": list(config.layers),
        "rows": arguments.rows,
        "broker": broker_label,
        "load_before": round(os.getloadavg()[0], 2),
        "machine": machine(),
    }


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", type=int, default=1_003_520, help="rows in the topic")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--pipelines", type=int, default=3, help="runs of the pipeline, each between two of the step")
    default = "kafka" if BROKERS["kafka"].available() is None else "tansu"
    parser.add_argument("--broker", choices=sorted(BROKERS), default=default)
    print(json.dumps(measure(parser.parse_args())))


if __name__ == "__main__":
    main()
