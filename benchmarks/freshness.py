"""From click to served model, with everything at once on this machine: stream, training, publishing, serving.

    python benchmarks/freshness.py [--seconds 120] [--rate 5000] [--batch 1024]

One JSON line. A producer writes `--rate` rows a second to Apache Kafka; consumer, trainer and server are the programs
that users run, the trainer with `--nice 10`, as docs/serving.md advises where it shares a machine with the server.
Requests of 100 raw rows come at fixed times, 50 a second; latencies count from the scheduled time. `click_to_servable`
is the time from the event of a row to the first answer of the version that learned of it, over all rows (the times
within a batch count as evenly spread). A sample of the answers is recomputed from the files of the version they name.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional

import _venv  # noqa: F401
import numpy as np
from _machine import machine
from _open_loop import Answers, OpenLoop, body_of

from mindspore_rec.cli.processes import Programs
from mindspore_rec.data.synthetic import SyntheticStream
from mindspore_rec.logs import quiet_mindspore
from mindspore_rec.serving.click_to_servable import ClickToServable
from mindspore_rec.serving.publication import PublicationManifest
from mindspore_rec.serving.publication_folder import PublicationFolder
from mindspore_rec.stream.brokers import BROKERS, free_port

REPOSITORY = Path(__file__).resolve().parents[1]
EXAMPLES = REPOSITORY / "examples" / "online_learning"
ROWS, REQUESTS_A_SECOND, BODIES = 100, 50.0, 64
TOLERANCE = 1e-6
WARM_SECONDS = 300.0
SETTLED, SETTLED_LAG = 4, 4  # publications, messages
SERVED_ROWS = 10**9  # of the synthetic stream, far from those that are trained


def commands(arguments: argparse.Namespace, servers: str, folder: Path, port: int) -> Dict[str, List[str]]:
    """The command line of each program."""
    channel, broker = ["--port", str(free_port() % 19000 + 46000)], ["--bootstrap_servers", servers]
    published = str(folder / "published")
    train = ["--batch_size", str(arguments.batch), "--max_wait", "0.2", "--publish_path", published]
    train += ["--publish_seconds", str(arguments.publish_seconds), "--checkpoint_path", str(folder / "checkpoints")]
    produce = ["--rate", str(arguments.rate), "--block_rows", str(arguments.block_rows)]
    python = [sys.executable, "-u"]
    return {
        "consumer": [
            *python,
            str(EXAMPLES / "consumer.py"),
            *broker,
            *channel,
            "--window_size",
            str(arguments.block_rows),
        ],
        "online_train": [*python, str(EXAMPLES / "online_train.py"), *channel, *train, "--nice", "10"],
        "producer": [*python, str(EXAMPLES / "producer.py"), *broker, *produce],
        "serve": [*python, "-m", "mindspore_rec", "serve", published, "--port", str(port)],
    }


def status_of(port: int) -> Optional[Dict[str, Any]]:
    """What the server says of itself; None where it does not."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/status", timeout=5) as response:
            found: Dict[str, Any] = json.load(response)
            return found
    except OSError:
        return None


def until(programs: Programs, holds: Callable[[], bool], what: str) -> None:
    """Wait until something holds, with a deadline; any program that ends is an error."""
    deadline = time.monotonic() + WARM_SECONDS
    while not holds():
        ended = programs.wait(0.5)
        if ended is not None or time.monotonic() > deadline:
            for line in programs.tail(ended or "online_train"):
                sys.stderr.write(line + "\n")
            raise SystemExit(f"{ended} ended" if ended else f"waited in vain: {what}")


def warm(port: int) -> bool:
    """Whether the backlog of the start is gone: the last publications were up to the newest rows."""
    status = status_of(port)
    lags = [publication["metrics"].get("lag_messages", 1e9) for publication in (status or {}).get("publications", [])]
    return len(lags) >= SETTLED and max(lags[-SETTLED:]) <= SETTLED_LAG


def click_to_servable(manifests: List[PublicationManifest], seen: Dict[int, float]) -> ClickToServable:
    """Times of the rows of each version that answered; rows of one that never did count for the next."""
    found = ClickToServable(len(manifests))
    times: List[Any] = []
    for manifest in manifests:
        times += manifest.event_times
        if manifest.version in seen:
            if manifest.version != min(seen):  # that one was there before the first request
                found.servable(times, seen[manifest.version])
            times = []
    return found


