"""A model at work: prediction touches nothing, training tells what it predicted of each row before it learned it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, List

import numpy as np
import pytest

from mindspore_rec.embedding.bags import Bags
from mindspore_rec.metrics.group_auc import GroupAUC
from mindspore_rec.models.model_file import Model
from mindspore_rec.train.eval_step import PredictStep
from mindspore_rec.train.guard import NonFiniteGuard, TrainingDivergedError
from mindspore_rec.train.job_model import JobModel
from mindspore_rec.train.part_dataset import PartDataset
from mindspore_rec.train.part_metrics import PartMetrics
from mindspore_rec.train.window_monitor import sigmoid
from tests.train.small_passes import (
    assert_same_state,
    dataset_of,
    lines,
    model_of,
    part_of,
    prices,
    prices_model,
    state_of,
)

MODEL = model_of(dataset_of("none"))
SIZE = 16
FIRST, SECOND, NEW = lines([1], SIZE), lines([2], 5), lines([3], 40)


def job_of(model: Model = MODEL, **options: Any) -> JobModel:
    return JobModel(model, clock=lambda: 1.0, **options)


def assert_same_metrics(found: PartMetrics, wanted: PartMetrics, rtol: float = 1e-6) -> None:
    assert found.summary().rows == wanted.summary().rows
    np.testing.assert_allclose(found.all.sums, wanted.all.sums, rtol=rtol)


@pytest.fixture(scope="module")
def job() -> JobModel:
    """One that is trained a little, with groups by the third slot."""
    made = job_of(gauc_slot="4")
    made.train(part_of(MODEL, lines([9], 4 * SIZE), SIZE))
    return made


def test_predicting_changes_nothing(job: JobModel) -> None:
    before = state_of(job)
    metrics = job.predict(part_of(MODEL, FIRST + SECOND + NEW, 7))
    assert metrics.summary().rows == SIZE + 5 + 40
    assert_same_state(state_of(job), before)


def test_rows_in_a_batch_do_not_show_in_predictions(job: JobModel) -> None:
    text = FIRST + SECOND + NEW
    found = [job.predict(part_of(MODEL, text, size)) for size in (1, 7, 100)]
    assert_same_metrics(found[1], found[0])
    assert_same_metrics(found[2], found[0])


def test_rows_are_predicted_before_they_are_trained() -> None:
    whole, by_batch = job_of(gauc_slot="4"), job_of(gauc_slot="4")
    wanted = PartMetrics(2)
    for text in (FIRST, SECOND):
        wanted.add(by_batch.predict(part_of(MODEL, text, SIZE)))
        by_batch.train(part_of(MODEL, text, SIZE))
    found = whole.train(part_of(MODEL, FIRST + SECOND, SIZE))
    assert_same_metrics(found, wanted, rtol=1e-4)  # new vectors begin within 1e-4 of the zeros that prediction reads
    assert found.gauc == pytest.approx(wanted.gauc, abs=0.05)
    assert_same_state(state_of(whole), state_of(by_batch))
    again = whole.predict(part_of(MODEL, FIRST + SECOND, SIZE))
    assert again.summary().auc > found.summary().auc + 0.1, "they have been learned"


def test_groups_are_those_of_the_slot(job: JobModel) -> None:
    dataset = part_of(MODEL, FIRST + SECOND, 100)
    bags, labels = next(dataset.create_tuple_iterator())
    assert isinstance(bags, Bags)
    groups = [ids[0] for ids in np.split(bags.ids, bags.offsets[1:-1])[2::3]]
    probabilities = sigmoid(PredictStep(job.network)(bags).asnumpy())
    wanted = GroupAUC()
    wanted.update(np.array(groups), labels, probabilities)
    assert job.predict(dataset).gauc == wanted.auc() != 0.5
    assert job_of().predict(part_of(MODEL, "", 1)).gauc is None


def test_everybody_is_told_of_rows(job: JobModel) -> None:
    trained: List[int] = []
    predicted: List[int] = []
    job.train(part_of(MODEL, FIRST + SECOND, SIZE), trained.append)
    job.predict(part_of(MODEL, FIRST + SECOND, 8), predicted.append)
    assert (trained, predicted) == ([SIZE, 5], [8, 8, 5])


def test_no_rows(job: JobModel) -> None:
    before = state_of(job)
    for metrics in (job.train(part_of(MODEL, "", SIZE)), job.predict(part_of(MODEL, "", SIZE))):
        assert metrics.summary().rows == 0
    assert_same_state(state_of(job), before)


def test_prediction_ends_where_it_is_asked_to(job: JobModel) -> None:
    rows: List[int] = []
    metrics = job.predict(part_of(MODEL, FIRST + SECOND + NEW, 4), rows.append, stopped=lambda: len(rows) == 2)
    assert (rows, metrics.summary().rows) == ([4, 4], 8)


def test_training_ends_where_its_data_are_stopped(job: JobModel) -> None:
    step = job.rec_model.progress.step
    dataset = part_of(MODEL, NEW, 4)
    metrics = job.train(dataset, lambda rows: dataset.stop())
    assert (dataset.stopped, metrics.summary().rows, job.rec_model.progress.step - step) == (True, 4, 1)


@pytest.fixture(scope="module")
def priced(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return prices_model(tmp_path_factory.mktemp("model"))


def test_batches_that_are_not_finite_count_nowhere_but_as_skipped(priced: Model, tmp_path: Path) -> None:
    job = job_of(priced, guard=NonFiniteGuard(dead_letters=tmp_path / "skipped.jsonl"))
    text = prices("1", "2", "3", "3e38", "5", "6")
    metrics = job.train(part_of(priced, text, 2))
    progress = job.rec_model.progress
    assert (progress.rows_trained, progress.rows_skipped, metrics.summary().rows) == (4, 2, 4)
    assert len((tmp_path / "skipped.jsonl").read_text().splitlines()) == 1
    with pytest.raises(TrainingDivergedError, match="10 batches in a row"):
        job.train(part_of(priced, prices(*["3e38"] * 20), 1))


def test_rows_whose_prediction_is_not_finite_are_left_out_and_said(
    priced: Model, caplog: pytest.LogCaptureFixture
) -> None:
    job = job_of(priced, gauc_slot="2")
    metrics = job.predict(part_of(priced, prices("1", "3e38", "3", "4", "3e38"), 3))
    assert metrics.summary().rows == 3
    assert metrics.groups is not None and sorted(metrics.groups.state()["groups"].tolist()) == [5, 7, 8]
    assert "2 rows have no finite prediction, no metric counts them" in caplog.text


def test_a_checkpoint_says_what_the_model_is(job: JobModel) -> None:
    about = job.state.checkpoint({}).meta["model"]
    assert (about["model"], about["label"], about["sparse"]) == ("rank/slot_dnn", "1", ["2", "3", "4"])
    assert isinstance(part_of(MODEL, "", 1), PartDataset) and [len(table) > 0 for table in job.tables] == [True, True]
