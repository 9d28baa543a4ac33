"""The real pipeline over a topic that is full already: consumer and trainer as processes, timed by the trainer."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict, List

from mindspore_rec.stream.brokers import free_port

EXAMPLES = Path(__file__).resolve().parents[1] / "examples" / "online_learning"


def fill_topic(bootstrap_servers: str, topic: str, rows: int) -> None:
    """Produce `rows` rows of the synthetic stream."""
    _run("producer.py", ["--bootstrap_servers", bootstrap_servers, "--topic", topic, "--limit", str(rows)])


def run_pipeline(bootstrap_servers: str, topic: str, rows: int, folder: Path) -> Dict[str, Any]:
    """Train on `rows` rows of the topic and return the trainer's summary."""
    port = ["--port", str(free_port() % 19000 + 46000)]
    consumer = _start("consumer.py", [*port, "--bootstrap_servers", bootstrap_servers, "--topic", topic])
    try:
        ends = ["--max_rows", str(rows), "--max_wait", "0", "--checkpoint_path", str(folder / "checkpoints")]
        return _run("online_train.py", [*port, *ends, "--checkpoint_seconds", "0", "--delta_seconds", "0"])
    finally:
        consumer.terminate()
        consumer.wait(30)


def _start(program: str, arguments: List[str]) -> subprocess.Popen[str]:
    command = [sys.executable, str(EXAMPLES / program), *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


def _run(program: str, arguments: List[str]) -> Dict[str, Any]:
    process = _start(program, arguments)
    printed, _ = process.communicate()
    if process.returncode:
        raise SystemExit(f"{program} failed; run it by hand: {program} {' '.join(arguments)}")
    result: Dict[str, Any] = json.loads(printed.strip().splitlines()[-1])
    return result
