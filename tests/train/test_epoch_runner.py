"""Epochs over a fixed set of files: what is logged, saved and found again, and what a user gets wrong."""

from __future__ import annotations

import json
import logging
import os
import signal
import time
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

import numpy as np
import pytest

from mindspore_rec.checkpoint.errors import CheckpointError
from mindspore_rec.checkpoint.store import CheckpointStore
from mindspore_rec.config import ConfigError, UserError
from mindspore_rec.data.part_reader import part_data
from mindspore_rec.job_config import DatasetConfig, EpochRunner, Phase
from mindspore_rec.models.model_file import PACKAGE, Model, load_model_file
from mindspore_rec.train.device import use_device
from mindspore_rec.train.epoch_runner import PhaseModel, run_epochs
from mindspore_rec.train.job_model import JobModel
from tests.slot_files import write_rows

SLOTS = ["click", "1", "2"]
FILE = PACKAGE / "rank" / "slot_dnn" / "model.py"

pytestmark = pytest.mark.usefixtures("_cpu")


@pytest.fixture
def _cpu() -> None:
    use_device("CPU")


class Exports:
    """Notes the inference models it is to write; `at` one of them, asks this process to end."""

    def __init__(self, at: str = "") -> None:
        self.written: List[str] = []
        self._at = at

    def __call__(self, job: JobModel) -> Exports:
        return self

    def inference(self, folder: Path) -> None:
        (folder / "model").write_text("", "utf-8")
        self.written.append(folder.name)
        if folder.name == f".writing-{self._at}":
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.2)  # the thread that takes signals notes it meanwhile; later is as good, a step later

    base = delta = text = inference


def phase_model(tmp_path: Path, name: str = "train", settings: Optional[Dict[str, Any]] = None, **keys: Any) -> Any:
    """A phase over two files, and slot_dnn made small."""
    given = {"name": name, "data_path": str(tmp_path / "data"), "sparse_slots": "click 1 2", "batch_size": 5, **keys}
    dataset = DatasetConfig(**given)
    if not Path(dataset.data_path).exists():
        for part in range(2):
            write_rows(Path(dataset.data_path) / f"part-{part}", 20, SLOTS, seed=part)
    file, data = load_model_file(FILE), part_data(dataset)
    chosen = file.settings(**{"fc_sizes": (4,), "sparse_feature_dim": 3, **(settings or {})})
    return PhaseModel(Phase(name, str(FILE), dataset), Model(file, chosen, data.schema, data.padding_id, {}))


def runner(tmp_path: Path, **keys: Any) -> EpochRunner:
    paths = {"save_checkpoint_path": str(tmp_path / "increment"), "save_inference_path": str(tmp_path / "inference")}
    return EpochRunner(**{"name": "runner", "class": "train", **paths, **keys})


def saved(folder: Path) -> Tuple[Dict[str, np.ndarray], int]:
    """All arrays of the one checkpoint of a folder, and its step."""
    (path,) = CheckpointStore(folder).paths()
    checkpoint = CheckpointStore(folder).newest()
    assert checkpoint is not None and path == checkpoint.path
    arrays = {f"{group}/{name}": array for group, found in checkpoint.groups.items() for name, array in found.items()}
    return arrays, checkpoint.meta["progress"]["step"]


def assert_equal(first: Path, second: Path) -> None:
    one, other = saved(first)[0], saved(second)[0]
    assert one.keys() == other.keys()
    for name in one:
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)


