"""A launch without a terminal: started, found, stopped."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from mindspore_rec.config import UserError
from mindspore_rec.launch import background
from tests.launch.launched import Launched, launch, wait_until

LAUNCH = [sys.executable, "-m", "mindspore_rec", "launch"]


def test_a_job_in_the_background_is_stopped_by_its_folder(tmp_path: Path) -> None:
    with launch(tmp_path, "dynamic", "-d") as launched:
        assert launched.status() == 0, launched.errors()
        pid = int((tmp_path / "log" / background.PID_FILE).read_text("ascii"))
        assert background.running(tmp_path / "log") == pid
        assert f"process {pid} runs in the background" in launched.errors()
        assert "launch --stop log ends it" in launched.errors()
        wait_until(lambda: bool(launched.lives(0) and launched.lives(1)))
        with Launched([*LAUNCH, "--stop", "log"], tmp_path) as stopping:
            assert stopping.status() == 0, stopping.errors()
            assert stopping.errors() == f"launch: process {pid} ended\n"
        assert [launched.checkpoint(rank) for rank in (0, 1)] == [str(int(signal.SIGTERM))] * 2
        assert launched.log(background.OUTPUT).endswith("all ranks ended as asked\n")
        assert launched.left() == []
        assert background.running(tmp_path / "log") is None


def test_a_job_in_the_background_ends_at_a_signal_to_its_process(tmp_path: Path) -> None:
    with launch(tmp_path, "dynamic", "-d") as launched:
        assert launched.status() == 0, launched.errors()
        wait_until(lambda: bool(launched.lives(0) and launched.lives(1)))
        os.kill(int((tmp_path / "log" / background.PID_FILE).read_text("ascii")), signal.SIGTERM)
        wait_until(lambda: not launched.left())
        assert launched.checkpoint(1) == str(int(signal.SIGTERM))


def test_a_folder_has_one_launch(tmp_path: Path) -> None:
    with launch(tmp_path, "dynamic") as first:
        first.wait_for_ranks()
        for more in ([], ["-d"]):
            with launch(tmp_path, "dynamic", *more) as second:
                assert second.status() == 1
                line = f"process {first.process.pid} runs a launch there; name another folder"
                assert second.errors().splitlines()[-1].endswith(line)
        assert not first.ended()


def test_a_job_that_cannot_start_in_the_background_says_why(tmp_path: Path) -> None:
    with launch(tmp_path, "dynamic", "-d", "--sched_host", "192.0.2.200") as launched:
        assert launched.status() == 2
        assert "error: sched_host = 192.0.2.200" in launched.errors()


def test_nothing_to_stop(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"no launch runs in {tmp_path}"):
        background.stop(tmp_path, 1.0)
    (tmp_path / background.PID_FILE).write_text(f"{os.getpid()}\n", "ascii")  # a number that is another's by now
    with pytest.raises(UserError, match="no launch runs"):
        background.stop(tmp_path, 1.0)
