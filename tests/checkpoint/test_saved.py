"""What a path stands for: a checkpoint, the newest whole one of a folder, that of a pass."""

import shutil

import pytest

from mindspore_rec.checkpoint.errors import CheckpointError
from mindspore_rec.checkpoint.format import manifest_of
from mindspore_rec.checkpoint.saved import read_saved
from mindspore_rec.config import UserError
from tests.serving.trained_models import StreamRun, saved, slot_dnn


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A full checkpoint of step 1 and deltas of steps 2 and 3."""
    return StreamRun(tmp_path_factory.mktemp("run")).store.folder


def test_a_checkpoint_and_a_folder_of_them(folder):
    found = {manifest.step: manifest.kind for manifest in map(manifest_of, folder.glob("[sd]*"))}
    assert found == {1: "full", 2: "delta", 3: "delta"}
    assert read_saved(folder).manifest.step == 3
    last, first = read_saved(folder / "delta-000000000003"), read_saved(folder / "step-000000000001")
    assert (last.manifest.step, first.manifest.step) == (3, 1)
    assert set(first.groups["table-deep"]["ids"]) <= set(last.groups["table-deep"]["ids"])  # of the whole chain


def test_damaged_ones_are_passed_over(folder, tmp_path, caplog):
    copy = shutil.copytree(folder, tmp_path / "copy")
    file = copy / "delta-000000000003" / "dense.safetensors"
    file.write_bytes(file.read_bytes()[:-1])
    assert read_saved(copy).manifest.step == 2
    assert "skipping checkpoint" in caplog.text and "dense.safetensors is damaged" in caplog.text
    with pytest.raises(CheckpointError, match="delta-000000000003: dense"):
        read_saved(copy / "delta-000000000003")
    (copy / "step-000000000001" / "manifest.json").write_text("{}")
    with pytest.raises(UserError, match="none of its 3 checkpoints is whole"):
        read_saved(copy)


def test_the_folder_of_a_pass(tmp_path):
    model = slot_dnn()
    written = saved(tmp_path / "20190720" / "6", model, model.network())
    assert read_saved(tmp_path / "20190720" / "6").meta["model"]["model"] == "rank/slot_dnn"
    (tmp_path / "20190720" / "6" / "embedding.shard").mkdir()
    written.rename(written.with_name("checkpoint-3"))
    assert read_saved(tmp_path / "20190720" / "6").manifest.step == 3


@pytest.mark.parametrize("path", ["nothing", "", "file"])
def test_what_is_none_is_said(tmp_path, path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="expected a checkpoint, or a folder of") as error:
        read_saved(tmp_path / path)
    assert "\n" not in str(error.value)


def test_the_last_of_epochs_and_of_passes(tmp_path):
    model = slot_dnn()
    written = saved(tmp_path / "2", model, model.network())
    for name in ("10", "20190720/3", "20190720/12", "other/99", ".writing-11"):
        shutil.copytree(written, tmp_path / name / written.name)
    assert read_saved(tmp_path).path == tmp_path / "20190720" / "12" / written.name
    shutil.rmtree(tmp_path / "20190720")
    assert read_saved(tmp_path).path == tmp_path / "10" / written.name
    (tmp_path / "10" / written.name / "dense.safetensors").unlink()
    assert read_saved(tmp_path).path == written
