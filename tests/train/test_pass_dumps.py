"""What a pass leaves for those who want to see it: its rows, as they were predicted and trained, and parameters."""

from __future__ import annotations

import json
import logging
import os
import signal
import time
from pathlib import Path
from typing import Any, Dict, Optional

import numpy as np
import pytest

from mindspore_rec.config import ConfigError
from mindspore_rec.data.part_reader import ReadRows, part_data
from mindspore_rec.data.slot_rows import slice_rows
from mindspore_rec.data.slot_schema import SlotSchema
from mindspore_rec.job_config import DatasetConfig, OnlineRunner, TableParameters
from mindspore_rec.models.model_file import Model, ModelFile, load_model_file
from mindspore_rec.train.guard import TrainingDivergedError
from mindspore_rec.train.job_model import JobModel
from mindspore_rec.train.part_dataset import PartDataset
from mindspore_rec.train.pass_loop import train_passes
from mindspore_rec.train.pass_model import PassModel
from tests.train import dumped_model
from tests.train.dump_lines import assert_computed, params_of, read, rows_of
from tests.train.dumped_model import parameters_of

DAY, SLOTS = "20190720", "1 2 3 4"
SCHEMA = SlotSchema.from_keys(SLOTS)
ROWS = 12  # of a file, one of them bad; two files a split, two splits a pass
BATCH = 20
DEADLINE = 60.0


class NoExports:
    """Exports nothing."""

    def __init__(self, job: JobModel) -> None:
        """Whatever the model is."""

    def base(self, folder: Path) -> None:
        """See `PassExporter`."""

    delta = inference = text = base


def text_of(name: str) -> str:
    """Rows of a file, of which one is none; and a blank line, which is no row at all."""
    rng = np.random.default_rng(list(name.encode()))
    lines = []
    for _ in range(ROWS):
        ids = [f"{rng.integers(1, 30)}:{slot}" for slot in (2, 3, 4) for _count in range(rng.integers(0, 3))]
        lines.append(" ".join([f"{rng.integers(0, 2)}:1", *ids]))
    lines[3], lines[7] = "no row", "\n" + lines[7]
    return "".join(f"{line}\n" for line in lines)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("days")
    for split in ("0000", "0600", "1200", "1800"):
        for part in ("part-2", "part-10"):
            path = folder / DAY / split / part
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text_of(f"{split}/{part}"))
    return folder


def runner_of(folder: Path, **options: Any) -> OnlineRunner:
    """A day of two passes of two splits; everything is dumped below the folder."""
    given = {
        "name": "online",
        "class": "online_train",
        "start_day": DAY,
        "end_day": DAY,
        "split_interval": 360,
        "split_per_pass": 2,
        "infer_batch_size": 10,
        "model_save_path": str(folder / "save"),
        "need_train_dump": True,
        "train_dump_fields_dir": str(folder / "train"),
        "need_infer_dump": True,
        "infer_dump_fields_dir": str(folder / "infer"),
    }
    return OnlineRunner(**{**given, **options})


def dataset_of(data: Path, **options: Any) -> DatasetConfig:
    """Of the 44 rows of a pass two batches and a short one."""
    given = {"name": "d", "data_path": str(data), "data_format": "feasign_slot", "sparse_slots": SLOTS}
    return DatasetConfig(**{**given, "thread_num": 2, **options})


def pass_model(
    data: Path,
    folder: Path,
    names: Optional[Dict[str, Any]] = None,
    batch_size: int = BATCH,
    in_order: bool = False,
    **options: Any,
) -> PassModel:
    """The model, with other `names` of what is dumped where they are given."""
    dataset = dataset_of(data, batch_size=batch_size, type="QueueDataset" if in_order else "InmemoryDataset")
    file, of_data = load_model_file(Path(dumped_model.__file__)), part_data(dataset)
    network = type("Network", (file.network,), names or {})
    file = ModelFile(file.path, "the model", file.settings, network)
    settings = file.settings(optimizer={"learning_rate": 0.05})
    rules = TableParameters(accessor={"embedx_sgd_param": {"adagrad": {"initial_range": 0.1}}})
    model = Model(file, settings, of_data.schema, of_data.padding_id, {"embedding": rules})
    return PassModel(runner_of(folder, **options), dataset, model, NoExports)


