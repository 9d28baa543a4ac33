"""The callbacks of online training, with a clock of the test's own."""

import numpy as np
import pytest
from mindspore import nn

from mindspore_rec import RecModel
from mindspore_rec.checkpoint.store import CheckpointStore
from mindspore_rec.metrics import auc
from mindspore_rec.metrics.progressive import ProgressiveWindow
from mindspore_rec.train.losses import LogLoss
from mindspore_rec.train.online_checkpoint import Every, OnlineCheckpoint
from mindspore_rec.train.progress_line import ProgressLine
from mindspore_rec.train.trainer_state import TrainerState
from mindspore_rec.train.window_monitor import WindowMonitor, sigmoid
from tests.train.small_networks import OneTable, dataset, rows


class Clock:
    """Each look at it is `tick` seconds after the one before."""

    def __init__(self, tick):
        self.now, self.tick = 0.0, tick

    def __call__(self):
        self.now += self.tick
        return self.now


@pytest.fixture
def model():
    network = OneTable()
    return RecModel(network, LogLoss(), nn.Adam(network.trainable_params(), 0.01))


def data(count):
    return dataset([rows(32, seed=k) for k in range(count)])


def steps(store):
    return [int(path.name.split("-")[1]) for path in store.paths()]


def test_a_checkpoint_every_n_steps_and_at_the_end(model, tmp_path):
    store = CheckpointStore(tmp_path, keep=9)
    model.online_train(data(8), callbacks=OnlineCheckpoint(store, TrainerState(model), Every(steps=3)))
    assert steps(store) == [3, 6, 8]


def test_a_checkpoint_every_t_seconds(model, tmp_path):
    store = CheckpointStore(tmp_path, keep=9)
    callback = OnlineCheckpoint(store, TrainerState(model), Every(seconds=2.0), clock=Clock(0.5))
    model.online_train(data(9), callbacks=callback)
    assert steps(store) == [4, 8, 9]
    assert callback.last_path == store.newest_path()


def test_nothing_new_is_not_written_twice(model, tmp_path):
    store = CheckpointStore(tmp_path, keep=9)
    model.online_train(data(4), callbacks=OnlineCheckpoint(store, TrainerState(model), Every(steps=4)))
    assert steps(store) == [4]


def test_an_unwritable_folder_does_not_stop_training(model, tmp_path, caplog):
    (tmp_path / "file").write_text("in the way")
    callback = OnlineCheckpoint(CheckpointStore(tmp_path / "file"), TrainerState(model), Every(steps=2))
    model.online_train(data(4), callbacks=callback)
    assert model.progress.step == 4
    assert "no checkpoint was written" in caplog.text
    assert callback.last_path is None


class Predictions(WindowMonitor):
    """A window monitor that keeps what it saw."""

    def __init__(self, window):
        super().__init__(window)
        self.labels, self.logits = [], []

    def on_train_step_end(self, run_context):
        super().on_train_step_end(run_context)
        result = run_context.original_args().step_result
        self.labels.append(result.labels)
        self.logits.append(result.logits)


def test_the_window_holds_predictions_made_before_learning(model):
    window = ProgressiveWindow(64)
    monitor = Predictions(window)
    model.online_train(data(5), callbacks=monitor)
    labels, logits = (np.concatenate(parts).ravel()[-64:] for parts in (monitor.labels, monitor.logits))
    assert window.rows == 160
    assert window.auc() == auc(labels, sigmoid(logits))
    fresh = OneTable()
    first = RecModel(fresh, LogLoss(), nn.Adam(fresh.trainable_params(), 0.01))
    for mine, theirs in zip(first.train_network.get_parameters(), model.train_network.get_parameters()):
        assert mine.shape == theirs.shape
    assert monitor.source_rows is None


def test_the_window_sees_the_same_steps_in_train_of_the_framework(model):
    good, bad = rows(32), rows(32)
    bad[1][0, 0] = np.nan
    windows = []
    for train in (RecModel.online_train, lambda model, *rest, **more: model.train(1, *rest, **more)):
        window = ProgressiveWindow(64)
        train(model, dataset([good, bad, good]), callbacks=[WindowMonitor(window)], dataset_sink_mode=False)
        windows.append(window)
    assert [window.rows for window in windows] == [64, 64]  # the skipped batch is in neither


def test_the_progress_line(model, caplog):
    caplog.set_level("INFO")
    window = ProgressiveWindow(64)
    line = ProgressLine(window, every_seconds=2.0, clock=Clock(1.0))
    model.online_train(data(6), callbacks=[WindowMonitor(window), line])
    lines = [record.message for record in caplog.records if record.message.startswith("rows ")]
    assert len(lines) == 2
    assert lines[0].startswith("rows 96 | 32 samples/s | AUC ")
    assert all(part in lines[0] for part in ("log loss", "COPC"))
    assert line.samples_per_s == 32.0
