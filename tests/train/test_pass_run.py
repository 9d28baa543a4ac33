"""Reports of a real run of two small days: what a run that was stopped reports is what one without a break does."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import List, Optional

import numpy as np
import pytest

from mindspore_rec.checkpoint.chain import read_state
from mindspore_rec.checkpoint.store import CheckpointStore
from mindspore_rec.data.slot_schema import SlotSchema
from mindspore_rec.data.synthetic_passes import SPARSE_SLOTS
from mindspore_rec.data.synthetic_tree import Splits, write_tree
from mindspore_rec.job_config import DatasetConfig, OnlineRunner, TableParameters
from mindspore_rec.metrics.pass_records import PassRecord, read_records
from mindspore_rec.models.model_file import Model, load_model_file
from mindspore_rec.models.rank.slot_dnn import model as slot_dnn
from mindspore_rec.stream.pass_schedule import PassKey, PassSchedule
from mindspore_rec.train.device import use_device
from mindspore_rec.train.pass_loop import train_passes
from mindspore_rec.train.pass_model import PassModel
from mindspore_rec.train.pass_reports import NoBars, RunReports

SCHEDULE = PassSchedule("20190720", "20190721", 360, 2)
ROWS = 200


class NoFiles:
    """Exports that hold nothing."""

    def base(self, folder: Path) -> None:
        """As of `PassExporter`."""

    delta = inference = text = base


class StopInPass(NoBars):
    """Bars that send SIGTERM to this process in the middle of a pass."""

    def __init__(self, key: PassKey, stage: str) -> None:
        self._wanted, self._key, self._stage = (key, stage), PassKey("", 0), ""

    def begin_stage(self, key: PassKey, stage: str, rows: Optional[int]) -> None:
        self._key, self._stage = key, stage

    def advance(self, rows: int) -> None:
        if (self._key, self._stage) == self._wanted:
            self._stage = ""  # a second signal would end the process
            os.kill(os.getpid(), signal.SIGTERM)


@pytest.fixture(scope="module", autouse=True)
def _graph_mode() -> None:
    use_device("CPU")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_tree(folder, SCHEDULE, Splits(seed=7, rows=ROWS // 2, files=1), lambda name, rows: None)
    return folder


@pytest.fixture(scope="module")
def whole(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a run without a break leaves."""
    folder = tmp_path_factory.mktemp("whole")
    assert run(data, folder) == list(SCHEDULE.passes())
    return folder


def run(data: Path, folder: Path, bars: Optional[NoBars] = None) -> List[PassKey]:
    """Train what is left; the passes that were trained."""
    runner = OnlineRunner.model_validate(
        {
            **{"name": "runner", "class": "online_train", "start_day": "20190720", "end_day": "20190721"},
            **{"split_interval": 360, "split_per_pass": 2, "model_save_path": str(folder), "gauc_slot": "2"},
            **{"checkpoint_per_pass": 1, "save_delta_frequency": 2, "infer_batch_size": 64},
        }
    )
    dataset = DatasetConfig(
        name="data",
        type="InmemoryDataset",
        batch_size=32,
        data_path=str(data),
        data_format="feasign_slot",
        sparse_slots=SPARSE_SLOTS,
    )
    settings = slot_dnn.Settings(fc_sizes=(8,), sparse_feature_dim=3)
    schema = SlotSchema.from_keys(SPARSE_SLOTS)
    rules = {"accessor": {"ctr_accessor_param": {"delete_threshold": 0.5}}}  # the end of a day removes rows
    tables = {"embedding": TableParameters.model_validate(rules)}
    model = Model(load_model_file(Path(slot_dnn.__file__)), settings, schema, 0, tables)
    passes = PassModel(runner, dataset, model, lambda job: NoFiles())
    return [trained.key for trained in train_passes(passes, RunReports(folder, bars))]


def day_group(folder: Path) -> dict:
    path = CheckpointStore(folder).newest_path()
    assert path is not None
    return read_state(path).groups["day"]


@pytest.mark.parametrize("stage", ["Infer", "Train"])
def test_a_run_that_was_stopped_reports_as_one_without_a_break(
    stage: str, data: Path, whole: Path, tmp_path: Path
) -> None:
    broken, keys = tmp_path / "broken", list(SCHEDULE.passes())
    assert run(data, broken, StopInPass(keys[1], stage)) == keys[:1]
    stopped_at = 2 if stage == "Infer" else 3  # a stage that was stopped is not reported
    assert len(read_records(broken)) == stopped_at
    assert run(data, broken) == keys[1:]
    records = read_records(broken)
    assert records == read_records(whole)
    assert [(record.day, record.number, record.stage) for record in records] == [
        (day, number, stage) for day in SCHEDULE.days() for number in (1, 2, None) for stage in ("Infer", "Train")
    ]
    assert all(record.summary.rows == ROWS * record.passes and record.gauc is not None for record in records)
    for name in ("20190721/0", "20190722/0"):
        ends = [day_group(folder / name) for folder in (whole, broken)]
        assert ends[0].keys() == ends[1].keys()
        assert all(np.array_equal(ends[0][key], ends[1][key]) for key in ends[0])


def test_a_day_is_the_sum_of_its_passes(whole: Path) -> None:
    records = {(record.day, record.number, record.stage): record for record in read_records(whole)}
    for day in SCHEDULE.days():
        of_day: PassRecord = records[day, None, "Infer"]
        passes = [records[day, number, "Infer"] for number in (1, 2)]
        assert of_day.passes == 2
        assert of_day.summary.mae == pytest.approx(np.mean([record.summary.mae for record in passes]), rel=1e-12)
