"""Checkpoints of a training run: full ones and deltas, going on from them, and disks that do not take them."""

from __future__ import annotations

import contextlib
import json
import subprocess
from pathlib import Path
from typing import Any, Dict, Iterator, List

import mindspore as ms
import numpy as np
import pytest
from mindspore import nn
from mindspore.train import Callback

from mindspore_rec import RecModel
from mindspore_rec.checkpoint.chain import chain_of, read_state
from mindspore_rec.checkpoint.errors import CheckpointError
from mindspore_rec.checkpoint.format import manifest_of, step_of
from mindspore_rec.checkpoint.history import verified
from mindspore_rec.checkpoint.store import CheckpointStore
from mindspore_rec.embedding.admission import MinCount
from mindspore_rec.embedding.eviction import Unseen
from mindspore_rec.metrics.progressive import ProgressiveWindow
from mindspore_rec.train.losses import LogLoss
from mindspore_rec.train.online_checkpoint import Every, OnlineCheckpoint
from mindspore_rec.train.resume import resume
from mindspore_rec.train.row_audit import RowAudit
from mindspore_rec.train.trainer_state import TrainerState
from mindspore_rec.train.window_monitor import WindowMonitor
from tests.train.small_networks import OneTable, rows

RULES = {"admission": MinCount(2), "eviction": [Unseen(steps=6, every_steps=3)]}


class Stream:
    """Batches k of a stream; `spec_json` as a StreamingDataset has it."""

    def __init__(self, begin: int, end: int, spec: str = '{"hash_seed": 1}') -> None:
        self._range, self.spec_json = range(begin, end), spec

    def get_dataset_size(self) -> int:
        return len(self._range)

    def create_tuple_iterator(self, **options: Any) -> Iterator[Any]:
        for k in self._range:
            yield tuple(ms.Tensor(np.asarray(column)) for column in rows(32, seed=k))


class Trainer:
    """A model with its checkpoints."""

    def __init__(self, folder: Path, dim: int = 4, keep: int = 3, **every: Every) -> None:
        ms.set_seed(1)
        np.random.seed(1)
        network = OneTable(dim, **RULES)
        model = RecModel(network, LogLoss(), nn.Adam(network.trainable_params(), 0.01), clock=lambda: 1e9)
        self.state = TrainerState(model, ProgressiveWindow(100), {"emb_dim": dim, "lr": 0.01}, {"audit": RowAudit()})
        self.store, self._every = CheckpointStore(folder, keep), every

    def run(self, begin: int, end: int, rule: str = "auto", spec: str = '{"hash_seed": 1}', **more: Any) -> Trainer:
        restored = resume(rule, self.store, self.state)
        self.saver = OnlineCheckpoint(self.store, self.state, restored=restored, **self._every)
        callbacks: List[Callback] = [WindowMonitor(self.state.window), self.saver, *more.get("callbacks", [])]
        self.state.model.online_train(Stream(begin, end, spec), callbacks=callbacks)
        return self


def names(store: CheckpointStore) -> List[str]:
    return [f"{path.name.split('-')[0]}-{step_of(path)}" for path in store.paths()]


def contents(folder: Path) -> Dict[str, bytes]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


EVERY = {"full": Every(steps=6), "delta": Every(steps=2)}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> CheckpointStore:
    """The checkpoints of a run of 15 steps that nothing interrupted."""
    return Trainer(tmp_path_factory.mktemp("whole"), **EVERY).run(0, 15).store


def test_full_ones_and_deltas_between_them(whole):
    expected = ["step-2", "delta-4", "delta-6", "step-8", "delta-10", "delta-12", "step-14", "delta-15"]
    assert names(whole) == expected
    assert [error for _, error in verified(whole.paths())] == [None] * 8
    assert [len(chain_of(path)) for path in whole.paths()] == [1, 2, 3, 1, 2, 3, 1, 2]
    assert [manifest_of(path).number for path in whole.paths()] == [1, 1, 1, 2, 2, 2, 3, 3]


