"""A loop of one's own over a tree of days, as a process: alone, again, and as two ranks; with dumps."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import List, Sequence

import numpy as np
import pytest

from mindspore_rec.checkpoint.saved import read_saved
from mindspore_rec.cli.job import load_job
from mindspore_rec.cli.phase_model import model_of
from mindspore_rec.data.slot_schema import SlotSchema
from mindspore_rec.distributed.launchers import find_mpirun, mpirun_command, without_launcher
from mindspore_rec.train.job_model import JobModel
from tests.source_tree import REPOSITORY
from tests.train import dumped_model
from tests.train.dump_lines import assert_computed, read, rows_of

PROGRAM = REPOSITORY / "examples" / "streaming" / "train_passes.py"
DAY, SCHEMA = "20190720", SlotSchema.from_keys("1 2 3 4")
ROWS, BATCH = 40, 16  # rows of a file
FILES = ("part-0", "part-1", "part-2")
CONFIG = """
workspace: .
runner:
  train_data_dir: data
  train_batch_size: 16
  infer_batch_size: 32
  sparse_slots: "1 2 3 4"
  split_interval: 360
  start_day: "20190720"
  end_day: "20190720"
  model_save_path: output
  save_policy: hourly
  need_train_dump: true
  need_infer_dump: true
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A job with a model.py of its own and a day of four splits; every split has the same few ids."""
    rng = np.random.default_rng(0)
    for split in ("0000", "0600", "1200", "1800"):
        for name in FILES:
            path = tmp_path / "data" / DAY / split / name
            path.parent.mkdir(parents=True, exist_ok=True)
            slots = [
                [f"{rng.integers(0, 2)}:1", *(f"{rng.integers(1, 7)}:{k}" for k in (2, 3, 4))] for _ in range(ROWS)
            ]
            path.write_text("".join(" ".join(row) + "\n" for row in slots))
    (tmp_path / "config.yaml").write_text(CONFIG)
    shutil.copy(dumped_model.__file__, tmp_path / "model.py")
    return tmp_path


def run(folder: Path, before: Sequence[str] = ()) -> List[str]:
    """Run it to its end; the lines it printed."""
    path = os.pathsep.join([str(REPOSITORY), *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [*before, sys.executable, str(PROGRAM), "config.yaml"]
    environ = {**without_launcher(), "PYTHONPATH": path}
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.splitlines()


def ids_of(split: str) -> List[str]:
    return [f"{DAY}/{split}/{name}:{row}" for name in FILES for row in range(ROWS)]


def assert_second_pass(folder: Path, ranks: int) -> None:
    """Its rows were dumped as the checkpoint after the first pass has them, as `data` says."""
    job = load_job(str(folder / "config.yaml"))
    model = JobModel(model_of(job, job.runners[0].phases[0]), clock=lambda: 0.0)
    model.state.restore(read_saved(folder / "output" / DAY / "1"))
    for name in ("infer_dump_data", "train_dump_data"):
        parts = sorted((folder / name / DAY / "2").glob("part-*"))
        assert [path.name for path in parts] == [f"part-{rank:05d}" for rank in range(ranks)]
        lines = [read(path) for path in parts]
        assert sorted(id for part in lines for id, _ in part) == sorted(ids_of("0600"))
        for part in lines:  # training has changed what the second batch is given
            assert_computed(SCHEMA, folder / "data", part[:BATCH] if name[0] == "t" else part, model.network)
            labels = {id: values["label"] for id, values in part if "label" in values}
            assert all(label == rows_of(SCHEMA, folder / "data", id).labels[0].tolist() for id, label in labels.items())
            assert len(labels) == (len(part) if name[0] == "t" else 0)


@pytest.mark.slow
def test_alone_and_again(folder: Path) -> None:
    lines = run(folder)
    assert [line.split(":")[0] for line in lines] == [f"{DAY} pass {number}" for number in (1, 2, 3, 4)]
    saved = sorted(path.name for path in (folder / "output" / DAY).iterdir())
    assert saved == ["1", "delta-2", "delta-3", "delta-4", "inference_model_1"]
    assert sorted(path.name for path in (folder / "output" / "20190721").iterdir()) == ["0", "base"]
    assert_second_pass(folder, 1)
    assert [id for id, _ in read(folder / "infer_dump_data" / DAY / "4" / "part-00000")] == ids_of("1800")
    assert run(folder) == [], "nothing is left to train"


@pytest.mark.slow
@pytest.mark.skipif(
    importlib.util.find_spec("mpi4py") is None or find_mpirun() is None, reason="needs mpirun and mpi4py"
)
def test_two_ranks(folder: Path) -> None:
    lines = run(folder, mpirun_command(2, []))
    assert len(lines) == 4
    assert_second_pass(folder, 2)
    for number in range(1, 5):
        assert (folder / "train_dump_data" / DAY / str(number) / "params").stat().st_size
        for name in ("train_dump_data", "infer_dump_data"):
            sizes = [len(read(folder / name / DAY / str(number) / f"part-{rank:05d}")) for rank in range(2)]
            assert sizes == [2 * ROWS, ROWS], "three files of two ranks"


def test_a_mistake_is_one_line(folder: Path) -> None:
    (folder / "config.yaml").write_text(CONFIG.replace("hourly", "daily"))
    done = subprocess.run(
        [sys.executable, str(PROGRAM), "config.yaml"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: runner.save_policy = 'daily'") and done.stderr.count("\n") == 1
