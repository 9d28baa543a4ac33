"""Rows and parameters in the exports of a run that ended anywhere and went on are those of one that did not."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Callable, Dict, List

import pytest

from mindspore_rec.serving.job_exports import JobExports
from mindspore_rec.train.job_model import JobModel
from mindspore_rec.train.pass_loop import train_passes
from tests.train.small_passes import FIRST, RULES, Trainer, assert_same_state, state_of

SCORES = {"base_threshold": 0.2, "delta_threshold": 0.6}


class Hooked(JobExports):
    """Calls `begins` before each export."""

    def __init__(self, job: JobModel, begins: Callable[[], None]) -> None:
        super().__init__(job)
        self._begins = begins

    def base(self, folder: Path) -> None:
        self._begins()
        super().base(folder)

    def delta(self, folder: Path) -> None:
        self._begins()
        super().delta(folder)

    def text(self, folder: Path) -> None:
        self._begins()
        super().text(folder)


def files_in(save: Path) -> Dict[str, bytes]:
    """Of all exports, but for graphs, in which MindSpore numbers things as they come, and their sums."""
    graphs = ("__model__", "manifest.json", "variables.mindir")
    folders = [path for path in save.glob("*/*") if path.name.startswith(("base", "delta-", "inference_model_"))]
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file() and path.name not in graphs]
    return {str(path.relative_to(save)): path.read_bytes() for path in files}


@pytest.mark.slow
def test_a_delta_holds_what_changed_since_the_last_whatever_ended_between(tmp_path: Path) -> None:
    on_disk: List[Path] = []
    kept: List[Callable[[], None]] = [lambda: None]
    rules = {**RULES, "ctr_accessor_param": {**RULES["ctr_accessor_param"], **SCORES}}
    trainer = Trainer(tmp_path, lambda job: Hooked(job, lambda: kept[0]()), rules, save_first_base=True, end_day=FIRST)

    def keep() -> None:
        on_disk.append(tmp_path / f"at-{len(on_disk)}")
        shutil.copytree(trainer.save, on_disk[-1])

    kept[0] = keep
    train_passes(trainer.begin())
    kept[0] = lambda: None
    state, files = state_of(trainer.passes.job), files_in(trainer.save)
    rows = {name: text.count(b"\n") for name, text in files.items() if name.endswith("shard/embedding_w-000.txt")}
    deltas = [rows[f"{FIRST}/delta-{number}/embedding.shard/embedding_w-000.txt"] for number in (2, 4)]
    assert 0 < max(deltas) < rows[f"{FIRST}/inference_model_2/embedding.shard/embedding_w-000.txt"]
    assert len(on_disk) == 9
    for at in (on_disk[3], on_disk[4], on_disk[7]):  # before and after the delta that follows a checkpoint, and a base
        train_passes(trainer.begin(at))
        assert_same_state(state_of(trainer.passes.job), state)
        found = files_in(trainer.save)
        assert found.keys() == files.keys()
        assert [name for name in files if found[name] != files[name]] == [], at
