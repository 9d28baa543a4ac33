"""Runs of passes as real processes: killed, asked to end, and on two ranks."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict, List

import numpy as np
import pytest

from mindspore_rec.checkpoint.donefiles import checkpoints
from mindspore_rec.checkpoint.saved import read_saved
from mindspore_rec.checkpoint.shards import join_shards
from mindspore_rec.distributed.launchers import find_mpirun, mpirun_command, without_launcher
from tests.source_tree import REPOSITORY
from tests.train.small_passes import (
    FIRST,
    ROWS,
    SECOND,
    THIRD,
    assert_same_state,
    by_id,
    runner_of,
    schedule_of,
    write_days,
    write_split,
)
from tests.train.test_pass_loop import left_in

PROGRAM = Path(__file__).with_name("pass_program.py")
DEADLINE = 240.0
ENVIRON = {
    **without_launcher(),
    "PYTHONPATH": os.pathsep.join([str(REPOSITORY), *filter(None, [os.environ.get("PYTHONPATH")])]),
    "PYTHONUNBUFFERED": "1",
    "GLOG_v": "3",
}
TWO_DAYS = {"save_first_base": True}

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
needs_mpi = pytest.mark.skipif(
    importlib.util.find_spec("mpi4py") is None or find_mpirun() is None,
    reason="needs mpirun and mpi4py: the extra [mpi]",
)


class Run:
    """Starts of one run."""

    def __init__(self, folder: Path, data: Path, **options: Any) -> None:
        self.save, self.out = folder / "save", folder / "out"
        self.out.mkdir(parents=True, exist_ok=True)
        given = {"save": str(self.save), "data": str(data), "out": str(self.out), "runner": TWO_DAYS, **options}
        self.command = [sys.executable, str(PROGRAM), json.dumps(given)]

    def start(self, ranks: int = 1, **environ: str) -> subprocess.Popen[str]:
        """A process, or the ranks of one."""
        command = self.command if ranks == 1 else mpirun_command(ranks, self.command)
        return subprocess.Popen(
            command, env={**ENVIRON, **environ}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def end(self, ranks: int = 1) -> List[Dict[str, Any]]:
        """Run to the end; what each rank says."""
        process = self.start(ranks)
        said, _ = process.communicate(timeout=DEADLINE)
        assert process.returncode == 0, said[-3000:]
        return [json.loads((self.out / f"rank-{rank}.json").read_text()) for rank in range(ranks)]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    return write_days(folder, schedule_of(runner_of(folder)))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, data: Path) -> Any:
    """A run that nothing disturbed: what it says, and what it left."""
    run = Run(tmp_path_factory.mktemp("whole"), data)
    (said,) = run.end()
    return said, left_in(run.save), run


@pytest.mark.parametrize("point", ["pass-publish:5", "checkpoint-write:7"])
def test_a_run_that_is_killed_again_and_again(point: str, data: Path, whole: Any, tmp_path: Path) -> None:
    run, ends = Run(tmp_path, data), []
    while not ends or ends[-1] == -signal.SIGKILL:
        assert len(ends) < 15, "it goes on"
        process = run.start(MSREC_KILL_AT=point)
        said, _ = process.communicate(timeout=DEADLINE)
        ends.append(process.returncode)
    assert (ends[-1], len(ends) > 3) == (0, True), said[-3000:]
    (found,) = [json.loads((run.out / "rank-0.json").read_text())]
    assert (found["digest"], found["progress"]) == (whole[0]["digest"], whole[0]["progress"])
    left = left_in(run.save)
    assert left.outputs == whole[1].outputs
    folders = [
        {name.replace(str(each.save), ""): base.replace(str(each.save), "") for name, base in found.items()}
        for each, found in ((run, left.patches), (whole[2], whole[1].patches))
    ]
    assert folders[0] == folders[1]
    assert not list(run.save.glob("*/.*"))


@pytest.mark.parametrize(
    "line", ["wait for data ready", "Pass: 2, Infer Global Metric", "Pass: 1, Train Global Metric"]
)
def test_a_process_that_is_asked_to_end(line: str, whole: Any, tmp_path: Path) -> None:
    """While it waits for data, while it trains, while it saves or predicts the next pass."""
    schedule = schedule_of(runner_of(tmp_path))
    names = [name for key in schedule.passes() for name in schedule.folders(key)]
    for name in names[:2]:
        write_split(tmp_path / "data", name, "done")
    run = Run(tmp_path, tmp_path / "data", runner={**TWO_DAYS, "data_donefile": "done"})
    process = run.start()
    assert process.stdout is not None
    for said in process.stdout:
        if line in said:
            process.send_signal(signal.SIGTERM)
            break
    rest, _ = process.communicate(timeout=DEADLINE)
    assert process.returncode == 0, rest
    assert "stopping: finishing the step" in rest
    passes = json.loads((run.out / "rank-0.json").read_text())["trained"]
    assert [number for _, number, _, _ in passes] in ([1], [1, 2])
    for name in names[2:]:
        write_split(tmp_path / "data", name, "done")
    (found,) = run.end()
    assert (found["digest"], left_in(run.save).outputs) == (whole[0]["digest"], whole[1].outputs)


def assert_close(found: List[Dict[str, float]], wanted: List[Dict[str, float]]) -> None:
    assert len(found) == len(wanted)
    for one, other in zip(found, wanted):
        assert one["rows"] == other["rows"]
        np.testing.assert_allclose(list(one.values()), list(other.values()), rtol=2e-3)


@needs_mpi
def test_two_workers(data: Path, tmp_path: Path) -> None:
    """Each reads one file of two, metrics are of all rows; one goes on from what two have saved, and two from one."""
    first = {"runner": {"end_day": FIRST, "gauc_slot": "4"}}
    run = Run(tmp_path, data, **first)
    ranks = run.end(2)
    assert ranks[0]["trained"] == ranks[1]["trained"] and len(ranks[0]["trained"]) == 4
    assert ranks[0]["gauc"] == ranks[1]["gauc"] and None not in ranks[0]["gauc"]
    assert {one["rows"] for rank in ranks for stage in ("infer", "train") for one in rank[stage]} == {2 * ROWS}
    assert [rank["rows"] for rank in ranks] == [[[ROWS, ROWS]] * 8] * 2, "each is told of its own rows"
    assert all(min(rank["tables"]) > 0 for rank in ranks), "each holds a share"
    groups = read_saved(run.save / SECOND / "0").groups
    shards = {name: part for name, part in groups.items() if name.startswith("table-embedding_w")}
    assert len(shards) == 2
    ids = join_shards(shards)["table-embedding_w"]["ids"]
    assert len(set(ids.tolist())) == ids.size == sum(rank["tables"][0] for rank in ranks)
    goes_on = {"runner": {"gauc_slot": "4"}}
    by_ranks = {}
    for count in (1, 2):
        copy = Run(tmp_path / f"copy-{count}", data, **goes_on)
        shutil.copytree(run.save, copy.save)
        by_ranks[count] = copy.end(count)
        assert [saved.at.day for saved in checkpoints(copy.save)][-1] == THIRD
    alone, two = by_ranks[1][0], by_ranks[2]
    assert_close(alone["infer"][:1], two[0]["infer"][:1])  # of one state
    assert alone["progress"][1] == two[0]["progress"][1] == 16 * ROWS
    back = Run(tmp_path / "copy-1", data, **{"runner": {"gauc_slot": "4", "end_day": THIRD}})
    write_days(data, schedule_of(runner_of(tmp_path, start_day=THIRD, end_day=THIRD)))
    assert len(back.end(2)[0]["trained"]) == 4


@needs_mpi
@pytest.mark.parametrize("staleness", [0, 1])
def test_a_worker_and_a_server(staleness: int, data: Path, whole: Any, tmp_path: Path) -> None:
    """The server holds all rows and reads none; in turn the model is that of one process, all but to the bit."""
    run = Run(tmp_path, data, servers=1, staleness=staleness)
    worker, server = run.end(2)
    assert worker["trained"] == server["trained"]
    assert worker["tables"] == [0, 0] and min(server["tables"]) > 0
    assert worker["rows"] == [[2 * ROWS, 2 * ROWS]] * 16 and server["rows"] == [[0, None]] * 16
    if not staleness:
        assert server["tables"] == whole[0]["tables"]
        assert_close(worker["train"], whole[0]["train"])
        assert_close(worker["infer"], whole[0]["infer"])
    assert worker["progress"] == whole[0]["progress"]


@needs_mpi
def test_two_ranks_that_are_killed(data: Path, tmp_path: Path) -> None:
    """The first one, at a save; what they leave is what two ranks leave that nothing disturbed."""
    wanted = Run(tmp_path / "whole", data)
    wanted.end(2)
    run = Run(tmp_path / "killed", data)
    for point in ("pass-publish:9", "checkpoint-write:5"):
        process = run.start(2, MSREC_KILL_AT=point)
        process.communicate(timeout=DEADLINE)
        assert process.returncode != 0
    ranks = run.end(2)
    assert ranks[0]["progress"][1] == 16 * ROWS
    left = [read_saved(each.save / THIRD / "0") for each in (run, wanted)]
    assert left[0].groups.keys() == left[1].groups.keys()
    assert_same_state(*(by_id(join_shards(one.groups)) for one in left))
