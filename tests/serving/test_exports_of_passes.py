"""What pass-by-pass training leaves behind is what it trained: exports and text, against its checkpoints."""

import pytest

from mindspore_rec.__main__ import main
from mindspore_rec.checkpoint.sparse_text import read_sparse_text
from mindspore_rec.data.slot_schema import SlotSchema
from mindspore_rec.data.synthetic_passes import SPARSE_SLOTS
from mindspore_rec.data.synthetic_tree import Splits, write_tree
from mindspore_rec.job_config import DatasetConfig, OnlineRunner
from mindspore_rec.models.model_file import PACKAGE, Model, load_model_file
from mindspore_rec.serving.exported_model import read_export
from mindspore_rec.serving.job_exports import JobExports
from mindspore_rec.stream.pass_schedule import PassSchedule
from mindspore_rec.train.device import use_device
from mindspore_rec.train.pass_loop import train_passes
from mindspore_rec.train.pass_model import PassModel

SCHEDULE = PassSchedule("20190720", "20190720", 360, 2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A day of two passes; data below `data`, what is saved below `run`."""
    use_device("CPU")
    folder = tmp_path_factory.mktemp("passes")
    write_tree(folder / "data", SCHEDULE, Splits(seed=7, rows=60, files=1), lambda name, rows: None)
    keys = {"start_day": "20190720", "end_day": "20190720", "split_interval": 360, "split_per_pass": 2}
    runner = OnlineRunner.model_validate(
        {
            **{"name": "runner", "class": "online_train", "model_save_path": str(folder / "run"), **keys},
            **{"checkpoint_per_pass": 1, "save_delta_frequency": 1, "infer_batch_size": 64, "save_first_base": True},
        }
    )
    dataset = DatasetConfig(
        name="data",
        batch_size=32,
        data_path=str(folder / "data"),
        data_format="feasign_slot",
        sparse_slots=SPARSE_SLOTS,
    )
    file = load_model_file(PACKAGE / "rank/slot_dnn/model.py")
    settings = file.settings(fc_sizes=(8,), sparse_feature_dim=3, optimizer={"learning_rate": 0.01})
    model = Model(file, settings, SlotSchema.from_keys(SPARSE_SLOTS), 0, {})
    train_passes(PassModel(runner, dataset, model, JobExports))
    return folder


def test_each_export_is_there_and_whole(folder):
    found = {}
    for name in ("20190720/base", "20190720/delta-1", "20190720/delta-2", "20190721/base"):
        found[name] = read_export(folder / "run" / name).manifest.source
    for number in (1, 2):
        source = read_export(folder / "run" / "20190720" / f"inference_model_{number}").manifest.source
        assert (source.kind, source.day, source.pass_number) == ("full", "20190720", number)
        assert source.step == found[f"20190720/delta-{number}"].step > 0
    assert [source.kind for source in found.values()] == ["base", "delta", "delta", "base"]
    assert found["20190720/delta-2"].data_time == (43_200 + 1_563_580_800) * 1000  # noon, when the second pass begins
    assert found["20190720/base"].data_time is None


def test_the_text_of_a_checkpoint_is_its_state(folder, tmp_path):
    assert (
        main(["export", str(folder / "run" / "20190720" / "2"), "--to", str(tmp_path / "m"), "--layout", "paddle"]) == 0
    )
    for name in ("embedding_w", "embedding_x"):
        text = read_sparse_text(folder / "run" / "20190720" / "2", name)
        saved = read_sparse_text(tmp_path / "m", name)
        assert len(text) > 50
        assert (text.ids.tobytes(), text.weights.tobytes()) == (saved.ids.tobytes(), saved.weights.tobytes())
        assert text.slots["g2sum"].tobytes() == saved.slots["g2sum"].tobytes()


@pytest.mark.parametrize("number", [1, 2])
def test_inference_models_are_consistent_with_checkpoints(folder, capsys, number):
    day = folder / "run" / "20190720"
    data = next((folder / "data").rglob("0000"))
    arguments = ["consistency", "--model", str(day / f"inference_model_{number}"), "--data", str(data)]
    assert main(arguments) == 0
    assert main([*arguments, "--checkpoint", str(day / str(3 - number))]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == ["inputs", "logit", "probability"] * 2
    assert all(line.endswith("equal") for line in lines[:3])
