"""What a run leaves behind: from the newest whole checkpoint it goes on, of the same model, with its base's key."""

from __future__ import annotations

import logging
import re
import shutil
from pathlib import Path
from typing import Any, Dict, List

import numpy as np
import pytest

from mindspore_rec.checkpoint.donefiles import SavedCheckpoint, SavedExport, bases, checkpoints, patches
from mindspore_rec.checkpoint.errors import CheckpointError
from mindspore_rec.checkpoint.saved import read_saved
from mindspore_rec.config import ConfigError
from mindspore_rec.stream.pass_schedule import PassKey, PassSchedule
from mindspore_rec.train.job_model import JobModel
from mindspore_rec.train.pass_saver import PassSaver
from tests.train.small_passes import (
    FIRST,
    SAID,
    SECOND,
    Note,
    Recorder,
    assert_same_state,
    dataset_of,
    digest_of,
    lines,
    model_of,
    part_of,
    state_of,
)

SCHEDULE = PassSchedule(FIRST, SECOND, 360)
MODEL = model_of(dataset_of("none"))


class Clock:
    """Seconds that somebody sets."""

    def __init__(self, seconds: float = 1000.0) -> None:
        self.seconds = seconds

    def __call__(self) -> float:
        return self.seconds


class Saving:
    """A saver of a model, as a new process makes them."""

    def __init__(self, folder: Path, seconds: float = 1000.0, schedule: PassSchedule = SCHEDULE, **model: Any) -> None:
        self.job = JobModel(model_of(dataset_of("none", **model.pop("dataset", {})), **model), clock=lambda: 1.0)
        self.notes: List[Note] = []
        self.clock = Clock(seconds)
        exporter = Recorder(self.job, self.notes)
        self.saver = PassSaver(folder, self.job.state, exporter, schedule, self.clock)

    def change(self, by: float) -> None:
        """Stands for training."""
        weight = self.job.network.mlp.layers[0].weight
        weight.set_data(weight + by)


@pytest.fixture(scope="module")
def trained() -> Dict[str, np.ndarray]:
    """A model's state after some rows."""
    job = JobModel(MODEL, clock=lambda: 1.0)
    job.train(part_of(MODEL, lines([1]), 16))
    return job.state.checkpoint({})


@pytest.fixture
def run(tmp_path: Path, trained: Any) -> Saving:
    """With checkpoints of three passes, each of a state of its own, and a base."""
    saving = Saving(tmp_path)
    assert saving.saver.restore() is None
    saving.job.state.restore(trained)
    saving.saver.base(FIRST)
    for number, metrics in ((1, "AUC=0.1"), (2, "AUC=0.2"), (3, "AUC=0.3")):
        saving.change(1.0)
        saving.clock.seconds += 60
        saving.saver.monitor_data = metrics
        saving.saver.checkpoint(PassKey(FIRST, number))
        saving.saver.delta(PassKey(FIRST, number))
    return saving


def damage(folder: Path) -> None:
    """One bit of a table."""
    (file,) = folder.glob("step-*/table-embedding_w.safetensors")
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)


def test_it_goes_on_from_the_newest_checkpoint(run: Saving, tmp_path: Path) -> None:
    again = Saving(tmp_path, 5000.0)
    assert again.saver.restore("no such model") == PassKey(FIRST, 3), "a model to begin with is for new runs"
    before, after = state_of(run.job), state_of(again.job)
    deltas = (before.pop("exports/deltas"), after.pop("exports/deltas"))
    assert_same_state(after, before)
    assert [int(count[0]) for count in deltas] == [3, 2], "the delta that followed is to be exported again"
    assert again.saver.monitor_data == "AUC=0.3"
    assert again.saver.newest == tmp_path / FIRST / "3"
    again.saver.delta(PassKey(FIRST, 4))
    assert patches(tmp_path)[-1] == SavedExport(
        5000, bases(tmp_path)[0].key, str(tmp_path / FIRST / "delta-4"), "AUC=0.3"
    )


def test_the_lines_of_what_was_saved(run: Saving, tmp_path: Path) -> None:
    assert bases(tmp_path) == [SavedExport(1000, 1000, str(tmp_path / FIRST / "base"))]
    assert checkpoints(tmp_path) == [
        SavedCheckpoint(PassKey(FIRST, number), 1000, f"{tmp_path}/{FIRST}/{number}/") for number in (1, 2, 3)
    ]
    assert patches(tmp_path) == [
        SavedExport(1000 + 60 * number, 1000, f"{tmp_path}/{FIRST}/delta-{number}", f"AUC=0.{number}")
        for number in (1, 2, 3)
    ]


