import json
import os
import subprocess
import sys

import numpy as np
import pytest

from mindspore_rec.checkpoint.errors import CheckpointError
from mindspore_rec.checkpoint.format import Checkpoint, read_checkpoint, step_of
from mindspore_rec.checkpoint.store import CheckpointStore

GROUPS = {
    "dense": {"w": np.arange(6, dtype=np.float32).reshape(2, 3), "step": np.array(3)},
    "table-deep": {"ids": np.array([-1, 2**62]), "rows": np.ones((2, 4), np.float32)},
}


@pytest.fixture
def store(tmp_path):
    return CheckpointStore(tmp_path / "checkpoints", keep=2)


def test_what_is_written_is_read(store):
    path = store.write(7, Checkpoint(GROUPS, {"position": [1, 2]}))
    found = read_checkpoint(path)
    assert found.meta == {"position": [1, 2]}
    for group, arrays in GROUPS.items():
        for name, array in arrays.items():
            np.testing.assert_array_equal(found.groups[group][name], array)
            assert (found.groups[group][name].dtype, found.groups[group][name].shape) == (array.dtype, array.shape)


def test_the_newest_are_kept_and_found(store):
    for step in (1, 20, 300):
        store.write(step, Checkpoint(GROUPS, {"step": step}))
    assert [path.name for path in store.paths()] == ["step-000000000020", "step-000000000300"]
    assert store.newest().meta == {"step": 300}


def test_an_interrupted_write_is_no_checkpoint(store):
    store.write(1, Checkpoint(GROUPS, {"step": 1}))
    (store.folder / ".writing-000000000002-1").mkdir()
    assert store.newest().meta == {"step": 1}
    store.write(3, Checkpoint(GROUPS, {"step": 3}))
    assert [p.name for p in store.folder.iterdir() if p.name.startswith(".")] == []


@pytest.mark.parametrize("damage", ["truncate", "flip", "remove", "swap", "manifest", "no manifest", "newer"])
def test_a_damaged_checkpoint_is_skipped_loudly(store, damage, caplog):
    store.write(1, Checkpoint(GROUPS, {"step": 1}))
    path = store.write(2, Checkpoint(GROUPS, {"step": 2}))
    file, manifest = path / "dense.safetensors", path / "manifest.json"
    if damage == "truncate":
        file.write_bytes(file.read_bytes()[:-1])
    elif damage == "flip":
        content = bytearray(file.read_bytes())
        content[-1] ^= 1
        file.write_bytes(bytes(content))
    elif damage == "remove":
        file.unlink()
    elif damage == "swap":
        other = path / "table-deep.safetensors"
        file.rename(path / "x"), other.rename(file), (path / "x").rename(other)
    elif damage == "manifest":
        manifest.write_text(manifest.read_text()[:40])
    elif damage == "no manifest":
        manifest.unlink()
    else:
        manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "format_version": 99}))
    assert store.newest().meta == {"step": 1}
    assert "skipping checkpoint" in caplog.text
    with pytest.raises(CheckpointError, match="step-000000000002"):
        read_checkpoint(path)


def test_every_so_many_stays_for_good(tmp_path):
    store = CheckpointStore(tmp_path, keep=2, keep_every=3)
    for step in range(10, 100, 10):
        store.write(step, Checkpoint(GROUPS, {"step": step}))
    assert [step_of(path) for path in store.paths()] == [30, 60, 80, 90]


def test_a_step_written_again_replaces_what_was_there(store):
    store.write(5, Checkpoint(GROUPS, {"try": 1}))
    store.write(5, Checkpoint(GROUPS, {"try": 2}))
    assert store.newest().meta == {"try": 2}
    assert [path.name for path in store.folder.iterdir()] == ["step-000000000005"]


def test_a_second_trainer_is_told_who_holds_the_folder(store):
    with store.held():
        holder = rf"in use by process {os.getpid()} on .+ since \d{{4}}-"
        with pytest.raises(CheckpointError, match=holder), CheckpointStore(store.folder).held():
            pass
    with CheckpointStore(store.folder).held():
        pass


def test_a_killed_trainer_holds_nothing(store):
    code = "import sys, pathlib; from mindspore_rec.checkpoint.store import CheckpointStore as S\n"
    code += "with S(pathlib.Path(sys.argv[1])).held():\n print('held', flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", code, str(store.folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        with pytest.raises(CheckpointError, match=f"process {process.pid} on"), store.held():
            pass
        process.kill()
    with store.held():
        pass


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    store = CheckpointStore(tmp_path / "file" / "x")
    with pytest.raises(CheckpointError, match=r"^checkpoint_path = .*file/x': expected a folder"), store.held():
        pass


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nothing_that_is_not_finite_is_published(store, value):
    with pytest.raises(CheckpointError, match=r"table-deep/rows"):
        store.write(1, Checkpoint({"table-deep": {"rows": np.array([1.0, value], np.float32)}}, {}))
    assert store.newest() is None
