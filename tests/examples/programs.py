"""The three programs as processes, as a user starts them."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional

import pytest

from mindspore_rec.cli.run_folder import channel_port

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "online_learning"
SMALL_MODEL = ["--emb_dim", "4", "--layers", "16", "--batch_size", "256", "--report_seconds", "0.2"]
DEADLINE = 120.0


class Program:
    """A running example; its output goes to files, which are shown where a test fails."""

    def __init__(self, name: str, arguments: List[str], folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.name = name
        self._out, self._err = folder / f"{name}.out", folder / f"{name}.err"
        with self._out.open("ab") as out, self._err.open("ab") as err:
            command = [sys.executable, str(EXAMPLES / f"{name}.py"), *arguments]
            self.process = subprocess.Popen(command, stdout=out, stderr=err, stdin=subprocess.DEVNULL)

    @property
    def log(self) -> str:
        """What it wrote to stderr."""
        return self._err.read_text()

    def wait_for(self, pattern: str, deadline: float = DEADLINE) -> re.Match[str]:
        """Wait until the log has a line that matches."""
        end = time.monotonic() + deadline
        while time.monotonic() < end:
            found = re.search(pattern, self.log)
            if found:
                return found
            if self.process.poll() is not None:
                break
            time.sleep(0.02)  # a poll with a deadline
        pytest.fail(f"{self.name}: no {pattern!r} in:\n{self.log[-4000:]}")

    def end(self, number: Optional[int] = None, deadline: float = DEADLINE) -> int:
        """Send a signal, if one is given, and wait for the exit status."""
        if number is not None:
            self.process.send_signal(number)
        try:
            return self.process.wait(deadline)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGKILL)
            pytest.fail(f"{self.name} did not end:\n{self.log[-4000:]}")

    def summary(self) -> Dict[str, Any]:
        """The JSON object on the last line of stdout."""
        result: Dict[str, Any] = json.loads(self._out.read_text().splitlines()[-1])
        return result


class Programs:
    """Starts programs that share a broker, a topic and a channel; whatever still runs is killed at the end."""

    def __init__(self, bootstrap_servers: str, topic: str, port: int, folder: Path) -> None:
        self.broker = ["--bootstrap_servers", bootstrap_servers, "--topic", topic]
        self.channel = ["--port", str(port)]
        self.folder = folder
        self.checkpoints = folder / "checkpoints"
        self._started: List[Program] = []

    def producer(self, *arguments: str) -> Program:
        return self._start("producer", [*self.broker, *arguments])

    def consumer(self, *arguments: str) -> Program:
        return self._start("consumer", [*self.broker, *self.channel, *arguments])

    def trainer(self, *arguments: str) -> Program:
        ends = ["--checkpoint_path", str(self.checkpoints), "--max_wait", "0"]
        return self._start("online_train", [*self.channel, *SMALL_MODEL, *ends, *arguments])

    def _start(self, name: str, arguments: List[str]) -> Program:
        program = Program(name, arguments, self.folder / str(len(self._started)))
        self._started.append(program)
        return program

    def kill_all(self) -> None:
        for program in self._started:
            if program.process.poll() is None:
                os.kill(program.process.pid, signal.SIGKILL)
                program.process.wait()


@contextmanager
def running_programs(bootstrap_servers: str, topic: str, folder: Path) -> Iterator[Programs]:
    """Programs with a channel of their own; none is left running."""
    running = Programs(bootstrap_servers, topic, channel_port(), folder)
    try:
        yield running
    finally:
        running.kill_all()
