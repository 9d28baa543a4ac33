"""Several ranks on one topic: every row is trained once, whatever launched them, and any number of them goes on."""

from __future__ import annotations

import json
import signal
import subprocess
from typing import Any, Dict, List

import pytest

from mindspore_rec.checkpoint.history import verified
from mindspore_rec.checkpoint.shards import join_shards
from mindspore_rec.checkpoint.store import CheckpointStore
from tests.examples.programs import DEADLINE, EXAMPLES, SMALL_MODEL, Programs, running_programs

ROWS = 12_288
pytest.importorskip("mpi4py", reason="mpi4py is not installed: pip install .[mpi]")


@pytest.fixture
def programs(broker, topic, tmp_path):
    with running_programs(broker.bootstrap_servers, topic, tmp_path) as running:
        yield running


def launch(programs: Programs, launcher: str, ranks: int, *arguments: str) -> Dict[str, Any]:
    """Run the ranks to their end and return the summary of rank 0."""
    script, first = {
        "mpirun": ("mpirun_dist_online_train.sh", [str(ranks), "127.0.0.1"]),
        "dynamic": ("run_dist_online_train.sh", [str(ranks), "127.0.0.1", "8118", "127.0.0.1"]),
    }[launcher]
    ends = ["--checkpoint_path", str(programs.checkpoints), "--delta_seconds", "0"]
    logs = ["--log_dir", str(programs.folder / f"{launcher}-{ranks}")]
    command = ["bash", str(EXAMPLES / script), *first, *logs, *programs.channel, *SMALL_MODEL, *ends, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    lines: List[str] = [line for line in done.stdout.splitlines() if "{" in line]
    found: Dict[str, Any] = json.loads(lines[-1][lines[-1].index("{") :])
    return found


@pytest.mark.slow
@pytest.mark.parametrize(
    ("launcher", "max_wait", "staleness"),
    [("mpirun", "0", "0"), ("mpirun", "0.2", "0"), ("mpirun", "0", "1"), ("dynamic", "0.2", "1")],
)
def test_each_row_is_trained_once_by_any_number_of_ranks(programs, launcher, max_wait, staleness):
    programs.producer("--limit", str(2 * ROWS), "--partitions", "4").end()
    half = ROWS // 2
    for ranks, rows in ((2, half), (1, half + half // 2), (2, ROWS)):
        consumer = programs.consumer("--num_shards", str(ranks))
        summary = launch(
            programs, launcher, ranks, "--max_wait", max_wait, "--staleness", staleness, "--max_rows", str(rows)
        )
        trained = summary["rows_trained"]
        assert trained == rows if max_wait == "0" else rows <= trained < rows + ranks * 256
        assert consumer.end(signal.SIGTERM) == 0
        assert [error for _, error in verified(CheckpointStore(programs.checkpoints).paths()) if error] == []
    state = CheckpointStore(programs.checkpoints).newest()
    assert {name for name in state.groups if name.startswith("table-deep")} == {
        "table-deep.0-of-2",
        "table-deep.1-of-2",
    }
    assert sum(position["rows_taken"] for position in state.meta["positions"]) == trained
    joined = join_shards(state.groups)["table-deep"]
    assert len(set(joined["ids"].tolist())) == joined["ids"].size