def test_a_base_has_a_key_of_its_own(run: Saving, tmp_path: Path) -> None:
    """Also two of one second, and where the clock goes back."""
    run.clock.seconds = 10.0
    run.saver.base(SECOND)
    run.saver.base(FIRST)
    run.saver.delta(PassKey(FIRST, 4))
    run.saver.checkpoint(PassKey(FIRST, 4))
    assert {Path(saved.input).parent.name: saved.key for saved in bases(tmp_path)} == {SECOND: 1001, FIRST: 1002}
    assert (patches(tmp_path)[-1].key, checkpoints(tmp_path)[-1].key) == (1002, 1002)


def test_a_damaged_checkpoint_is_passed_over(run: Saving, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    damage(tmp_path / FIRST / "3")
    again = Saving(tmp_path)
    assert again.saver.restore() == PassKey(FIRST, 2)
    assert f"skipping pass 3 of day {FIRST}: checkpoint {tmp_path}/{FIRST}/3/step-" in caplog.text
    assert "is damaged" in caplog.text
    assert (tmp_path / FIRST / "2" / SAID).read_text() == digest_of(again.job)
    assert again.saver.monitor_data == "AUC=0.2"
    shutil.rmtree(tmp_path / FIRST / "2")
    assert Saving(tmp_path).saver.restore() == PassKey(FIRST, 1)
    assert f"skipping pass 2 of day {FIRST}: {tmp_path}/{FIRST}/2: no such folder" in caplog.text


def test_no_whole_checkpoint_is_an_error_and_no_new_start(run: Saving, tmp_path: Path) -> None:
    for number in (1, 2, 3):
        damage(tmp_path / FIRST / str(number))
    with pytest.raises(CheckpointError, match="none of its checkpoints can be used") as found:
        Saving(tmp_path).saver.restore()
    assert f"model_save_path = {str(tmp_path)!r}" in str(found.value) and "\n" not in str(found.value)


def test_a_folder_without_a_line_is_none(run: Saving, tmp_path: Path) -> None:
    """A run that ends between the two has not saved."""
    shutil.copytree(tmp_path / FIRST / "3", tmp_path / FIRST / "4")
    assert Saving(tmp_path).saver.restore() == PassKey(FIRST, 3)


def test_a_damaged_donefile_is_one_line(run: Saving, tmp_path: Path) -> None:
    with (tmp_path / "donefile.txt").open("a") as file:
        file.write("2019")
    with pytest.raises(CheckpointError, match=r"donefile\.txt: the last line is cut off"):
        Saving(tmp_path).saver.restore()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"dataset": {"sparse_slots": "1 2 3 4 5"}}, "sparse = ['2', '3', '4']; expected ['2', '3', '4', '5']"),
        ({"dataset": {"sparse_slots": "click 2 3 4"}}, "label = '1'; expected 'click'"),
        ({"dataset": {"dense_slots": "price:2"}}, "dense = []; expected [['price', 2]]"),
    ],
)
def test_other_slots_are_refused_by_name(run: Saving, tmp_path: Path, options: Any, told: str) -> None:
    with pytest.raises(CheckpointError) as found:
        Saving(tmp_path, **options).saver.restore()
    assert told in str(found.value) and f"{tmp_path}/{FIRST}/3/" in str(found.value) and "\n" not in str(found.value)


def test_another_model_is_refused_by_name(run: Saving, tmp_path: Path) -> None:
    run.job.state.about["model"] = {**MODEL.describe(), "model": "rank/another"}
    run.saver.checkpoint(PassKey(FIRST, 4))
    with pytest.raises(CheckpointError, match="was made with model = 'rank/another'; expected 'rank/slot_dnn'"):
        Saving(tmp_path).saver.restore()


