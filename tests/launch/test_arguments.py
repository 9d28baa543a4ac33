"""What a user gets wrong is one line: the argument, its value, what was expected."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from pathlib import Path
from typing import List

import pytest

from mindspore_rec.cli.launch import main
from mindspore_rec.config import ConfigError
from mindspore_rec.distributed import launchers
from mindspore_rec.distributed.ranks import Ranks
from mindspore_rec.launch.dynamic_networking import dynamic_plan
from mindspore_rec.launch.mpirun import mpirun_plan
from mindspore_rec.launch.plan import Job
from mindspore_rec.launch.rank_log import environment, rank_of
from tests.launch.launched import STAND_IN, Launched, wait_until
from tests.source_tree import REPOSITORY

SCRIPTS = REPOSITORY / "examples" / "online_learning"
PROGRAM = str(STAND_IN)


def job(tmp_path: Path, **changes: object) -> Job:
    values = {"program": ("train",), "workers": 4, "servers": 0, "host": "127.0.0.1", "log_dir": tmp_path}
    return Job(**{**values, "first_rank": 0, "local_ranks": 4, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "PROGRAM: expected a Python file or a command"),
        (["nothing.py"], "PROGRAM = nothing.py: expected a Python file, there is none"),
        (["no-such-command"], "PROGRAM = no-such-command: expected a Python file or a command"),
        (["--host", "localhost", PROGRAM], "host = localhost: expected an IPv4 address"),
        (["--host", "192.0.2.200", PROGRAM], "host = 192.0.2.200: expected an address of this machine"),
        (
            ["--launcher", "dynamic", "--sched_host", "192.0.2.200", PROGRAM],
            "sched_host = 192.0.2.200: expected an address of this machine, where rank 0 runs",
        ),
        (["--first_rank", "1", "--ranks", "2", PROGRAM], "mpirun starts all ranks on this machine"),
        (
            ["--launcher", "dynamic", "--first_rank", "1", "--local_ranks", "2", "--ranks", "2", PROGRAM],
            "first_rank = 1, local_ranks = 2: expected ranks below 2",
        ),
        (["--stop"], "--stop: expected one folder"),
    ],
)
def test_a_wrong_argument_is_named(given: List[str], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        main(given)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--ranks", "two", PROGRAM], "error: ranks = 'two' (argument --ranks): expected "),
        (["--ranks", "0", PROGRAM], "error: ranks = '0' (argument --ranks): expected a whole number >= 1"),
        (["--launcher", "ssh", PROGRAM], "error: launcher = 'ssh'"),
        (["--rank", "2", PROGRAM], "error: unknown argument '--rank'; did you mean '--ranks'?"),
    ],
)
def test_a_wrong_key_is_named(given: List[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(given)
    assert ended.value.code == 2
    printed = capsys.readouterr().err
    assert printed.startswith(message)
    assert printed.count("\n") == 1


@pytest.mark.parametrize(
    ("script", "given", "message"),
    [
        ("mpirun", "two 127.0.0.1", "RANK_SIZE = two: expected a whole number from 1 to 4096"),
        ("mpirun", "0 127.0.0.1", "RANK_SIZE = 0: expected"),
        ("mpirun", "2", "LOCAL_HOST_IP: missing; expected RANK_SIZE LOCAL_HOST_IP first"),
        ("mpirun", "", "RANK_SIZE: missing"),
        ("mpirun", "2 localhost", "LOCAL_HOST_IP = localhost: expected an IPv4 address"),
        ("mpirun", "2 127.0.0.1 --restarts", "--restarts: expected a value"),
        ("run", "2 127.0.0.1 port 127.0.0.1", "SCHED_PORT = port: expected a whole number from 1024 to 65535"),
        ("run", "2 host 8118 127.0.0.1", "SCHED_HOST = host: expected an IPv4 address"),
        ("run", "2 127.0.0.1 8118", "LOCAL_HOST_IP: missing"),
        ("run", "2 127.0.0.1 8118 127.0.0.1 --first_rank 2", "first_rank = 2, local_ranks = 0: expected ranks below 2"),
        ("run", "2 127.0.0.1 8118 127.0.0.1 --local_ranks=3", "first_rank = 0, local_ranks = 3: expected ranks"),
        ("mpirun", "2 127.0.0.1 --first_rank=1", "first_rank, local_ranks: mpirun starts all ranks on this machine"),
    ],
)
def test_a_wrong_argument_of_a_script_is_named(script: str, given: str, message: str) -> None:
    path = SCRIPTS / f"{script}_dist_online_train.sh"
    done = subprocess.run(["bash", str(path), *given.split()], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {message}")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("script", ["mpirun", "run"])
def test_a_script_starts_its_launcher_with_the_program_beside_it(script: str, tmp_path: Path) -> None:
    if script == "mpirun" and launchers.find_mpirun() is None:
        pytest.skip("needs mpirun: the extra [mpi]")
    for name in ("launch_arguments.sh", f"{script}_dist_online_train.sh"):
        shutil.copy(SCRIPTS / name, tmp_path)
    shutil.copy(STAND_IN, tmp_path / "dist_online_train.py")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    first = ["2", "127.0.0.1"] if script == "mpirun" else ["2", "127.0.0.1", port, "127.0.0.1"]
    # the stand-in takes its folder, the scripts put --address first: so the folder is made of that word
    (tmp_path / "--address").mkdir()
    given = [*first, "--device_target", "CPU", "--log_dir", "log", "--restarts=1", "saving=0.1"]
    with Launched(["bash", str(tmp_path / f"{script}_dist_online_train.sh"), *given], tmp_path) as launched:
        wait_until(lambda: len(list((tmp_path / "--address").glob("life.*"))) == 2 or launched.ended())
        launched.press_ctrl_c()
        assert launched.status() == 0, launched.errors()
        assert launched.output().startswith("rank 0 got 127.0.0.1 --device_target CPU saving=0.1\n")
        assert len(list((tmp_path / "--address").glob("checkpoint.*"))) == 2
        assert launched.left() == []


def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"sched_port = {port}: expected a free port on 127.0.0.1: it is in use"):
            dynamic_plan(job(tmp_path), tmp_path / "reports", {}, "127.0.0.1", port)


def test_a_missing_mpirun_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launchers, "find_mpirun", lambda: None)
    with pytest.raises(ConfigError, match=r"mpirun: not found: install the extra \[mpi\]"):
        mpirun_plan(job(tmp_path), tmp_path / "reports", {})


def test_ranks_share_the_cores_and_the_user_may_say_otherwise(tmp_path: Path) -> None:
    cores = len(os.sched_getaffinity(0))
    plan = dynamic_plan(job(tmp_path), tmp_path / "reports", {"NUMBA_NUM_THREADS": "7"}, "192.0.2.200", 8118)
    assert [child.environ["OMP_NUM_THREADS"] for child in plan.children] == [str(max(1, cores // 4))] * 4
    assert {child.environ["NUMBA_NUM_THREADS"] for child in plan.children} == {"7"}


def test_ranks_of_dynamic_networking_know_who_they_are(tmp_path: Path) -> None:
    part = job(tmp_path, workers=3, servers=1, first_rank=1, local_ranks=2)
    plan = dynamic_plan(part, tmp_path / "reports", {"OMPI_COMM_WORLD_RANK": "9"}, "192.0.2.200", 8118)
    assert [child.rank for child in plan.children] == [1, 2]
    assert [Ranks.of_environment(child.environ) for child in plan.children] == [
        Ranks(rank, 4, "dynamic") for rank in (1, 2)
    ]
    assert [rank_of(child.environ) for child in plan.children] == [1, 2]
    assert [child.environ["DEVICE_ID"] for child in plan.children] == ["0", "1"]
    assert {child.environ["MSREC_SERVER_NUM"] for child in plan.children} == {"1"}


def test_the_device_of_a_rank_under_mpirun_is_its_number_on_the_machine() -> None:
    under = {"OMPI_COMM_WORLD_RANK": "5", "OMPI_COMM_WORLD_SIZE": "8", "OMPI_COMM_WORLD_LOCAL_RANK": "1"}
    assert environment(under)["DEVICE_ID"] == "1"
    assert environment({**under, "DEVICE_ID": "0"})["DEVICE_ID"] == "0"
    assert rank_of(under) == Ranks.of_environment(under).rank == 5


def test_settings_of_open_mpi_are_the_users(tmp_path: Path) -> None:
    if launchers.find_mpirun() is None:
        pytest.skip("needs mpirun: the extra [mpi]")
    own = {"OMPI_MCA_btl": "self,tcp", "OMPI_COMM_WORLD_LOCAL_RANK": "1"}
    (child,) = mpirun_plan(job(tmp_path), tmp_path / "reports", own).children
    assert child.environ["OMPI_MCA_btl"] == "self,tcp"
    assert "OMPI_COMM_WORLD_LOCAL_RANK" not in child.environ
    assert child.environ["PRTE_MCA_prte_tmpdir_base"] == str(tmp_path)