def test_a_chain_holds_the_state_of_the_model(tmp_path):
    trainer = Trainer(tmp_path, delta=Every(steps=2)).run(0, 9)
    newest = trainer.store.newest()
    assert len(chain_of(newest.path)) == 5
    live = trainer.state.checkpoint(json.loads('{"hash_seed": 1}'))
    assert newest.meta == json.loads(json.dumps(live.meta))
    again = Trainer(tmp_path / "again", full=Every(steps=1)).store
    assert manifest_of(again.write(9, live)).digest == newest.manifest.digest


def test_two_runs_write_the_same_bytes(whole, tmp_path):
    again = Trainer(tmp_path, **EVERY).run(0, 15).store
    assert contents(again.folder) == contents(whole.folder)


@pytest.mark.parametrize("stops", [(7,), (1, 2, 3, 10), (14,)])
def test_going_on_from_a_chain_is_as_if_nothing_had_happened(whole, tmp_path, stops):
    begin = 0
    for end in (*stops, 15):
        trainer = Trainer(tmp_path / "parts", **EVERY).run(begin, end)
        begin = end
    assert manifest_of(trainer.store.newest_path()).digest == manifest_of(whole.newest_path()).digest
    assert [error for _, error in verified(trainer.store.paths()) if error is not None] == []


def test_deltas_go_on_from_the_checkpoint_that_was_restored(tmp_path):
    Trainer(tmp_path, delta=Every(steps=2)).run(0, 4)
    trainer = Trainer(tmp_path, delta=Every(steps=2)).run(4, 8)
    assert names(trainer.store) == ["step-2", "delta-4", "delta-6", "delta-8"]


def test_a_named_checkpoint_of_a_chain_can_be_gone_on_from(tmp_path):
    Trainer(tmp_path / "a", delta=Every(steps=2)).run(0, 8)
    other = Trainer(tmp_path / "b", delta=Every(steps=2))
    other.run(6, 8, rule=str(tmp_path / "a" / "delta-000000000006"))
    assert names(other.store) == ["step-8"]  # the parent is in another folder
    before = CheckpointStore(tmp_path / "a").newest_path()
    assert manifest_of(other.store.newest_path()).digest == manifest_of(before).digest


@pytest.mark.parametrize(("rule", "left"), [("delta-000000000006", ["step-2", "delta-4", "delta-6"]), ("none", [])])
def test_going_on_from_an_older_state_sets_the_newer_ones_aside(tmp_path, caplog, rule, left):
    """Or else the next start would go on from those."""
    first = Trainer(tmp_path, delta=Every(steps=2)).run(0, 10)
    rule = rule if rule == "none" else str(tmp_path / rule)
    second = Trainer(tmp_path, delta=Every(steps=2)).run(20, 21, rule=rule)
    assert len(list((tmp_path / "set-aside-1").iterdir())) == 5 - len(left)
    assert "newer checkpoints than the state training starts from were moved to" in caplog.text
    assert names(second.store) == [*left, "delta-7" if left else "step-1"]
    third = Trainer(tmp_path, delta=Every(steps=2)).run(21, 22)
    assert third.state.model.progress.step == (8 if left else 2)
    assert first.store.newest().meta["progress"]["step"] == third.state.model.progress.step


def test_old_chains_are_removed_with_their_base(tmp_path):
    trainer = Trainer(tmp_path, keep=2, **EVERY).run(0, 23)
    assert names(trainer.store) == ["step-14", "delta-16", "delta-18", "step-20", "delta-22", "delta-23"]


def test_a_damaged_delta_is_skipped_for_the_one_before(tmp_path, caplog):
    trainer = Trainer(tmp_path, delta=Every(steps=2)).run(0, 8)
    file = trainer.store.paths()[-2] / "dense.safetensors"
    file.write_bytes(file.read_bytes()[:-1])
    found = trainer.store.newest()
    assert found.path.name == "delta-000000000004"
    assert caplog.text.count("skipping checkpoint") == 2  # the damaged one, and the one that needs it