def test_predicted_rows_are_dumped_in_the_order_of_the_files(data: Path, tmp_path: Path) -> None:
    model = pass_model(data, tmp_path)
    for number, splits in ((1, ("0000", "0600")), (2, ("1200", "1800"))):
        part = next(model.parts())
        model.predict_part(part)
        lines = read(tmp_path / "infer" / DAY / str(number) / "part-00000")
        kept = [row for row in range(ROWS) if row != 3]
        names = [f"{split}/{part}" for split in splits for part in ("part-2", "part-10")]
        assert [id for id, _ in lines] == [f"{DAY}/{name}:{row}" for name in names for row in kept]
        assert all(list(values) == ["probability", "pooled"] for _, values in lines)
        assert_computed(SCHEMA, data, lines, model.job.network)
        model.train_part(part)


def test_trained_rows_are_dumped_as_they_were_before_their_batch_and_in_their_order(data: Path, tmp_path: Path) -> None:
    model = pass_model(data, tmp_path, batch_size=100)
    passes = model.parts()
    model.train_part(next(passes))
    first = read(tmp_path / "train" / DAY / "1" / "part-00000")
    dense = parameters_of(model.job.network)
    params = params_of(tmp_path / "train" / DAY / "1")
    assert list(params) == ["first.weight", "last.layers.0.bias"]
    assert all(params[name].tobytes() == dense[name].tobytes() for name in params)

    part = model.load(next(passes))
    model.train_part(part)  # all ids get their rows
    again = pass_model(data, tmp_path / "again", batch_size=100)
    again.job.state.restore(model.job.state.checkpoint({}))
    again.predict_part(part)
    predicted = dict(read(tmp_path / "again" / "infer" / DAY / "2" / "part-00000"))
    again.train_part(part)
    trained = read(tmp_path / "again" / "train" / DAY / "2" / "part-00000")
    assert sorted(id for id, _ in trained) == sorted(predicted)
    assert [id for id, _ in trained] != list(predicted)  # shuffled
    for id, values in trained:
        assert list(values) == ["label", "hidden", "pooled", "logit"]
        assert values["label"] == rows_of(SCHEMA, data, id).labels[0].tolist()
        np.testing.assert_allclose(values["pooled"], predicted[id]["pooled"], rtol=1e-6)
        odds = 1 / (1 + np.exp(-np.array(values["logit"])))
        np.testing.assert_allclose(odds, predicted[id]["probability"], rtol=1e-5)
    assert {id.split("/")[1] for id, _ in first} == {"0000", "0600"}


def test_each_batch_is_dumped_as_it_was_before_its_own_update(data: Path, tmp_path: Path) -> None:
    """Of data that is not shuffled: batch by batch, numpy looks at the tables, and then the batch is trained."""
    model = pass_model(data, tmp_path, in_order=True)
    part = next(model.parts())
    model.train_part(part)
    again = pass_model(data, tmp_path / "again")
    again.job.state.restore(model.job.state.checkpoint({}))
    model.train_part(part)
    dumped = read(tmp_path / "train" / DAY / "1" / "part-00000")
    rows = again.load(part.part).rows
    assert rows is not None
    for begin in range(0, len(dumped), BATCH):
        assert_computed(SCHEMA, data, dumped[begin : begin + BATCH], again.job.network)
        batch = ReadRows(slice_rows(rows.rows, begin, begin + BATCH), 0)
        again.job.train(PartDataset(lambda batch=batch: iter([batch]), again.job.model.schema, BATCH))
    assert (
        parameters_of(again.job.network)["first.weight"].tobytes()
        == params_of(tmp_path / "train" / DAY / "1")["first.weight"].tobytes()
    )


def test_rows_that_are_not_shuffled_keep_their_order(data: Path, tmp_path: Path) -> None:
    names = {"train_dump_fields": ("label",), "infer_dump_fields": ("label",)}
    model = pass_model(data, tmp_path, names, in_order=True)
    part = next(model.parts())
    model.predict_part(part)
    model.train_part(part)
    trained, predicted = (tmp_path / name / DAY / "1" / "part-00000" for name in ("train", "infer"))
    assert trained.read_text() == predicted.read_text()
    assert all(values == {"label": rows_of(SCHEMA, data, id).labels[0].tolist()} for id, values in read(trained))


def test_nothing_is_dumped_where_the_runner_does_not_say_so(data: Path, tmp_path: Path) -> None:
    off = {"need_train_dump": False, "need_infer_dump": False}
    wrong = {"train_dump_fields": ("nothing",), "train_dump_params": ("nothing",), "infer_dump_fields": ("nothing",)}
    model = pass_model(data, tmp_path, wrong, **off)
    part = next(model.parts())
    model.predict_part(part)
    model.train_part(part)
    assert not (tmp_path / "train").exists() and not (tmp_path / "infer").exists()


