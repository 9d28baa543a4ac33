"""The quickstart: its command lines, its failures on small stand-in programs, and (slow) the real thing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import List

import psutil
import pytest

from mindspore_rec.cli import quickstart
from mindspore_rec.cli.arguments import parser
from mindspore_rec.cli.options import resolve
from mindspore_rec.cli.quickstart import QuickstartConfig, commands, oracle_auc
from mindspore_rec.config import ConsumerConfig, ProducerConfig, TrainConfig, UserError
from mindspore_rec.data.synthetic import SyntheticStream
from mindspore_rec.stream.brokers import TansuBroker

SUMMARY_KEYS = {
    *("rows_produced", "rows_trained", "rows_rejected", "auc_first_window", "auc_last_window", "auc_oracle"),
    *("logloss", "samples_per_s", "checkpoint", "seconds"),
}
PRODUCER = "print('{\"rows_produced\": 1000}')"
CONSUMER = "import time\nwhile True: time.sleep(60)"
TRAINER = """
print("rows 1000")
print('{"rows_trained": 1000, "rows_rejected": 0, "auc_first_window": 0.6, "auc_last_window": 0.7, "logloss": 0.5,'
      ' "samples_per_s": 1.0, "checkpoint": "here", "last_window_source_rows": [0, 999]}')
"""

needs_tansu = pytest.mark.skipif(TansuBroker.available() is not None, reason=str(TansuBroker.available()))


def left_behind(folder: Path) -> List[str]:
    """Command lines of running processes that name the folder."""
    found = []
    for process in psutil.process_iter(["cmdline", "cwd"]):
        words = [*(process.info["cmdline"] or []), process.info["cwd"] or ""]
        if process.pid != os.getpid() and any(str(folder) in word for word in words):
            found.append(" ".join(words))
    return found


@pytest.fixture
def examples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand-ins for the three programs that keep to the protocol; tests overwrite the one that is to fail."""
    folder = tmp_path / "examples"
    folder.mkdir()
    for name, code in (("producer", PRODUCER), ("consumer", CONSUMER), ("online_train", TRAINER)):
        (folder / f"{name}.py").write_text(code, "utf-8")
    monkeypatch.setattr(quickstart, "EXAMPLES", folder)
    return folder


def test_the_programs_accept_their_arguments(tmp_path: Path) -> None:
    lines = commands(QuickstartConfig(rows=5000, seed=3), "127.0.0.1:9", 45700, tmp_path)
    configs = {}
    for name, cls in (("producer", ProducerConfig), ("consumer", ConsumerConfig), ("online_train", TrainConfig)):
        assert lines[name][:2] == [sys.executable, str(quickstart.EXAMPLES / f"{name}.py")]
        configs[name] = resolve(cls, vars(parser(cls, "", None).parse_args(lines[name][2:])), {})
    producer, consumer, trainer = configs["producer"], configs["consumer"], configs["online_train"]
    assert (producer.limit, producer.seed, producer.topic) == (5000, 3, consumer.topic)
    assert producer.bootstrap_servers == consumer.bootstrap_servers == "127.0.0.1:9"
    assert consumer.port == trainer.port == 45700
    assert (trainer.max_rows, trainer.metrics_window) == (5000, 5000)
    assert Path(trainer.checkpoint_path).parent == tmp_path


def test_oracle_auc_is_over_the_rows_named() -> None:
    whole = oracle_auc(7, 0, 19_999)
    assert 0.80 < whole < 0.95
    assert oracle_auc(7, 5_000, 19_999) != whole
    stream = SyntheticStream(7)
    assert oracle_auc(7, 10, 19) == quickstart.auc(stream.labels(10, 10), stream.probabilities(10, 10))


