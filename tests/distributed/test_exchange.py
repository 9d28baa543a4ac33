"""One contract for every exchange, run as real processes under its launcher: see exchange_worker.py."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import time
from pathlib import Path
from typing import Callable, Dict, List

import pytest

from mindspore_rec.cli.processes import Programs
from mindspore_rec.distributed.launchers import dynamic_environments, find_mpirun, mpirun_command, without_launcher
from tests.source_tree import REPOSITORY

WORKER = Path(__file__).with_name("exchange_worker.py")
ENVIRON = {
    **without_launcher(),
    "PYTHONPATH": os.pathsep.join([str(REPOSITORY), *filter(None, [os.environ.get("PYTHONPATH")])]),
    **{"PYTHONUNBUFFERED": "1", "GLOG_v": "3"},
}

needs_mpi = pytest.mark.skipif(
    importlib.util.find_spec("mpi4py") is None or find_mpirun() is None,
    reason="needs mpirun and mpi4py: the extra [mpi]",
)


def command(folder: Path, task: str) -> List[str]:
    return [sys.executable, str(WORKER), str(folder), task]


def start_mpirun(programs: Programs, size: int, folder: Path, task: str) -> List[str]:
    programs.start("mpirun", mpirun_command(size, command(folder, task)), ENVIRON)
    return ["mpirun"]


def start_dynamic(programs: Programs, size: int, folder: Path, task: str) -> List[str]:
    scheduler, workers = dynamic_environments(size, ENVIRON)
    environs = {"scheduler": scheduler, **{f"rank-{rank}": worker for rank, worker in enumerate(workers)}}
    for name, environ in environs.items():
        programs.start(name, command(folder, task), environ)
    return list(environs)


def wait_for(programs: Programs, names: List[str], seconds: float) -> Dict[str, int]:
    """The exit statuses of all of them; those that fail end the wait, the others are ended with the block."""
    deadline = time.monotonic() + seconds
    ended: Dict[str, int] = {}
    while len(ended) < len(names) and not any(ended.values()):
        name = programs.wait(deadline - time.monotonic())
        assert name is not None, f"after {seconds} s: " + "; ".join(f"{n}: {programs.tail(n)[-3:]}" for n in names)
        ended[name] = programs.status(name) or 0
    return ended


Start = Callable[[Programs, int, Path, str], List[str]]


def run_contract(start: Start, size: int, folder: Path, seconds: float) -> None:
    with Programs(folder, grace=5) as programs:
        ended = wait_for(programs, start(programs, size, folder, "contract"), seconds)
        tails = {name: programs.tail(name) for name in ended if ended[name]}
    verdicts = [json.loads(path.read_text("utf-8")) for path in sorted(folder.glob("verdict-*.json"))]
    assert [verdict["error"] for verdict in verdicts] == [""] * size, tails
    assert not any(ended.values()), tails
    assert [verdict["rank"] for verdict in verdicts] == list(range(size))
    assert {verdict["size"] for verdict in verdicts} == {size}
    assert len({verdict["checks"] for verdict in verdicts}) == 1
    assert verdicts[0]["checks"] > 250


@needs_mpi
@pytest.mark.parametrize("size", [1, 2, 3])
def test_mpi_keeps_the_contract(size: int, tmp_path: Path) -> None:
    run_contract(start_mpirun, size, tmp_path, 60)


@needs_mpi
def test_a_rank_that_fails_ends_the_job_under_mpirun(tmp_path: Path) -> None:
    with Programs(tmp_path, grace=5) as programs:
        ended = wait_for(programs, start_mpirun(programs, 3, tmp_path, "fail"), 30)
    assert ended["mpirun"] != 0
    assert list(tmp_path.glob("verdict-*.json")) == []


@pytest.mark.slow
@pytest.mark.parametrize("size", [1, 2, 3])
def test_dynamic_networking_keeps_the_contract(size: int, tmp_path: Path) -> None:
    run_contract(start_dynamic, size, tmp_path, 120)


@pytest.mark.slow
def test_a_rank_that_fails_ends_the_job_under_dynamic_networking(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ENVIRON, "MS_NODE_TIMEOUT", "5")  # seconds until the scheduler misses a rank, 30 unless set
    with Programs(tmp_path, grace=5) as programs:
        names = start_dynamic(programs, 2, tmp_path, "fail")
        failed: Dict[str, int] = {}
        while len(failed) < len(names):
            failed.update(wait_for(programs, [name for name in names if name not in failed], 60))
    assert all(failed.values())
    assert list(tmp_path.glob("verdict-*.json")) == []
