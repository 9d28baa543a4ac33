"""Ranks keep to their share of a machine's cores."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Dict, List

import pytest

from mindspore_rec.launch import cores
from mindspore_rec.launch.plan import Job, cores_of, shared_environment
from mindspore_rec.launch.reports import Reports
from tests.source_tree import REPOSITORY


def job(workers: int, servers: int = 0, first_rank: int = 0, local_ranks: int = 0, pin_cores: bool = True) -> Job:
    local = local_ranks or workers + servers
    return Job(("train",), workers, servers, "127.0.0.1", Path("log"), first_rank, local, pin_cores)


@pytest.mark.parametrize(
    ("asked", "dealt"),
    [
        (job(1), {0: [0, 1, 2, 3, 4]}),
        (job(2), {0: [0, 1], 1: [2, 3, 4]}),
        (job(2, servers=2), {0: [0, 1], 1: [2, 3, 4], 2: [0, 1], 3: [2, 3, 4]}),
        (job(4, first_rank=2, local_ranks=2), {2: [0, 1], 3: [2, 3, 4]}),
        (job(2, servers=2, first_rank=2, local_ranks=2), {2: [0, 1], 3: [2, 3, 4]}),
        (job(6), {}),
        (job(2, servers=6), {}),
        (job(10), {rank: [rank // 2] for rank in range(10)}),
        (job(2, pin_cores=False), {}),
    ],
)
def test_workers_share_all_cores_and_servers_share_theirs(asked: Job, dealt: Dict[int, List[int]]) -> None:
    assert cores_of(asked, [0, 1, 2, 3, 4]) == dealt


def test_a_rank_starts_on_its_cores(tmp_path: Path) -> None:
    own = max(os.sched_getaffinity(0))
    environ = {**shared_environment(job(1), os.environ), "MS_NODE_ID": "3", "PYTHONPATH": str(REPOSITORY)}
    environ[cores.VARIABLE] = cores.as_text({2: [], 3: [own]})
    reports = Reports(tmp_path / "reports")
    tell = "import os; print(*os.sched_getaffinity(0))"
    command = [sys.executable, "-m", "mindspore_rec.launch.rank_log", str(reports.path), str(tmp_path)]
    done = subprocess.run([*command, sys.executable, "-c", tell], env=environ, timeout=60, check=False)
    reports.close()
    assert (done.returncode, (tmp_path / "rank.3.log").read_text("utf-8")) == (0, f"{own}\n")


def test_the_environment_tells_every_rank_its_cores() -> None:
    available = sorted(os.sched_getaffinity(0))
    environ = shared_environment(job(1), {cores.VARIABLE: "0:99"})  # of a launch this one runs in
    assert cores.share_of(0, environ[cores.VARIABLE]) == set(available)
    assert shared_environment(job(1, pin_cores=False), {})[cores.VARIABLE] == ""