@needs_tansu
def test_summary_is_the_last_line(examples: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "run"
    assert quickstart.main(["--rows", "1000", "--folder", str(folder)]) == 0
    lines = capsys.readouterr().out.splitlines()
    summary = json.loads(lines[-1])
    assert set(summary) == SUMMARY_KEYS
    assert summary["auc_oracle"] == pytest.approx(oracle_auc(7, 0, 999), abs=1e-6)
    assert "quickstart: rows 1000" in lines
    assert not any(line.startswith("quickstart: {") for line in lines)
    assert left_behind(folder) == []


@needs_tansu
@pytest.mark.parametrize(
    ("name", "code", "message"),
    [
        ("producer", "import sys\nprint('disk full')\nsys.exit(3)", "producer.py ended with status 3"),
        ("consumer", "print('no more')", "consumer.py ended with status 0"),
        ("online_train", "import os\nprint('oh')\nos.kill(os.getpid(), 9)", "online_train.py ended with status -9"),
        ("online_train", "print('done')", "online_train.py printed no summary"),
        ("online_train", "print('{\"rows_trained\": 1}')", "online_train.py printed no summary"),
        ("producer", "print('{')", "producer.py printed no summary"),
    ],
)
def test_a_failed_program_is_named_with_its_last_lines(
    name: str, code: str, message: str, examples: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if name != "online_train" and "summary" not in message:  # the others still run when it fails
        (examples / "online_train.py").write_text(CONSUMER, "utf-8")
    (examples / f"{name}.py").write_text(code, "utf-8")
    folder = tmp_path / "run"
    with pytest.raises(UserError, match=message) as error:
        quickstart.main(["--rows", "1000", "--folder", str(folder)])
    log = folder / f"{name}.log"
    assert str(log) in str(error.value)
    for line in log.read_text("utf-8").splitlines():
        assert f"  {line}\n" in capsys.readouterr().err
    assert left_behind(folder) == []


@needs_tansu
def test_a_silent_trainer_is_an_error(examples: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quickstart, "SILENCE_SECONDS", 0.0)
    monkeypatch.setattr(quickstart, "POLL_SECONDS", 0.1)
    (examples / "online_train.py").write_text(CONSUMER, "utf-8")
    with pytest.raises(UserError, match=r"online_train\.py wrote nothing"):
        quickstart.main(["--rows", "1000", "--folder", str(tmp_path / "run")])
    assert left_behind(tmp_path / "run") == []


def test_a_folder_in_use_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="is not empty"):
        quickstart.main(["--folder", str(tmp_path)])
    with pytest.raises(UserError, match="cannot make the folder"):
        quickstart.main(["--folder", str(tmp_path / "file" / "inner")])


def test_without_the_repository(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(quickstart, "EXAMPLES", tmp_path / "absent")
    with pytest.raises(UserError, match="use a clone"):
        quickstart.main([])


def command(folder: Path, rows: int) -> List[str]:
    return [sys.executable, "-m", "mindspore_rec", "quickstart", "--rows", str(rows), "--folder", str(folder)]


@needs_tansu
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_real_programs(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    done = subprocess.run(
        command(folder, 60_000), cwd=quickstart.REPOSITORY, capture_output=True, text=True, check=False, timeout=280
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    summary = json.loads(done.stdout.splitlines()[-1])
    assert set(summary) == SUMMARY_KEYS
    assert summary["rows_produced"] == summary["rows_trained"] == 60_000
    assert summary["rows_rejected"] == 0
    assert 0.55 < summary["auc_last_window"] < summary["auc_oracle"] < 0.95
    assert Path(summary["checkpoint"]).exists()
    assert folder in Path(summary["checkpoint"]).parents
    assert left_behind(folder) == []


@needs_tansu
@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_the_real_programs(number: signal.Signals, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    running = subprocess.Popen(
        command(folder, 1_000_000), cwd=quickstart.REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert running.stdout is not None
    seen = [running.stdout.readline() for _ in range(4)]  # the broker, the start, and two lines of the trainer
    running.send_signal(number)
    rest, errors = running.communicate(timeout=120)
    assert running.returncode == 130, "".join(seen) + rest + errors
    assert "Traceback" not in rest + errors
    assert left_behind(folder) == []
