"""The streaming demo: its command lines, its failures on small stand-in trainers, and (slow) the real thing."""

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

from mindspore_rec.cli import streaming_demo, streaming_run
from mindspore_rec.cli.arguments import parser
from mindspore_rec.cli.job import load_job, schedule_of
from mindspore_rec.cli.options import resolve
from mindspore_rec.cli.processes import Programs
from mindspore_rec.cli.streaming_kills import Kill
from mindspore_rec.cli.streaming_run import CONFIG, REPOSITORY, StreamingRun
from mindspore_rec.cli.synthetic_passes import SyntheticPassesConfig
from mindspore_rec.config import UserError
from mindspore_rec.data.synthetic_passes import SPARSE_SLOTS
from mindspore_rec.job_config import OnlineRunner

KEYS = ["kills", "passes", "predict_auc_last", "train_auc_last", "auc_oracle", "resumed_exactly", "seconds"]
WRITER = ["-c", "import pathlib, sys; print('written'); pathlib.Path('data/done').touch()"]
WAIT = "print('12:00:00 I wait for data ready: 1', flush=True)\n"
KILLED = """
import os, pathlib, time
from mindspore_rec.kill_points import reached
print("12:00:00 I wait for data ready: " + os.getcwd() + "/data/1/done")
print("12:00:00 I wait for data ready: " + os.getcwd() + "/data/1/done")
print("12:00:00 I Day:1, Pass: 1, Infer Global Metric: AUC=0.5 BUCKET_ERROR=0")
reached("pass-rows")
reached("pass-rows")
print("whole")
"""


class StandIn(StreamingRun):
    """With a trainer that is a few lines."""

    code = KILLED

    def trainer(self, model_save_path: Path) -> List[str]:
        return [sys.executable, "-c", self.code, str(model_save_path)]


def run(folder: Path, kills: List[Kill], code: str = KILLED, writer: List[str] = WRITER) -> List[str]:
    """What was said."""
    said: List[str] = []
    with Programs(folder) as programs:
        found = StandIn(folder, programs, said.append)
        found.code = code
        found.run([sys.executable, *writer], kills)
    return said


def test_the_configuration_is_that_of_the_writer_and_a_users_own(tmp_path: Path) -> None:
    with Programs(tmp_path) as programs:
        found = StreamingRun(tmp_path, programs, print)
    job = load_job(str(CONFIG), found.overrides(found.model)).runners[0]
    runner = job.config
    assert isinstance(runner, OnlineRunner)
    words = found.writer(runner, 200, 5)
    assert words[:4] == [sys.executable, "-m", "mindspore_rec", "synthetic-passes"]
    writer = resolve(SyntheticPassesConfig, vars(parser(SyntheticPassesConfig, "", None).parse_args(words[4:])), {})
    assert (writer.start_day, writer.end_day, writer.data_donefile) == ("20190720", "20190721", runner.data_donefile)
    assert (writer.rows_per_split, writer.seed, writer.train_data_dir) == (200, 5, str(tmp_path / "data"))
    assert job.phases[0].dataset.data_path == writer.train_data_dir
    assert job.phases[0].dataset.sparse_slots == SPARSE_SLOTS
    assert Path(runner.model_save_path) == tmp_path / "model"
    assert schedule_of(runner).passes_per_day == 6
    assert writer.interval and writer.donefile_seconds and writer.delay_split and writer.delay_seconds
    trainer = found.trainer(found.reference)
    assert trainer[:5] == [sys.executable, "-m", "mindspore_rec.run", "-m", str(CONFIG)]
    own = load_job(str(CONFIG)).runners[0]
    defaults = SyntheticPassesConfig()
    assert own.phases[0].dataset.data_path == defaults.train_data_dir
    for key in ("start_day", "end_day", "split_interval", "split_per_pass"):
        assert getattr(own.config, key) == getattr(defaults, key)


