"""The chaos run: its command lines, and (slow) the real thing, which must also see when something is wrong."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict, List

import psutil
import pytest

from mindspore_rec.cli import chaos, chaos_programs
from mindspore_rec.cli.arguments import parser
from mindspore_rec.cli.chaos_plan import POINTS
from mindspore_rec.cli.chaos_programs import ChaosConfig, CommandLines
from mindspore_rec.cli.options import resolve
from mindspore_rec.config import ConsumerConfig, ProducerConfig, TrainConfig, UserError
from mindspore_rec.stream.brokers import KafkaBroker

KEYS = [
    *("kills", "kills_producer", "kills_consumer", "kills_trainer", "kills_broker", "kills_at_named_points"),
    *("rows_trained", "rows_replayed", "rows_lost", "rows_doubled", "digest_equal", "seconds"),
]
BROKEN = """
import runpy
from mindspore_rec.embedding.table import HashTable
from mindspore_rec.train.progress import TrainingProgress

whole = TrainingProgress.load_json

def forget_position(self, fields):
    whole(self, fields)
    self.position = None

def forget_rows(self, state):
    pass

{mutation}
runpy.run_path({program!r}, run_name="__main__")
"""

needs_kafka = pytest.mark.skipif(KafkaBroker.available() is not None, reason=str(KafkaBroker.available()))


def test_the_programs_accept_their_arguments(tmp_path: Path) -> None:
    config = ChaosConfig(kills=10, rows=60_000, seed=3)
    lines = CommandLines(config, "127.0.0.1:9", tmp_path)
    commands = {
        "producer": (ProducerConfig, lines.producer(40_000, 2.0)),
        "consumer": (ConsumerConfig, lines.consumer(45700)),
        "online_train": (TrainConfig, lines.trainer(45700, tmp_path / "checkpoints")),
    }
    found: Dict[str, Any] = {}
    for name, (cls, command) in commands.items():
        assert command[:2] == [sys.executable, str(chaos_programs.EXAMPLES / f"{name}.py")]
        found[name] = resolve(cls, vars(parser(cls, "", None).parse_args(command[2:])), {})
    producer, consumer, trainer = found["producer"], found["consumer"], found["online_train"]
    assert (producer.limit, producer.seed, producer.topic) == (40_000, 3, consumer.topic)
    assert producer.bootstrap_servers == consumer.bootstrap_servers == "127.0.0.1:9"
    assert consumer.port == trainer.port == 45700
    assert producer.block_rows == consumer.window_size
    assert (trainer.max_rows, trainer.max_wait, trainer.audit_rows) == (60_000, 0, True)
    assert (trainer.checkpoint_seconds, trainer.delta_seconds) == (0, 0)


def test_the_producer_can_be_killed_in_the_midst_of_a_segment(tmp_path: Path) -> None:
    for kills, rows in ((10, 60_000), (100, 2_000_000), (20, 400_000)):
        lines = CommandLines(ChaosConfig(kills=kills, rows=rows), "127.0.0.1:9", tmp_path)
        assert lines.short_segment / lines.block_rows >= max(point.most for point in POINTS.values())
        assert lines.short_segment * kills < rows / 2


def test_a_folder_in_use_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="is not empty"):
        chaos.main(["--folder", str(tmp_path)])
    with pytest.raises(UserError, match="cannot make the folder"):
        chaos.main(["--folder", str(tmp_path / "file" / "inner")])


@needs_kafka
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_ten_kills(tmp_path: Path) -> None:
    command = ["bash", "scripts/chaos.sh", "--kills", "10", "--rows", "60000", "--seed", "1", "--batch_size", "256"]
    done = subprocess.run(
        [*command, "--folder", str(tmp_path / "run")],
        cwd=chaos_programs.REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
        timeout=800,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    summary = json.loads(done.stdout.splitlines()[-1])
    assert list(summary) == KEYS
    by_process = [summary[f"kills_{name}"] for name in ("producer", "consumer", "trainer", "broker")]
    assert sum(by_process) == summary["kills"] == 10
    assert min(by_process) >= 2
    assert summary["kills_at_named_points"] == 3
    assert summary["rows_trained"] == 60_000
    assert summary["rows_replayed"] > 0
    assert (summary["rows_lost"], summary["rows_doubled"], summary["digest_equal"]) == (0, 0, True)


@needs_kafka
@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("mutation", "doubled"),
    [("TrainingProgress.load_json = forget_position", True), ("HashTable.load_state = forget_rows", False)],
)
def test_a_trainer_that_forgets_is_noticed(
    mutation: str, doubled: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where it stood in the stream, or what was in its tables."""
    examples = tmp_path / "examples"
    examples.mkdir()
    for file in chaos_programs.EXAMPLES.glob("*.py"):
        program = BROKEN.format(mutation=mutation if file.name == "online_train.py" else "", program=str(file))
        (examples / file.name).write_text(program, "utf-8")
    monkeypatch.setattr(chaos_programs, "EXAMPLES", examples)
    arguments = ["--kills", "4", "--rows", "20000", "--seed", "2", "--batch_size", "256"]
    assert chaos.main([*arguments, "--folder", str(tmp_path / "run")]) == 1
    printed = capsys.readouterr()
    summary = json.loads(printed.out.splitlines()[-1])
    assert not summary["digest_equal"]
    assert (summary["rows_doubled"] > 0) == doubled
    assert "the states differ: digests" in printed.err


def left_behind(folder: Path) -> List[str]:
    """Command lines of running processes that name the folder."""
    lines = [" ".join(process.info["cmdline"] or []) for process in psutil.process_iter(["cmdline"])]
    return [line for line in lines if str(folder) in line]


@needs_kafka
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_signal_ends_everything(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mindspore_rec", "chaos", "--rows", "100000", "--folder", str(tmp_path / "run")]
    running = subprocess.Popen(
        command, cwd=chaos_programs.REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert running.stdout is not None
    seen = [running.stdout.readline() for _ in range(2)]  # the broker, and a kill
    assert left_behind(tmp_path)
    os.kill(running.pid, signal.SIGINT)
    rest, errors = running.communicate(timeout=120)
    assert running.returncode == 130, "".join(seen) + rest + errors
    assert "Traceback" not in rest + errors
    assert left_behind(tmp_path) == []
