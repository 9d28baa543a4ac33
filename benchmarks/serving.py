"""The model server, beside the same model called through MindSpore's `Model.predict`.

    python benchmarks/serving.py [--seconds 8] [--rounds 3] [--engine auto|onnxruntime|mindspore]

One JSON line. Wide&Deep of the default configuration is trained for a moment on synthetic clicks and published; the
server is the program that users run, on this machine, asked over HTTP. `p50_ms_N` and `p99_ms_N` are those of requests
of N raw rows, one after the other; `rows_per_s_1000` is with four clients at a time. `Model.predict` is given ids and
weights that are there already, 1000 rows at a time: the server parses text, makes ids and writes JSON besides. Both
take turns, and medians of the rounds are printed.
"""

from __future__ import annotations

import argparse
import http.client
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, Dict, Iterator, List, Tuple

import _venv  # noqa: F401
import numpy as np
from _criteo_rows import synthetic_rows
from _machine import machine
from _open_loop import body_of

from mindspore_rec.config import ModelConfig, PublishConfig
from mindspore_rec.logs import quiet_mindspore

quiet_mindspore()

from mindspore import Tensor, nn  # noqa: E402

from mindspore_rec import RecModel  # noqa: E402
from mindspore_rec.data.synthetic import SyntheticStream  # noqa: E402
from mindspore_rec.features.spec import FeatureSpec  # noqa: E402
from mindspore_rec.metrics.progressive import ProgressiveWindow  # noqa: E402
from mindspore_rec.models.rank.wide_deep.model import WideDeep  # noqa: E402
from mindspore_rec.serving.publication_folder import PublicationFolder  # noqa: E402
from mindspore_rec.serving.publisher import Publisher  # noqa: E402
from mindspore_rec.serving.trained_model import field_inputs  # noqa: E402
from mindspore_rec.stream.brokers import free_port  # noqa: E402
from mindspore_rec.train.device import use_device  # noqa: E402
from mindspore_rec.train.losses import LogLoss  # noqa: E402

SIZES = (1, 100, 1000)
BODIES, CLIENTS = 16, 4
PATH = "/v1/models/criteo:predict"


class Batches:
    """Some rows as a data set, with the feature spec of their ids."""

    def __init__(self, rows: Any, batch: int) -> None:
        self.spec_json, self._rows, self._batch = FeatureSpec().to_json(), rows, batch

    def get_dataset_size(self) -> int:
        """Batches."""
        return len(self._rows.labels) // self._batch

    def create_tuple_iterator(self, **options: Any) -> Iterator[Tuple[Tensor, ...]]:
        """Each batch once."""
        for begin in range(0, self.get_dataset_size() * self._batch, self._batch):
            part = slice(begin, begin + self._batch)
            yield tuple(Tensor(column[part]) for column in (self._rows.ids, self._rows.weights, self._rows.labels))


def published_model(path: Path, rows: Any) -> RecModel:
    """Train on rows, and publish."""
    config = ModelConfig()
    network = WideDeep(config)
    model = RecModel(network, LogLoss(), nn.Adam(network.trainable_params(), config.dense_learning_rate))
    about = {"config": config.model_dump(mode="json")}
    publisher = Publisher(
        PublicationFolder(path), model, PublishConfig(publish_seconds=1e6), field_inputs(39), about, ProgressiveWindow()
    )
    model.online_train(Batches(rows, config.batch_size), callbacks=[publisher], dataset_sink_mode=False)
    return model


def ask(port: int, bodies: List[bytes], seconds: float) -> List[float]:
    """Seconds of each request of a client, one after the other."""
    connection, taken, end = http.client.HTTPConnection("127.0.0.1", port), [], time.perf_counter() + seconds
    while (begin := time.perf_counter()) < end:
        connection.request("POST", PATH, bodies[len(taken) % len(bodies)], {"Content-Type": "application/json"})
        response = connection.getresponse()
        content = response.read()
        if response.status != 200:
            raise SystemExit(f"the server answered {response.status}: {content[:300]!r}")
        taken.append(time.perf_counter() - begin)
    connection.close()
    return taken


def throughput(port: int, bodies: List[bytes], seconds: float, rows: int) -> float:
    """Rows a second, of several clients."""
    answered: List[float] = []
    threads = [threading.Thread(target=lambda: answered.extend(ask(port, bodies, seconds))) for _ in range(CLIENTS)]
    begin = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return rows * len(answered) / (time.perf_counter() - begin)


def predict_speed(model: RecModel, rows: Any, seconds: float) -> float:
    """Rows a second through `Model.predict`, 1000 at a time."""
    inputs = Tensor(rows.ids[:1000]), Tensor(rows.weights[:1000])
    model.predict(*inputs)
    count, begin = 0, time.perf_counter()
    while time.perf_counter() - begin < seconds:
        model.predict(*inputs).asnumpy()
        count += 1
    return 1000 * count / (time.perf_counter() - begin)


def measure(arguments: argparse.Namespace, folder: Path) -> Dict[str, object]:
    """Run everything and return the figures."""
    use_device("CPU")
    rows = synthetic_rows(arguments.rows)
    model = published_model(folder, rows)
    text = SyntheticStream(7).lines(arguments.rows, 1000 * BODIES).decode()
    lines = [line.partition("\t")[2] for line in text.splitlines()]
    bodies = {size: [body_of(lines[k * size : (k + 1) * size]) for k in range(BODIES)] for size in SIZES}
    port = free_port()
    command = [sys.executable, "-u", "-m", "mindspore_rec", "serve", str(folder), "--port", str(port)]
    server = subprocess.Popen([*command, "--engine", arguments.engine], stdout=subprocess.PIPE, text=True)
    latencies: Dict[int, List[float]] = {size: [] for size in SIZES}
    speeds, predicts = [], []
    try:
        if not any("serving" in line for line in server.stdout or ()):
            raise SystemExit("the server did not start")
        for size in SIZES:
            ask(port, bodies[size], 1.0)
        for _ in range(arguments.rounds):
            for size in SIZES:
                latencies[size] += ask(port, bodies[size], arguments.seconds)
            speeds.append(throughput(port, bodies[1000], arguments.seconds, 1000))
            predicts.append(predict_speed(model, rows, arguments.seconds))
    finally:
        server.terminate()
        server.wait(30)
    speed, predict = statistics.median(speeds), statistics.median(predicts)
    quantiles = {size: 1e3 * np.quantile(latencies[size], [0.5, 0.99]) for size in SIZES}
    return {
        "rows_per_s_1000": round(speed),
        **{f"p50_ms_{size}": round(float(quantiles[size][0]), 2) for size in SIZES},
        **{f"p99_ms_{size}": round(float(quantiles[size][1]), 2) for size in SIZES},
        "model_predict_rows_per_s": round(predict),
        "model_predict_ratio": round(speed / predict, 3),
        "engine": arguments.engine,
        "machine": machine(),
    }


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=float, default=8.0, help="of each measurement in a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rows", type=int, default=81_920, help="trained before")
    parser.add_argument("--engine", choices=("auto", "onnxruntime", "mindspore"), default="auto")
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="serving-"))
    try:
        print(json.dumps(measure(arguments, folder)))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
