import json

import numpy as np
import pytest

from mindspore_rec.checkpoint.store import Checkpoint, CheckpointError, CheckpointStore, read_checkpoint

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


def test_files_outside_the_checkpoint_are_refused(store):
    path = store.write(2, Checkpoint(GROUPS, {}))
    manifest = json.loads((path / "manifest.json").read_text())
    manifest["files"]["../escape.safetensors"] = manifest["files"]["dense.safetensors"]
    (path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(CheckpointError, match="unexpected file"):
        read_checkpoint(path)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nothing_that_is_not_finite_is_published(store, value):
    with pytest.raises(CheckpointError, match=r"table-deep/rows"):
        store.write(1, Checkpoint({"table-deep": {"rows": np.array([1.0, value], np.float32)}}, {}))
    assert store.newest() is None