def test_other_settings_of_one_shape_go_on_with_a_word(
    run: Saving, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert Saving(tmp_path, optimizer={"class": "adam", "learning_rate": 0.5}).saver.restore() == PassKey(FIRST, 3)
    assert f"going on from {tmp_path}/{FIRST}/3/step-000000000002 with other hyper_parameters" in caplog.text
    with pytest.raises(
        CheckpointError, match=r"does not fit: parameter .*mlp.* needs shape \(9, 5\), it has shape \(9, 4\)"
    ):
        Saving(tmp_path, fc_sizes=(5,)).saver.restore()


@pytest.mark.parametrize(
    ("interval", "splits", "told"),
    [
        (180, 1, "split_interval = 180, split_per_pass = 1: expected split_interval = 360, split_per_pass = 1, with"),
        (180, 2, "split_interval = 180, split_per_pass = 2: expected split_interval = 360, split_per_pass = 1, with"),
        (720, 1, "a day has the passes 1 to 2, but 20190720 is trained to pass 3"),
    ],
)
def test_a_day_goes_on_with_passes_as_long_as_before(
    run: Saving, tmp_path: Path, interval: int, splits: int, told: str
) -> None:
    other = PassSchedule(FIRST, SECOND, interval, splits)
    with pytest.raises(ConfigError) as found:
        Saving(tmp_path, schedule=other).saver.restore()
    assert told in str(found.value) and "\n" not in str(found.value)
    later = PassSchedule(SECOND, SECOND, interval, splits)
    assert Saving(tmp_path, schedule=later).saver.restore() == PassKey(FIRST, 3)
    run.saver.checkpoint(PassKey(SECOND, 0))
    assert Saving(tmp_path, schedule=other).saver.restore() == PassKey(SECOND, 0), "a new day may have others"


def test_a_warm_start_takes_the_model_and_nothing_of_the_run(
    run: Saving, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "mindspore_rec")
    for path in (tmp_path / FIRST / "2", next((tmp_path / FIRST / "2").glob("step-*"))):
        new = tmp_path / f"new-{path.name}"
        again = Saving(new, 9000.0)
        assert again.saver.restore(str(path)) is None
        assert (tmp_path / FIRST / "2" / SAID).read_text() == digest_of(again.job)
        assert f"starting with {path}" in caplog.text
        again.saver.delta(PassKey(FIRST, 1))
        assert patches(new) == [SavedExport(9000, 9000, f"{new}/{FIRST}/delta-1", "")]


def test_a_warm_start_from_a_run_takes_its_last_checkpoint(run: Saving, tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / FIRST):
        again = Saving(tmp_path / f"new-{path.name}")
        assert again.saver.restore(str(path)) is None
        assert (tmp_path / FIRST / "3" / SAID).read_text() == digest_of(again.job)


@pytest.mark.parametrize("path", [f"{FIRST}/delta-1", "none"])
def test_a_warm_start_with_no_model(run: Saving, tmp_path: Path, path: str) -> None:
    with pytest.raises(CheckpointError, match=re.escape(str(tmp_path / path))) as found:
        Saving(tmp_path / "new").saver.restore(str(tmp_path / path))
    assert "\n" not in str(found.value)


def test_what_was_half_written_is_removed(run: Saving, tmp_path: Path) -> None:
    for name in (".writing-4", ".removing-3", "2.kept"):
        (tmp_path / FIRST / name / "inside").mkdir(parents=True)
    Saving(tmp_path).saver.restore()
    assert sorted(path.name for path in (tmp_path / FIRST).glob(".*")) == []
    assert (tmp_path / FIRST / "2.kept").is_dir()


def test_what_is_saved_again_takes_the_place_of_what_is_there(run: Saving, tmp_path: Path) -> None:
    (tmp_path / FIRST / "3" / "left").touch()
    run.change(1.0)
    run.saver.checkpoint(PassKey(FIRST, 3))
    assert not (tmp_path / FIRST / "3" / "left").exists()
    assert (tmp_path / FIRST / "3" / SAID).read_text() == digest_of(run.job)
    read_saved(tmp_path / FIRST / "3")
    assert len(checkpoints(tmp_path)) == 3


def test_nothing_that_is_not_finite_is_published(run: Saving, tmp_path: Path) -> None:
    run.change(float("nan"))
    with pytest.raises(CheckpointError, match="finite"):
        run.saver.checkpoint(PassKey(FIRST, 4))
    assert not (tmp_path / FIRST / "4").exists() and len(checkpoints(tmp_path)) == 3
    assert Saving(tmp_path).saver.restore() == PassKey(FIRST, 3)


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "inside"):
        with pytest.raises(ConfigError, match="expected a folder that can be written") as found:
            Saving(folder).saver.restore()
        assert f"model_save_path = {str(folder)!r}" in str(found.value)


def test_the_state_after_the_end_of_a_day_has_no_inference_model(run: Saving, tmp_path: Path) -> None:
    run.saver.checkpoint(PassKey(SECOND, 0))
    assert [path.name for path in (tmp_path / SECOND).iterdir()] == ["0"]
    assert run.notes[-1][:2] == ("text", f"{SECOND}/0")
    assert [note[:2] for note in run.notes[1:4]] == [
        ("text", f"{FIRST}/1"),
        ("inference", f"{FIRST}/inference_model_1"),
        ("delta", f"{FIRST}/delta-1"),
    ]
