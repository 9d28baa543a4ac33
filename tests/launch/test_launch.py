"""A job of several ranks, from its start to its end, under both launchers: real processes, a stand-in as program."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import psutil
import pytest

from mindspore_rec.distributed.launchers import find_mpirun
from tests.launch.launched import Launched, launch, wait_until
from tests.stream.free_ports import free_ports

needs_mpi = pytest.mark.skipif(find_mpirun() is None, reason="needs mpirun: the extra [mpi]")
both = pytest.mark.parametrize("launcher", [pytest.param("mpirun", marks=needs_mpi), "dynamic"])


def assert_gone(launched: Launched) -> None:
    assert [process.cmdline() for process in launched.left()] == []


@both
def test_each_rank_has_a_log_and_the_first_is_shown(launcher: str, tmp_path: Path) -> None:
    with launch(tmp_path, launcher, arguments=["end=0", "--device_target", "CPU", "a b", "-d"]) as launched:
        assert launched.status() == 0, launched.errors()
        said = "rank {0} got end=0 --device_target CPU a b -d\nrank {0} warns\n"
        assert launched.output() == said.format(0) == launched.log("rank.0.log")
        assert launched.log("rank.1.log") == said.format(1)
        assert "2 ranks under" in launched.errors()
        assert_gone(launched)


@pytest.mark.parametrize(
    ("launcher", "number"),
    [
        pytest.param("mpirun", signal.SIGINT, marks=needs_mpi),
        pytest.param("mpirun", signal.SIGTERM, marks=needs_mpi),
        ("dynamic", signal.SIGINT),
        ("dynamic", signal.SIGHUP),
    ],
)
def test_a_stop_reaches_each_rank_once(number: signal.Signals, launcher: str, tmp_path: Path) -> None:
    with launch(tmp_path, launcher, arguments=["saving=1.0"]) as launched:
        launched.wait_for_ranks()
        if number == signal.SIGINT:
            launched.press_ctrl_c()
        else:
            launched.process.send_signal(number)
        assert launched.status() == 0, launched.errors()
        assert [launched.checkpoint(rank) for rank in (0, 1)] == [str(int(signal.SIGTERM))] * 2
        assert launched.output().endswith("rank 0 saved\n")
        assert launched.errors().endswith("all ranks ended as asked\n")
        assert_gone(launched)


@both
def test_a_stop_before_the_ranks_work_ends_them(launcher: str, tmp_path: Path) -> None:
    with launch(tmp_path, launcher) as launched:
        wait_until(lambda: "ranks under" in launched.errors() or launched.ended())
        launched.press_ctrl_c()
        assert launched.status() == 0, launched.errors()
        assert_gone(launched)


@both
def test_a_killed_rank_ends_the_job_and_is_named(launcher: str, tmp_path: Path) -> None:
    with launch(tmp_path, launcher, "--restarts", "0", arguments=["lines=40", "deaf=0"]) as launched:
        launched.wait_for_ranks()
        os.kill(launched.lives(1)[0], signal.SIGKILL)
        assert launched.status() == 1
        *_, line = launched.errors().splitlines()
        assert line == f"error: rank 1 was killed by SIGKILL; all it wrote is in {Path('log', 'rank.1.log')}"
        tail = [text.strip() for text in launched.errors().splitlines() if text.startswith("  ")]
        assert tail == [*(f"line {index}" for index in range(27, 40)), "rank 1 got lines=40 deaf=0", "rank 1 warns"]
        assert launched.checkpoint(0) is None
        assert_gone(launched)


@both
def test_a_rank_killed_with_the_process_that_reports_for_it(launcher: str, tmp_path: Path) -> None:
    """As the kernel does when memory runs out. mpirun's log says which rank it was."""
    with launch(tmp_path, launcher, arguments=["deaf=0"]) as launched:
        launched.wait_for_ranks()
        psutil.Process(launched.lives(1)[0]).parent().kill()
        assert launched.status() == 1
        named = "rank 1 was killed by SIGKILL" if launcher == "dynamic" else "process rank 1 with PID"
        assert named in launched.errors()
        assert_gone(launched)


@needs_mpi
def test_a_killed_mpirun_leaves_no_rank(tmp_path: Path) -> None:
    with launch(tmp_path, "mpirun", arguments=["deaf=0"]) as launched:
        launched.wait_for_ranks()
        psutil.Process(launched.lives(1)[0]).parent().parent().kill()
        assert launched.status() == 1
        assert "error: mpirun was killed by SIGKILL" in launched.errors()
        assert_gone(launched)


@both
def test_a_killed_launcher_leaves_nothing(launcher: str, tmp_path: Path) -> None:
    with launch(tmp_path, launcher) as launched:
        launched.wait_for_ranks()
        launched.process.kill()
        launched.process.wait()
        wait_until(lambda: not launched.left())
        if launcher == "dynamic":  # mpirun gives its ranks half a second
            assert launched.checkpoint(1) == str(int(signal.SIGTERM))


@both
def test_what_a_rank_started_ends_with_the_job(launcher: str, tmp_path: Path) -> None:
    with launch(tmp_path, launcher, arguments=["child=1"]) as launched:
        launched.wait_for_ranks()
        before = len(launched.left())
        launched.press_ctrl_c()
        assert launched.status() == 0, launched.errors()
        assert before > 0
        assert_gone(launched)