def test_what_is_logged_and_saved(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    exports = Exports()
    config = runner(tmp_path, epochs=5, save_checkpoint_interval=2, save_inference_interval=3, print_interval=3)
    assert run_epochs(config, [phase_model(tmp_path)], exports)
    lines = [line for line in caplog.messages if line.startswith("epoch: 2")]
    assert [line.split(", loss")[0] for line in lines] == ["epoch: 2, batch: 3", "epoch: 2, batch: 6"]
    assert all(" auc: " in line and line.endswith("samples/s") for line in lines)
    epochs = [line for line in caplog.messages if line.startswith("Epoch: ")]
    assert [line[:35] for line in epochs] == [f"Epoch: {k}, Train Global Metric: AUC=" for k in range(1, 6)]
    assert all("Ins number=40 (" in line for line in epochs)
    first, last = (float(line.split("AUC=")[1][:8]) for line in (epochs[0], epochs[-1]))
    assert first < 0.8 < last, "it learns"
    assert sorted(path.name for path in (tmp_path / "increment").iterdir()) == ["2", "4"]
    assert exports.written == [".writing-3"]
    assert (tmp_path / "inference" / "3" / "model").exists()
    assert saved(tmp_path / "increment" / "4")[1] == 4 * 8


def test_nothing_is_saved_where_nothing_is_asked_for(tmp_path: Path) -> None:
    assert run_epochs(runner(tmp_path, save_checkpoint_interval=-1), [phase_model(tmp_path)], Exports())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data"]


def test_two_epochs_and_two_more_are_four(tmp_path: Path) -> None:
    given = phase_model(tmp_path)
    for name, keys in (
        ("whole", {"epochs": 4, "save_checkpoint_interval": 4}),
        ("half", {"epochs": 2, "save_checkpoint_interval": 2}),
        ("rest", {"epochs": 2, "save_checkpoint_interval": 2, "init_model_path": str(tmp_path / "half")}),
    ):
        config = runner(tmp_path, **keys, save_checkpoint_path=str(tmp_path / name))
        assert run_epochs(config, [given], Exports(), clock=lambda: 0.0)
    assert_equal(tmp_path / "whole" / "4", tmp_path / "rest" / "2")
    assert saved(tmp_path / "half" / "2")[0].keys() == saved(tmp_path / "rest" / "2")[0].keys()


@pytest.fixture(scope="module")
def ten_epochs(tmp_path_factory: pytest.TempPathFactory) -> Tuple[Path, PhaseModel]:
    """A folder with every second of ten epochs, and what was trained."""
    use_device("CPU")
    folder = tmp_path_factory.mktemp("ten")
    given = phase_model(folder)
    assert run_epochs(runner(folder, epochs=10, save_checkpoint_interval=2), [given], Exports())
    return folder, given


@pytest.mark.parametrize("path", ["increment", "increment/10", "increment/10/step-000000000080"])
def test_a_saved_model_is_found(
    path: str, ten_epochs: Tuple[Path, PhaseModel], caplog: pytest.LogCaptureFixture
) -> None:
    """Of several epochs the last, which is no matter of letters."""
    folder, given = ten_epochs
    caplog.set_level(logging.INFO)
    config = runner(folder, **{"class": "infer", "init_model_path": str(folder / path)})
    assert run_epochs(config, [given], Exports())
    expected = folder / "increment" / "10" / "step-000000000080"
    assert f"predicting with {expected}" in caplog.messages


def test_a_run_replaces_what_one_before_it_saved(tmp_path: Path) -> None:
    given = phase_model(tmp_path)
    for _ in range(2):
        config = runner(tmp_path, epochs=1, save_checkpoint_interval=1)
        (tmp_path / "increment" / ".writing-7").mkdir(parents=True)  # of one that was killed
        assert run_epochs(config, [given], Exports())
    assert sorted(path.name for path in (tmp_path / "increment").iterdir()) == ["1"]
    assert saved(tmp_path / "increment" / "1")[1] == 8


def test_predicting_is_what_the_trained_model_says(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """And its hyper-parameters are those it was trained with."""
    given = phase_model(tmp_path)
    assert run_epochs(runner(tmp_path, epochs=3, save_checkpoint_interval=3), [given], Exports())
    caplog.set_level(logging.INFO)
    write_rows(tmp_path / "test" / "part", 30, SLOTS, seed=9)
    other = phase_model(tmp_path, "test", {"fc_sizes": (7,)}, data_path=str(tmp_path / "test"), batch_size=7)
    config = runner(tmp_path, **{"class": "infer", "init_model_path": str(tmp_path / "increment")})
    before = sorted(str(path) for path in tmp_path.rglob("*"))
    assert run_epochs(config, [other, given], Exports())
    assert sorted(str(path) for path in tmp_path.rglob("*")) == before
    first, second = (line for line in caplog.messages if "Infer Global Metric" in line)
    assert first.startswith("Phase: test, Infer Global Metric: AUC=") and "Ins number=30 (" in first
    assert second.startswith("Phase: train, Infer Global Metric: AUC=") and "Ins number=40 (" in second
    assert sum("hyper_parameters are those of" in line for line in caplog.messages) == 1


def test_phases_are_stages_of_a_model(tmp_path: Path) -> None:
    """Where models are the same, what the first learned the second goes on with."""
    a, b = phase_model(tmp_path, "a"), phase_model(tmp_path, "b")
    config = runner(tmp_path, save_checkpoint_interval=1, epochs=2)
    assert run_epochs(config, [a, b], Exports(), clock=lambda: 0.0)
    alone = runner(tmp_path, save_checkpoint_interval=4, epochs=4, save_checkpoint_path=str(tmp_path / "alone"))
    assert run_epochs(alone, [a], Exports(), clock=lambda: 0.0)
    assert_equal(tmp_path / "increment" / "b" / "2", tmp_path / "alone" / "4")
    other = phase_model(tmp_path, "b", {"seed": 5})
    assert run_epochs(config, [a, other], Exports())
    assert saved(tmp_path / "increment" / "b" / "2")[1] == 2 * 8


def test_loaded_rows_are_shuffled_and_the_others_are_not(tmp_path: Path) -> None:
    def weights(name: str, **keys: Any) -> Dict[str, np.ndarray]:
        config = runner(tmp_path, epochs=1, save_checkpoint_interval=1, save_checkpoint_path=str(tmp_path / name))
        assert run_epochs(config, [phase_model(tmp_path, **keys)], Exports())
        return saved(tmp_path / name / "1")[0]

    ordered, loaded, again = weights("a"), weights("b", type="InmemoryDataset"), weights("c", type="InmemoryDataset")
    queued = weights("d", type="QueueDataset")
    name = "dense/mlp.layers.0.weight"
    assert not np.array_equal(ordered[name], loaded[name])
    np.testing.assert_array_equal(loaded[name], again[name])
    np.testing.assert_array_equal(ordered[name], queued[name])


def test_bad_rows_are_kept_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    given = phase_model(tmp_path)
    with (tmp_path / "data" / "part-1").open("a") as file:
        file.write("click:2 1:5\nclick:1 1:x\n")
    assert run_epochs(runner(tmp_path, epochs=3), [given], Exports())
    letters = [json.loads(line) for line in (tmp_path / "increment" / "dead_letters-0.jsonl").open()]
    assert [(letter["row"], letter["reason"]) for letter in letters] == [(20, "label"), (21, "number")]
    (line,) = [line for line in caplog.messages if "bad rows" in line]
    assert line.startswith(f"{tmp_path / 'data'}: 2 bad rows were left out")


def test_no_good_row_is_a_mistake(tmp_path: Path) -> None:
    given = phase_model(tmp_path, data_format="feasign_slot")
    with pytest.raises(UserError, match=r"no row of its files can be used; .*dead_letters-0.jsonl says why"):
        run_epochs(runner(tmp_path), [given], Exports())


def test_a_stop_between_steps_ends_after_the_epoch(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    exports = Exports(at="2")
    config = runner(tmp_path, epochs=5, save_checkpoint_interval=1, save_inference_interval=1)
    assert not run_epochs(config, [phase_model(tmp_path), phase_model(tmp_path, "next")], exports)
    assert exports.written == [".writing-1", ".writing-2"]
    assert any(line.startswith("stopped after epoch 2; newest checkpoint: ") for line in caplog.messages)


@pytest.mark.parametrize(
    ("keys", "settings", "message"),
    [
        ({"sparse_slots": "click 2 1"}, {}, r"was made with sparse = \['1', '2'\]; expected \['2', '1'\]"),
        ({}, {"fc_sizes": (3,)}, "does not fit: parameter .* needs shape"),
    ],
)
def test_another_model_is_not_gone_on_with(
    keys: Dict[str, str], settings: Dict[str, Any], message: str, tmp_path: Path
) -> None:
    assert run_epochs(runner(tmp_path, save_checkpoint_interval=1), [phase_model(tmp_path)], Exports())
    other = phase_model(tmp_path, settings=settings, **keys)
    with pytest.raises(CheckpointError, match=message):
        run_epochs(runner(tmp_path, init_model_path=str(tmp_path / "increment")), [other], Exports())


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "increment").write_text("", "utf-8")
    with pytest.raises(ConfigError, match=r"save_checkpoint_path = '.*increment': expected a folder that can be"):
        run_epochs(runner(tmp_path, save_checkpoint_interval=1), [phase_model(tmp_path)], Exports())


def test_there_is_no_saved_model(tmp_path: Path) -> None:
    for path, message in (("nowhere", "no such folder"), ("data", "expected a checkpoint, or a folder of them")):
        with pytest.raises(CheckpointError, match=message):
            run_epochs(runner(tmp_path, init_model_path=str(tmp_path / path)), [phase_model(tmp_path)], Exports())
