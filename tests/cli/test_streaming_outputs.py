"""What a pass-by-pass run must have left, and whether two of them ended in one state."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, Dict

import numpy as np
import pytest

from mindspore_rec.checkpoint.donefiles import SavedCheckpoint, SavedExport, add_base, add_checkpoint, add_patch
from mindspore_rec.checkpoint.format import Checkpoint
from mindspore_rec.checkpoint.store import CheckpointStore
from mindspore_rec.cli.job import schedule_of
from mindspore_rec.cli.streaming_outputs import check_outputs, end_differences, export_differences, outputs
from mindspore_rec.config import UserError
from mindspore_rec.job_config import OnlineRunner
from mindspore_rec.stream.pass_schedule import PassKey

RUNNER = OnlineRunner.model_validate(
    {
        **{"name": "runner", "class": "online_train", "start_day": "20191231", "end_day": "20191231"},
        **{"split_interval": 60, "split_per_pass": 6, "checkpoint_per_pass": 2, "save_delta_frequency": 3},
        "model_save_path": "model",
    }
)
WANTED = {
    "checkpoints": ["20191231/2", "20191231/4", "20200101/0"],
    "inference models": ["20191231/inference_model_2", "20191231/inference_model_4"],
    "deltas": ["20191231/delta-3"],
    "bases": ["20200101/base"],
}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A folder with everything."""
    for names in WANTED.values():
        for name in names:
            (tmp_path / name).mkdir(parents=True)
            (tmp_path / name / "file").touch()
    for name in WANTED["checkpoints"]:
        day, _, number = name.partition("/")
        add_checkpoint(tmp_path, SavedCheckpoint(PassKey(day, int(number)), 1, f"{tmp_path / name}/"))
    add_patch(tmp_path, SavedExport(1, 1, str(tmp_path / "20191231/delta-3")))
    add_base(tmp_path, SavedExport(1, 1, str(tmp_path / "20200101/base")))
    (tmp_path / "metrics.jsonl").touch()
    return tmp_path


def test_what_belongs_there() -> None:
    assert outputs(RUNNER, schedule_of(RUNNER)) == WANTED


def test_all_is_there(run: Path) -> None:
    check_outputs(run, WANTED)


@pytest.mark.parametrize("name", [name for names in WANTED.values() for name in names])
@pytest.mark.parametrize("empty", [False, True])
def test_a_folder_that_is_missing_is_named(name: str, empty: bool, run: Path) -> None:
    shutil.rmtree(run / name)
    if empty:
        (run / name).mkdir()
    with pytest.raises(UserError, match=f"{run / name} is missing or empty: expected one of the "):
        check_outputs(run, WANTED)


@pytest.mark.parametrize("name", ["donefile.txt", "base_donefile.txt", "patch_donefile.txt", "metrics.jsonl"])
def test_a_file_that_is_missing_is_named(name: str, run: Path) -> None:
    content = (run / name).read_text().splitlines(keepends=True)
    (run / name).unlink()
    with pytest.raises(UserError, match=f"{run / name} is missing"):
        check_outputs(run, WANTED)
    if content:
        (run / name).write_text("".join(content[:-1]))
        with pytest.raises(UserError, match=f"{run / name} has no line of {run}"):
            check_outputs(run, WANTED)


def state(folder: Path, about: Dict[str, Any], weight: float = 0.5) -> Path:
    groups = {"dense": {"w": np.array([weight], np.float32)}}
    CheckpointStore(folder / "20200101/0").write(3, Checkpoint(groups, {"pass": about, "progress": 3}))
    return folder


def test_ends_are_compared_without_the_time(tmp_path: Path) -> None:
    first = state(tmp_path / "first", {"number": 0, "base_key": 5})
    assert end_differences(first, state(tmp_path / "same", {"number": 0, "base_key": 6}), "20191231") == []
    other = state(tmp_path / "other", {"number": 0, "base_key": 5}, 0.25)
    assert end_differences(first, other, "20191231") == ["dense/w: 1 of 1 rows differ"]
    other = state(tmp_path / "about", {"number": 1, "base_key": 5})
    assert end_differences(first, other, "20191231") == ["meta pass"]
    with pytest.raises(UserError, match="20200101/0 is missing or empty: expected the last checkpoint"):
        end_differences(first, tmp_path / "none", "20191231")


def test_rows_of_exports_are_compared_byte_by_byte(run: Path) -> None:
    names = [name for kind in WANTED.values() for name in kind]
    assert export_differences(run, run, WANTED) == [f"{name}/embedding.shard is empty" for name in sorted(names)]
    for name in names:
        (run / name / "embedding.shard").mkdir()
        (run / name / "embedding.shard/deep-000.txt").write_text("1 0 0.5\n")
    other = run.with_name("other")
    shutil.copytree(run, other)
    assert export_differences(run, other, WANTED) == []
    (other / "20200101/base/embedding.shard/deep-000.txt").write_text("1 0 0.25\n")
    (other / "20191231/delta-3/embedding.shard/wide-000.txt").touch()
    wanted = ["20191231/delta-3/embedding.shard/wide-000.txt", "20200101/base/embedding.shard/deep-000.txt"]
    assert export_differences(run, other, WANTED) == wanted