@both
def test_a_second_stop_ends_the_job_at_once(launcher: str, tmp_path: Path) -> None:
    with launch(tmp_path, launcher, "--restarts", "3", arguments=["deaf=1"]) as launched:
        launched.wait_for_ranks()
        launched.press_ctrl_c()
        wait_until(lambda: launched.checkpoint(0) is not None)
        launched.press_ctrl_c()
        assert launched.status() == 1
        assert "error: stopped at once; the newest checkpoint" in launched.errors()
        assert_gone(launched)


@both
def test_a_rank_that_does_not_end_is_named(launcher: str, tmp_path: Path) -> None:
    with launch(tmp_path, launcher, "--restarts", "3", "--stop_seconds", "1.5", arguments=["deaf=1"]) as launched:
        launched.wait_for_ranks()
        launched.press_ctrl_c()
        assert launched.status() == 1
        assert "error: rank 1 had not ended 1.5 s after the stop" in launched.errors()
        assert launched.checkpoint(0) is not None
        assert_gone(launched)


@both
def test_the_job_is_started_again_when_a_rank_dies(launcher: str, tmp_path: Path) -> None:
    with launch(tmp_path, launcher, "--restarts", "2", "--restart_seconds", "0", arguments=["loses=1"]) as launched:
        launched.wait_for_ranks(starts=2)
        launched.press_ctrl_c()
        assert launched.status() == 0, launched.errors()
        assert "rank 1 was killed by SIGKILL; starting all ranks again, restart 1 of 2\n" in launched.errors()
        assert launched.log("rank.1.log").count("rank 1 got") == 2
        assert_gone(launched)


@both
def test_the_last_failure_is_one(launcher: str, tmp_path: Path) -> None:
    options = ["--restarts", "2", "--restart_seconds", "0"]
    with launch(tmp_path, launcher, *options, ranks=1, arguments=["end=3"]) as launched:
        assert launched.status() == 1
        assert len(launched.lives(0)) == 3
        assert launched.errors().count("starting all ranks again") == 2
        assert "error: rank 0 ended with status 3" in launched.errors()
        assert launched.errors().count("rank 0 got") == 1  # the lines of the last life only
        assert_gone(launched)


@both
@pytest.mark.parametrize("status", [1, 2])
def test_a_mistake_that_ranks_tell_is_one_line(status: int, launcher: str, tmp_path: Path) -> None:
    """With its exit status, and without the lines before it."""
    arguments = ["lines=3", "mistake=rows: expected one", f"end={status}"]
    with launch(tmp_path, launcher, ranks=1, arguments=arguments) as launched:
        assert launched.status() == status
        first, last = launched.errors().splitlines()
        assert first.startswith("launch: 1 ranks under ")
        log = Path("log", "rank.0.log")
        assert last == f"error: rank 0 ended with status {status}: rows: expected one; all it wrote is in {log}"
        assert_gone(launched)


def test_it_waits_longer_before_each_start_and_a_stop_ends_the_waiting(tmp_path: Path) -> None:
    options = ["--restarts", "5", "--restart_seconds", "0.3"]
    with launch(tmp_path, "dynamic", *options, ranks=1, arguments=["end=3"]) as launched:
        wait_until(lambda: "starting all ranks again in 19.2 s, restart 4 of 5" in launched.errors())
        for pause in ("0.3", "1.2", "4.8"):
            assert f"starting all ranks again in {pause} s, restart" in launched.errors()
        launched.press_ctrl_c()
        assert launched.status() == 1
        assert "error: rank 0 ended with status 3" in launched.errors()
        assert len(launched.lives(0)) == 4
        assert_gone(launched)


def test_servers_are_ranks_after_the_workers(tmp_path: Path) -> None:
    with launch(tmp_path, "dynamic", "--server_num", "1", arguments=["loses=2", "deaf=0"]) as launched:
        assert launched.status() == 1
        assert "error: rank 2 (server) was killed by SIGKILL" in launched.errors()
        assert len(launched.lives(1)) == 1
        assert_gone(launched)


def test_part_of_the_ranks_on_this_machine(tmp_path: Path) -> None:
    """The scheduler is where its address is; another machine is played by a launcher of its own."""
    options = ["--first_rank", "1", "--local_ranks", "2", "--sched_host", "192.0.2.200"]
    with launch(tmp_path, "dynamic", *options, ranks=4, arguments=["end=0"]) as launched:
        assert launched.status() == 0, launched.errors()
        assert launched.output().startswith("rank 1 got")
        assert sorted(path.name for path in (tmp_path / "log").glob("*.log")) == ["rank.1.log", "rank.2.log"]
        assert_gone(launched)


@both
def test_a_program_that_cannot_start_says_so(launcher: str, tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text("#!/nowhere/python\n", "utf-8")
    program.chmod(0o755)
    command = [sys.executable, "-m", "mindspore_rec", "launch", "--launcher", launcher, "--log_dir", "log"]
    with Launched([*command, "--sched_port", str(free_ports(1)), str(program)], tmp_path) as launched:
        assert launched.status() == 1
        assert f"cannot start {program}: No such file or directory" in launched.errors()
        assert "error: rank 0 ended with status 127" in launched.errors()
        assert_gone(launched)


def test_a_reader_that_stopped_does_not_keep_the_job_from_ending(tmp_path: Path) -> None:
    """As ``| less`` does: the launcher still notices that a rank died."""
    reading, writing = os.pipe()
    with launch(tmp_path, "dynamic", arguments=["lines=20000"], stdout=writing) as launched:
        os.close(writing)
        launched.wait_for_ranks()
        os.kill(launched.lives(1)[0], signal.SIGKILL)
        assert launched.status() == 1
        assert "error: rank 1 was killed by SIGKILL" in launched.errors()
        assert os.read(reading, 14) == b"line 0\nline 1\n"
    os.close(reading)
