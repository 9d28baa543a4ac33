"""The process between a launcher and a rank's program: what it writes, reports and passes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Iterator, List

import psutil
import pytest

from mindspore_rec.distributed.launchers import find_mpirun
from mindspore_rec.launch.rank_log import NAMED_BY_ROLE
from mindspore_rec.launch.reports import Report, Reports, send
from tests.launch.launched import STAND_IN, launch, wait_until
from tests.source_tree import REPOSITORY


@pytest.fixture
def reports(tmp_path: Path) -> Iterator[Reports]:
    channel = Reports(tmp_path / "reports")
    yield channel
    channel.close()


def start(tmp_path: Path, *arguments: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "mindspore_rec.launch.rank_log", str(tmp_path / "reports"), str(tmp_path)]
    environ = {**os.environ, "PYTHONPATH": str(REPOSITORY), "MS_NODE_ID": "4", "MS_WORKER_NUM": "5"}
    return subprocess.Popen([*command, sys.executable, str(STAND_IN), str(tmp_path), *arguments], env=environ)


def test_start_and_end_are_reported(reports: Reports, tmp_path: Path) -> None:
    process = start(tmp_path, "end=3")
    assert process.wait(60) == 3
    first, last = reports.read()
    assert (first.rank, first.pid, first.status) == (4, process.pid, None)
    assert (last.rank, last.status, last.asked, last.failed) == (4, 3, False, True)
    assert 0 < first.at < last.at
    assert (tmp_path / "rank.4.log").read_text("utf-8") == "rank 4 got end=3\nrank 4 warns\n"


@pytest.mark.parametrize(("workers", "name"), [("5", "workerlog.4"), ("3", "serverlog.1"), ("0", "rank.4.log")])
def test_logs_are_named_by_role_where_that_is_said(
    workers: str, name: str, reports: Reports, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(NAMED_BY_ROLE, workers)
    assert start(tmp_path, "end=0").wait(60) == 0
    assert [path.name for path in tmp_path.glob("*log*")] == [name]


def test_of_many_signals_one_is_passed_on(reports: Reports, tmp_path: Path) -> None:
    process = start(tmp_path, "saving=1")
    wait_until((tmp_path / "life.4").exists)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        process.send_signal(number)
    assert process.wait(60) == 0
    assert len((tmp_path / "checkpoint.4").read_text("utf-8").split()) == 1
    last = reports.read()[-1]
    assert (last.status, last.asked, last.failed) == (0, True, False)


def test_a_program_that_ends_by_the_signal_that_asked_it_has_not_failed(reports: Reports, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mindspore_rec.launch.rank_log", str(tmp_path / "reports"), str(tmp_path)]
    environ = {**os.environ, "PYTHONPATH": str(REPOSITORY), "MS_NODE_ID": "0"}
    process = subprocess.Popen([*command, "sleep", "600"], env=environ)
    read: List[Report] = []
    wait_until(lambda: bool(read.extend(reports.read()) or read) and len(psutil.Process(process.pid).children()) == 1)
    process.terminate()
    assert process.wait(60) == 0
    (last,) = reports.read()
    assert (last.status, last.asked, last.failed) == (-signal.SIGTERM, True, False)


def test_a_program_dies_with_the_process_that_reports_for_it(reports: Reports, tmp_path: Path) -> None:
    process = start(tmp_path, "deaf=4")
    wait_until((tmp_path / "life.4").exists)
    program = psutil.Process(int((tmp_path / "life.4").read_text("utf-8")))
    process.kill()
    process.wait()
    wait_until(lambda: not program.is_running() or program.status() == psutil.STATUS_ZOMBIE)


@pytest.mark.skipif(find_mpirun() is None, reason="needs mpirun: the extra [mpi]")
def test_ranks_are_asked_to_end_where_launcher_and_mpirun_are_gone(tmp_path: Path) -> None:
    with launch(tmp_path, "mpirun") as launched:
        launched.wait_for_ranks()
        os.kill(launched.process.pid, signal.SIGSTOP)  # it would notice, and do so itself
        psutil.Process(launched.lives(1)[0]).parent().parent().kill()
        wait_until(lambda: None not in (launched.checkpoint(0), launched.checkpoint(1)))
        launched.process.kill()
        wait_until(lambda: not launched.left())


def test_a_report_to_nobody_is_none(tmp_path: Path) -> None:
    send(str(tmp_path / "reports"), 0)
    os.mkfifo(tmp_path / "reports")
    send(str(tmp_path / "reports"), 0)


@pytest.mark.parametrize(
    ("status", "asked", "failed"),
    [
        (None, False, False),
        (0, False, False),
        (1, True, True),
        (-15, False, True),
        (-15, True, False),
        (-9, True, True),
    ],
)
def test_what_a_failure_is(status: int, asked: bool, failed: bool) -> None:
    assert Report(0, 1, status, asked).failed is failed