def test_the_trainer_is_killed_and_started_again(tmp_path: Path) -> None:
    said = run(tmp_path, [Kill("pass-rows", 2, "in a pass"), Kill("pass-rows", 1, "again")])
    metric = "Day:1, Pass: 1, Infer Global Metric: AUC=0.5"
    wait = "wait for data ready: 1/done"
    undisturbed = "the same data once more, without a break"
    assert said == [wait, metric, "kill 1: in a pass", metric, "kill 2: again", metric, undisturbed, metric]
    ends = [
        (tmp_path / f"{name}.log").read_text().endswith("whole\n") for name in ("trainer-2", "trainer-3", "reference")
    ]
    assert ends == [False, True, True]


@pytest.mark.parametrize(
    ("kills", "code", "message"),
    [
        ([Kill("pass-rows", 3, "")], KILLED, r"trainer-1 ended with status 0 and was to be killed at pass-rows:3"),
        (
            [Kill("pass-rows", 3, "")],
            f"{WAIT}import sys; sys.exit(1)",
            "trainer-1 ended with status 1 and was to be killed",
        ),
        ([], f"{WAIT}print('oh'); import sys; sys.exit(3)", "trainer-1 ended with status 3; all it wrote is in"),
        ([], f"{WAIT}import sys; sys.exit(sys.argv[1].endswith('reference'))", "reference ended with status 1"),
        ([], "print('whole')", "trainer-1 ended and did not wait for data"),
    ],
)
def test_a_trainer_that_ends_otherwise_is_named(
    kills: List[Kill], code: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UserError, match=message):
        run(tmp_path, kills, code)
    if "oh" in code:
        assert "  oh\n" in capsys.readouterr().err


def test_a_writer_that_fails_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="writer ended with status 2"):
        run(tmp_path, [], f"{WAIT}import time\nwhile True: time.sleep(60)", ["-c", "import sys; sys.exit(2)"])


def test_a_silent_trainer_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming_run, "SILENCE_SECONDS", 0.0)
    monkeypatch.setattr(streaming_run, "POLL_SECONDS", 0.1)
    with pytest.raises(UserError, match="trainer-1 wrote nothing"):
        run(tmp_path, [], "import time\nwhile True: time.sleep(60)")


def test_a_folder_in_use_and_no_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="is not empty"):
        streaming_demo.main(["--folder", str(tmp_path)])
    monkeypatch.setattr(streaming_demo, "CONFIG", tmp_path / "absent")
    with pytest.raises(UserError, match="use a clone"):
        streaming_demo.main([])


def left_behind(folder: Path) -> List[str]:
    """Command lines of running processes that name the folder."""
    found = []
    for process in psutil.process_iter(["cmdline", "cwd"]):
        words = [*(process.info["cmdline"] or []), process.info["cwd"] or ""]
        if process.pid != os.getpid() and any(str(folder) in word for word in words):
            found.append(" ".join(words))
    return found


def command(folder: Path, *options: str) -> List[str]:
    return [sys.executable, "-m", "mindspore_rec", "streaming-demo", "--folder", str(folder), *options]


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", [7, 1, 2])
def test_the_real_programs(seed: int, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    done = subprocess.run(
        command(folder, "--seed", str(seed)), cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=800
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    summary = json.loads(done.stdout.splitlines()[-1])
    assert list(summary) == KEYS
    assert (summary["kills"], summary["passes"], summary["resumed_exactly"]) == (2, 12, True)
    lift = summary["auc_oracle"] - 0.5
    assert 0.78 < summary["auc_oracle"] < 0.85
    for key in ("predict_auc_last", "train_auc_last"):
        assert 0.75 * lift < summary[key] - 0.5 < lift
    assert summary["seconds"] < 240
    assert "streaming: wait for data ready: 20190720/0200/data.done\n" in done.stdout  # the split that comes late
    assert left_behind(folder) == []


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_signal_stops_the_real_programs(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    running = subprocess.Popen(
        command(folder), cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert running.stdout is not None
    seen = [running.stdout.readline() for _ in range(3)]
    running.send_signal(signal.SIGTERM)
    rest, errors = running.communicate(timeout=120)
    assert running.returncode == 130, "".join(seen) + rest + errors
    assert "Traceback" not in rest + errors
    assert left_behind(folder) == []