def check(answers: Answers, path: Path, rows: List[List[str]]) -> Dict[str, int]:
    """Recompute the kept answers from the files of their versions."""
    from mindspore_rec.serving.predictor import Predictor

    wrong = 0
    by_version: Dict[int, List[Any]] = {}
    for place, version, found in answers.kept:
        by_version.setdefault(version, []).append((place, found))
    with Predictor(path, follow=False) as predictor:
        for version in sorted(by_version):
            predictor.rollback(version)
            for place, found in by_version[version]:
                expected = predictor.predict(rows[place]).outputs["probability"].ravel()
                wrong += not np.allclose(found, expected, rtol=0, atol=TOLERANCE)
    return {"answers_checked": len(answers.kept), "answers_mixed": wrong}


def measure(arguments: argparse.Namespace, folder: Path) -> Dict[str, object]:
    """Run everything and return the figures."""
    stream = SyntheticStream(7)
    text = stream.lines(SERVED_ROWS, ROWS * BODIES).decode()
    lines = [line.partition("\t")[2] for line in text.splitlines()]
    rows = [lines[k * ROWS : (k + 1) * ROWS] for k in range(BODIES)]
    environ = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    port = free_port()
    with Programs(folder, grace=60.0) as programs, BROKERS["kafka"](folder / "broker", port=0) as broker:
        try:
            for name, command in commands(arguments, broker.bootstrap_servers, folder, port).items():
                programs.start(name, command, environ)
            until(programs, lambda: warm(port), "a version of new rows")
            before = status_of(port) or {}
            begin, trained = time.monotonic(), before["publications"][-1]["metrics"]["rows_trained"]
            load = OpenLoop(port, "/v1/models/criteo:predict", [body_of(part) for part in rows], REQUESTS_A_SECOND)
            load.run(arguments.seconds)
            after, seconds = status_of(port) or {}, time.monotonic() - begin
            newest = after["publications"][-1]["metrics"]["rows_trained"]
            programs.send_signal("producer", signal.SIGTERM)
        finally:
            programs.stop()
        published = PublicationFolder(folder / "published")
        manifests = [manifest for manifest in published.versions() if manifest.version >= min(load.answers.first_seen)]
        fresh = click_to_servable(manifests, load.answers.first_seen).quantiles()
        latencies = 1e3 * np.array(load.answers.latencies)
        p50, p99 = np.quantile(latencies, [0.5, 0.99])
        return {
            "click_to_servable_p50_s": round(fresh[0], 2),
            "click_to_servable_p99_s": round(fresh[1], 2),
            "request_p50_ms": round(float(p50), 1),
            "request_p99_ms": round(float(p99), 1),
            "request_max_ms": round(float(latencies.max()), 1),
            "requests_sent": load.sent,
            "requests_failed": load.answers.failed,
            **check(load.answers, folder / "published", rows),
            "publications": len(load.answers.first_seen),
            "rows_per_s_trained": round((newest - trained) / seconds),
            "server_click_to_servable_p50_s": after["click_to_servable_p50_s"],
            "server_click_to_servable_p99_s": after["click_to_servable_p99_s"],
            "batch": arguments.batch,
            "seconds": round(seconds),
            "machine": machine(),
        }


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=float, default=120.0, help="of requests")
    parser.add_argument("--rate", type=float, default=5000.0, help="rows a second of the stream")
    parser.add_argument("--batch", type=int, default=1024, help="rows in a training batch")
    parser.add_argument("--block_rows", type=int, default=250, help="rows in a message and in a window")
    parser.add_argument("--publish_seconds", type=float, default=2.0, help="between publications")
    parser.add_argument("--keep", metavar="DIR", help="keep logs and publications in a new folder")
    arguments = parser.parse_args()
    quiet_mindspore()
    folder = Path(arguments.keep or tempfile.mkdtemp(prefix="freshness-"))
    folder.mkdir(parents=True, exist_ok=True)
    try:
        print(json.dumps(measure(arguments, folder)))
    finally:
        if not arguments.keep:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
