"""Ranks that are in a collective when they are asked to end, and when one dies: with mpi4py, and with MindSpore."""

from __future__ import annotations

import importlib.util
import os
import signal
from pathlib import Path

import psutil
import pytest

from mindspore_rec.distributed.launchers import find_mpirun
from tests.launch.launched import launch

PROGRAM = Path(__file__).with_name("summing_ranks.py")

needs_mpi = pytest.mark.skipif(
    importlib.util.find_spec("mpi4py") is None or find_mpirun() is None,
    reason="needs mpirun and mpi4py: the extra [mpi]",
)
both = pytest.mark.parametrize(
    "launcher", [pytest.param("mpirun", marks=needs_mpi), pytest.param("dynamic", marks=pytest.mark.slow)]
)


@both
def test_ranks_agree_on_their_end(launcher: str, tmp_path: Path) -> None:
    with launch(tmp_path, launcher, program=PROGRAM) as launched:
        launched.wait_for_ranks()
        launched.press_ctrl_c()
        assert launched.status() == 0, launched.errors()
        rounds, size = str(launched.checkpoint(0)).split()
        assert launched.checkpoint(1) == f"{rounds} {size}"
        assert (int(rounds) >= 20, size) == (True, "2")
        assert launched.left() == []


@both
def test_a_rank_that_waits_for_a_dead_one_is_ended(launcher: str, tmp_path: Path) -> None:
    with launch(tmp_path, launcher, program=PROGRAM) as launched:
        launched.wait_for_ranks()
        os.kill(launched.lives(1)[0], signal.SIGKILL)
        assert launched.status() == 1
        assert "error: rank 1 was killed by SIGKILL" in launched.errors()
        assert launched.checkpoint(0) is None
        assert launched.left() == []


@both
def test_the_ranks_meet_again_after_a_death(launcher: str, tmp_path: Path) -> None:
    with launch(tmp_path, launcher, "--restarts", "1", "--restart_seconds", "0", program=PROGRAM) as launched:
        launched.wait_for_ranks()
        os.kill(launched.lives(0)[0], signal.SIGKILL)
        launched.wait_for_ranks(starts=2)
        launched.press_ctrl_c()
        assert launched.status() == 0, launched.errors()
        assert launched.checkpoint(0) is not None
        assert launched.checkpoint(0) == launched.checkpoint(1)
        assert launched.left() == []


@needs_mpi
def test_ranks_of_one_machine_listen_to_nobody(tmp_path: Path) -> None:
    with launch(tmp_path, "mpirun", program=PROGRAM) as launched:
        launched.wait_for_ranks()
        ranks = [psutil.Process(launched.lives(rank)[0]) for rank in (0, 1)]
        assert [rank.net_connections() for rank in ranks if not _loopback_only(rank)] == []
        launched.press_ctrl_c()
        assert launched.status() == 0, launched.errors()


def _loopback_only(process: psutil.Process) -> bool:
    return all(connection.laddr.ip.startswith("127.") for connection in process.net_connections("inet"))
