"""The command lines of the chaos run: those of examples/online_learning, small, and equal to the bit when repeated."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Dict, List, Optional

from pydantic import Field

from mindspore_rec.config import Section
from mindspore_rec.kill_points import FILE_VARIABLE

REPOSITORY = Path(__file__).resolve().parents[2]
EXAMPLES = REPOSITORY / "examples" / "online_learning"
SCRIPTS = {"producer": "producer.py", "consumer": "consumer.py", "trainer": "online_train.py"}
AUDIT_FILE = "audit"

LEAST_SEGMENTS = 20
"""The producer is started so many times, or as often as there are kills, each time with a higher limit: so it never is
far ahead, and there are not many rows to train while something is started again."""
MESSAGES = 25
"""In the smallest segment."""
LEAST_CHECKPOINTS, CHECKPOINTS_A_KILL, FULL = 60, 3, 6
"""About so many are written, each sixth a full one: so that named points in them are not waited for too long."""
MAX_RATE = 20_000.0
"""Rows a second."""


class ChaosConfig(Section):
    """The chaos run."""

    kills: int = Field(20, ge=4, le=10_000, description="how often a process is killed")
    rows: int = Field(400_000, ge=10_000, le=1_000_000_000, description="rows to produce and train on")
    seed: int = Field(7, ge=0, lt=2**64, description="seed of the synthetic stream, and of who is killed when")
    partitions: int = Field(2, ge=1, le=10000, description="partitions of the topic when it is created")
    batch_size: int = Field(512, ge=1, le=1000000, description="rows in a training batch")
    folder: Optional[str] = Field(None, description="new folder for logs and checkpoints; default: run/chaos-<time>")


class CommandLines:
    """How the programs of one run are started.

    Args:
        config: of the run.
        bootstrap_servers: where the broker is.
        folder: of the run: checkpoints go into folders below it.
    """

    def __init__(self, config: ChaosConfig, bootstrap_servers: str, folder: Path) -> None:
        self._config = config
        self._folder = folder
        self.segment = max(config.rows // max(LEAST_SEGMENTS, config.kills), 1)
        self.short_segment = max(config.rows // (3 * config.kills), 1)
        self.block_rows = min(max(self.short_segment // MESSAGES, 1), 1000)
        self._topic = ["--bootstrap_servers", bootstrap_servers, "--topic", "chaos"]

    def producer(self, limit: int, seconds: float) -> List[str]:
        """The producer, up to a source row, so slow that a short segment takes so many seconds."""
        rate = min(MAX_RATE, self.short_segment / seconds)
        return self._command(
            "producer",
            *self._topic,
            *("--seed", str(self._config.seed), "--partitions", str(self._config.partitions)),
            *("--block_rows", str(self.block_rows), "--rate", str(rate), "--limit", str(limit)),
        )

    def consumer(self, port: int) -> List[str]:
        """The consumer."""
        return self._command("consumer", *self._topic, "--port", str(port), "--window_size", str(self.block_rows))

    def trainer(self, port: int, folder: Path) -> List[str]:
        """The trainer of a small model, with checkpoints by steps."""
        rows, batch_size = self._config.rows, self._config.batch_size
        checkpoints = max(LEAST_CHECKPOINTS, CHECKPOINTS_A_KILL * self._config.kills)
        every = max(rows // batch_size // checkpoints, 2)
        return self._command(
            "trainer",
            *("--port", str(port), "--max_wait", "0", "--max_rows", str(rows), "--batch_size", str(batch_size)),
            *("--emb_dim", "4", "--layers", "16", "--metrics_window", str(min(20_000, rows // 4))),
            *("--checkpoint_path", str(folder), "--keep_checkpoints", "2", "--report_seconds", "5"),
            *("--checkpoint_steps", str(FULL * every), "--delta_steps", str(every)),
            *("--checkpoint_seconds", "0", "--delta_seconds", "0", "--audit_rows", "true"),
        )

    def environ(self, name: str) -> Dict[str, str]:
        """The environment of a program."""
        environ = dict(os.environ)
        environ["PYTHONUNBUFFERED"] = "1"
        environ["PYTHONPATH"] = os.pathsep.join([str(REPOSITORY), *filter(None, [environ.get("PYTHONPATH")])])
        environ[FILE_VARIABLE] = str(self.order_file(name))
        return environ

    def order_file(self, name: str) -> Path:
        """The file that tells a program at which named point to be killed."""
        return self._folder / f"{name}.kill"

    @staticmethod
    def _command(name: str, *arguments: str) -> List[str]:
        return [sys.executable, str(EXAMPLES / SCRIPTS[name]), *arguments]
