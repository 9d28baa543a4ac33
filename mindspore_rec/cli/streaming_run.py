"""The programs of the streaming demo: a writer of data, a trainer that is killed, and one that nothing disturbs."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import Callable, Dict, List, Sequence, Set

from mindspore_rec.cli.processes import Programs
from mindspore_rec.cli.streaming_kills import Kill
from mindspore_rec.config import UserError
from mindspore_rec.job_config import OnlineRunner
from mindspore_rec.kill_points import FILE_VARIABLE, VARIABLE

REPOSITORY = Path(__file__).resolve().parents[2]
CONFIG = REPOSITORY / "examples" / "streaming" / "config_online.yaml"
POLL_SECONDS = 0.2
SILENCE_SECONDS = 120.0
"""The trainer logs every pass and every look for data; after so long without a line something hangs."""
PACE = {"interval": 0.4, "donefile_seconds": 0.3, "delay_split": 3, "delay_seconds": 3.0}
"""Of the writer, which begins when the trainer waits for data: a split of the first pass comes after later ones."""


class StreamingRun:
    """One run, in a folder of its own.

    Args:
        folder: new, for data, models and logs.
        programs: where writer and trainers run.
        say: shows a line to the user.

    Attributes:
        data: ``train_data_dir``.
        truth: what the hidden model gets.
        model: ``model_save_path`` of the trainer that is killed.
        reference: of the one that is not.
    """

    def __init__(self, folder: Path, programs: Programs, say: Callable[[str], None]) -> None:
        self.data, self.truth = folder / "data", folder / "truth.jsonl"
        self.model, self.reference = folder / "model", folder / "reference"
        self._folder, self._programs, self._say = folder, programs, say
        self._ended: List[str] = []
        self._waited_for: Set[str] = set()
        self._writer: List[str] = []

    def run(self, writer: Sequence[str], kills: Sequence[Kill]) -> None:
        """Write, train and kill until all passes are trained, then train them once more without a break.

        Args:
            writer: its command line.
            kills: of the trainer, in turn.

        Raises:
            UserError: a program ended as it should not have, or wrote nothing for long; its last lines are on stderr.
            KeyboardInterrupt: a signal came.
        """
        self.data.mkdir()
        self._writer = list(writer)
        for number, kill in enumerate(kills, 1):
            name, order = f"trainer-{number}", self._folder / f"kill-{number}"
            order.write_text(kill.order, "ascii")
            status = self._run_trainer(name, self.model, {FILE_VARIABLE: str(order)})
            if status != -signal.SIGKILL:
                raise self._failure(name, f"ended with status {status} and was to be killed at {kill.order}")
            self._say(f"kill {number}: {kill.what}")
        trainers = {f"trainer-{len(kills) + 1}": self.model, "reference": self.reference}
        for name, model_save_path in trainers.items():
            if model_save_path == self.reference:
                self._say("the same data once more, without a break")
            status = self._run_trainer(name, model_save_path, {})
            if status != 0:
                raise self._failure(name, f"ended with status {status}")
        self._await_writer()

    def trainer(self, model_save_path: Path) -> List[str]:
        """The command line of a trainer, as a user would type it."""
        words = [sys.executable, "-m", "mindspore_rec.run", "-m", str(CONFIG)]
        return [*words, "-o", *self.overrides(model_save_path)]

    def overrides(self, model_save_path: Path) -> List[str]:
        """The keys of the configuration file that are others here."""
        return [f"runner.train_data_dir={self.data}", f"runner.model_save_path={model_save_path}"]

    def writer(self, runner: OnlineRunner, rows_per_split: int, seed: int) -> List[str]:
        """The command line of the writer."""
        schedule = {key: getattr(runner, key) for key in ("start_day", "end_day", "split_interval", "split_per_pass")}
        given = {
            "train_data_dir": self.data,
            **schedule,
            "data_donefile": runner.data_donefile,
            "rows_per_split": rows_per_split,
            "seed": seed,
            "truth": self.truth,
            **PACE,
        }
        options = [word for key, value in given.items() for word in (f"--{key}", str(value))]
        return [sys.executable, "-m", "mindspore_rec", "synthetic-passes", *options]

    def _run_trainer(self, name: str, model_save_path: Path, extra: Dict[str, str]) -> int:
        """Run a trainer to its end, the writer may end meanwhile; the exit status, negative for a signal."""
        self._programs.start(name, self.trainer(model_save_path), {**environ(), **extra}, self._relay)
        while name not in self._ended:
            self._attend()
            if self._writer and self._waited_for:
                self._programs.start("writer", self._writer, environ())
                self._writer = []
            if self._programs.silence(name) > SILENCE_SECONDS:
                raise self._failure(name, f"wrote nothing for {SILENCE_SECONDS:g} s")
        if self._writer:
            raise self._failure(name, "ended and did not wait for data")
        return self._programs.status(name) or 0

    def _await_writer(self) -> None:
        deadline = time.monotonic() + SILENCE_SECONDS
        while "writer" not in self._ended:
            self._attend()
            if time.monotonic() > deadline:
                raise self._failure("writer", "did not end")

    def _attend(self) -> None:
        """Take note of a program that ended."""
        name = self._programs.wait(POLL_SECONDS)
        if name is None:
            return
        self._ended.append(name)
        if name == "writer" and self._programs.status(name) != 0:
            raise self._failure(name, f"ended with status {self._programs.status(name)}")

    def _failure(self, name: str, what: str) -> UserError:
        for line in self._programs.tail(name):
            sys.stderr.write(f"  {line}\n")
        return UserError(f"{name} {what}; all it wrote is in {self._programs.log(name)}")

    def _relay(self, line: str) -> None:
        """Show metrics, and once for each split that the trainer waits for it."""
        said = line.partition(" I ")[2]
        if " Global Metric: " in said:
            self._say(said.partition(" BUCKET_ERROR")[0])
        elif said.startswith("wait for data ready: ") and said not in self._waited_for:
            self._waited_for.add(said)
            self._say(said.replace(f"{self.data}/", ""))


def environ() -> Dict[str, str]:
    """The environment of a program that nobody kills."""
    found = {key: value for key, value in os.environ.items() if key not in (VARIABLE, FILE_VARIABLE)}
    found["PYTHONUNBUFFERED"] = "1"
    found["PYTHONPATH"] = os.pathsep.join([str(REPOSITORY), *filter(None, [found.get("PYTHONPATH")])])
    return found