def test_where_no_checkpoint_is_whole_training_does_not_start_anew_by_itself(tmp_path):
    trainer = Trainer(tmp_path, full=Every(steps=2)).run(0, 4)
    for path in trainer.store.paths():
        (path / "dense.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"^resume = auto: none of the 2 checkpoints in .* can be used"):
        Trainer(tmp_path).run(4, 5)
    assert names(Trainer(tmp_path).run(0, 3, rule="none").store) == ["step-3"]


def test_ids_made_otherwise_are_refused_before_a_step(tmp_path):
    Trainer(tmp_path, delta=Every(steps=2)).run(0, 4)
    other = Trainer(tmp_path, delta=Every(steps=2))
    with pytest.raises(CheckpointError, match=r"another feature spec than the checkpoint of step 4.*: hash_seed"):
        other.run(4, 8, spec='{"hash_seed": 2}')
    assert other.state.model.progress.step == 4


def test_a_configuration_of_other_shapes_is_refused_by_its_key(tmp_path, caplog):
    Trainer(tmp_path, delta=Every(steps=2)).run(0, 4)
    with pytest.raises(CheckpointError, match=r"^emb_dim = 8: expected 4, as in checkpoint .*delta-000000000004"):
        Trainer(tmp_path, dim=8).run(4, 8)
    other = Trainer(tmp_path)
    other.state.config = {"emb_dim": 4, "lr": 0.5}
    other.run(4, 5)
    assert "with another configuration: lr is 0.5, was 0.01" in caplog.text


class Step(Callback):
    """Does something after a step, when no checkpoint is being written."""

    def __init__(self, trainer: Trainer, step: int, act: Any) -> None:
        super().__init__()
        self._trainer, self._step, self._act = trainer, step, act

    def on_train_step_end(self, run_context: Any) -> None:
        if run_context.original_args().cur_step_num == self._step:
            self._trainer.saver.wait()
            self._act()


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 1 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small disk needs root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def fill(path: Path) -> None:
    """Write to a file until the disk is full."""
    with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(4096)):
            pass


def test_a_full_disk_is_said_and_training_goes_on(small_disk, caplog):
    in_the_way = small_disk / "in_the_way"
    trainer = Trainer(small_disk / "checkpoints", delta=Every(steps=2))
    trainer.run(0, 12, callbacks=[Step(trainer, 5, lambda: fill(in_the_way)), Step(trainer, 9, in_the_way.unlink)])
    assert trainer.state.model.progress.step == 12
    assert caplog.text.count("no checkpoint was written") == 2
    assert "No space left on device" in caplog.text
    assert names(trainer.store) == ["step-2", "delta-4", "step-10", "delta-12"]
    assert read_state(trainer.store.newest_path()).meta["progress"]["step"] == 12
    assert [path.name for path in trainer.store.folder.iterdir() if path.name.startswith(".")] == []


def test_a_full_disk_at_the_end_leaves_the_last_good_checkpoint(small_disk, caplog):
    trainer = Trainer(small_disk / "checkpoints", delta=Every(steps=2))
    trainer.run(0, 7, callbacks=[Step(trainer, 5, lambda: fill(small_disk / "in_the_way"))])
    assert trainer.store.newest().meta["progress"]["step"] == 4
    assert trainer.saver.last_path.name == "delta-000000000004"
    assert caplog.text.count("no checkpoint was written") == 2


def test_a_folder_that_cannot_be_written_for_a_while(tmp_path, caplog):
    """Somebody puts a file in the place of the folder and takes it away again."""
    folder, away = tmp_path / "checkpoints", tmp_path / "away"

    def block() -> None:
        folder.rename(away)
        folder.write_text("in the way")

    def unblock() -> None:
        folder.unlink()
        away.rename(folder)

    trainer = Trainer(folder, delta=Every(steps=3))
    trainer.run(0, 14, callbacks=[Step(trainer, 5, block), Step(trainer, 8, unblock)])
    assert caplog.text.count("no checkpoint was written") == 1
    assert names(trainer.store) == ["step-3", "step-9", "delta-12", "delta-14"]


def test_nothing_runs_on_after_training(tmp_path):
    trainer = Trainer(tmp_path, delta=Every(steps=2)).run(0, 4)
    with pytest.raises(RuntimeError, match="no snapshot"):
        trainer.state.capture({}, None)
    assert trainer.saver.last_stall >= 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["delta-000000000004", "step-000000000002"]