def test_parameters_alone(data: Path, tmp_path: Path) -> None:
    model = pass_model(data, tmp_path, {"train_dump_fields": ()}, need_infer_dump=False)
    model.train_part(next(model.parts()))
    assert [path.name for path in (tmp_path / "train" / DAY / "1").iterdir()] == ["params"]
    assert not (tmp_path / "infer").exists()


def test_a_pass_that_is_stopped_leaves_no_file_of_its_name_and_one_done_again_replaces_it(
    data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "mindspore_rec")
    infer, train = (tmp_path / name / DAY / "1" for name in ("infer", "train"))
    train.mkdir(parents=True)
    (train / "part-00001").touch()  # of a run of two ranks that crashed
    model = pass_model(data, tmp_path)
    part = next(model.parts())
    stops = iter([False, False])  # one batch of ten rows
    model.predict_part(part, stopped=lambda: next(stops, True))
    assert [path.name for path in infer.iterdir()] == [".part-00000.part"]

    def stop(rows: int) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        deadline = time.monotonic() + DEADLINE
        while "stopping: finishing the step" not in caplog.text:
            assert time.monotonic() < deadline
            time.sleep(0.001)

    assert model.train_part(part, stop) is None
    assert [path.name for path in train.iterdir()] == [".part-00000.part"]
    assert len(read(train / ".part-00000.part")) == BATCH

    model.predict_part(part)
    model.train_part(part)
    assert [path.name for path in infer.iterdir()] == ["part-00000"]
    assert sorted(path.name for path in train.iterdir()) == ["params", "part-00000"]
    assert len(read(infer / "part-00000")) == len(read(train / "part-00000")) == 4 * (ROWS - 1)


def test_rows_that_made_training_stop_are_there_to_be_looked_at(data: Path, tmp_path: Path) -> None:
    model = pass_model(data, tmp_path, batch_size=4)
    bias = model.job.network.last.layers[0].bias
    bias.set_data(bias * np.nan)
    with pytest.raises(TrainingDivergedError):
        model.train_part(next(model.parts()))
    lines = read(tmp_path / "train" / DAY / "1" / ".part-00000.part")
    assert len(lines) == 40 and all(np.isnan(values["logit"]).all() for _, values in lines)
    assert all(np.isfinite(values["hidden"]).all() for _, values in lines)


@pytest.mark.parametrize(
    ("names", "options", "message"),
    [
        (
            {"train_dump_fields": (), "train_dump_params": ()},
            {},
            "need_train_dump = true: the model names no train_dump_fields or train_dump_params, expected some",
        ),
        ({"infer_dump_fields": ()}, {}, "need_infer_dump = true: the model names no infer_dump_fields, expected some"),
        (
            {"train_dump_fields": ("logit", "logits")},
            {},
            "train_dump_fields of the model: 'logits' is no variable, expected some of pooled, hidden, logit, "
            "probability, label",
        ),
        (
            {"infer_dump_fields": ("embedding",)},
            {},
            "infer_dump_fields of the model: 'embedding' is no variable, expected some of pooled, hidden, logit, "
            "probability, label",
        ),
        (
            {"train_dump_params": ("first.weight", "embedding_w")},
            {},
            "train_dump_params of the model: 'embedding_w' is no dense parameter, expected some of first.weight, "
            "first.bias, last.layers.0.weight, last.layers.0.bias",
        ),
        (
            {},
            {"train_dump_fields_dir": "a/../dumps", "infer_dump_fields_dir": "dumps"},
            "infer_dump_fields_dir = 'dumps': expected another folder than train_dump_fields_dir",
        ),
    ],
)
def test_what_cannot_be_dumped_is_said_before_any_work(
    data: Path, tmp_path: Path, names: Dict[str, Any], options: Dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError) as raised:
        pass_model(data, tmp_path, names, **options)
    assert str(raised.value) == message
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_dumps_trains_what_one_that_does_not_does(data: Path, tmp_path: Path) -> None:
    states = []
    for name, needed in (("with", True), ("without", False)):
        model = pass_model(data, tmp_path / name, need_train_dump=needed, need_infer_dump=needed)
        train_passes(model)
        states.append(model.job.state.checkpoint({}))
    assert json.dumps(states[0].meta["progress"]) == json.dumps(states[1].meta["progress"])
    for group, arrays in states[0].groups.items():
        for name, array in arrays.items():
            assert array.tobytes() == states[1].groups[group][name].tobytes(), (group, name)
