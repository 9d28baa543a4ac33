"""When figures of a trainer are taken, and that they are those of the run."""

import urllib.request

import pytest
from mindspore import nn

from mindspore_rec import RecModel
from mindspore_rec.checkpoint.store import CheckpointStore
from mindspore_rec.config import TrainConfig
from mindspore_rec.metrics.progressive import ProgressiveWindow
from mindspore_rec.monitor.callbacks import monitors
from mindspore_rec.monitor.trainer_figures import FIGURES
from mindspore_rec.monitor.trainer_monitor import TABLE_SECONDS, TrainerMonitor
from mindspore_rec.train.losses import LogLoss
from mindspore_rec.train.online_checkpoint import Every, OnlineCheckpoint
from mindspore_rec.train.trainer_state import TrainerState
from mindspore_rec.train.window_monitor import WindowMonitor
from tests.stream.free_ports import free_ports
from tests.train.small_networks import OneTable, dataset, rows


class Clock:
    """Each look at it is `tick` seconds after the one before."""

    def __init__(self, tick):
        self.now, self.tick = 0.0, tick

    def __call__(self):
        self.now += self.tick
        return self.now


class Noted:
    """A sink that keeps what it is told."""

    def __init__(self, wants_tables=True):
        self.wants_tables = wants_tables
        self.begun, self.steps, self.reports, self.closed = [], [], [], 0

    def begin(self, rows):
        self.begun.append(rows)

    def step(self, seconds):
        self.steps.append(seconds)

    def report(self, figures):
        self.reports.append(figures)

    def close(self):
        self.closed += 1


class Losses(WindowMonitor):
    """Keeps the loss of each step besides."""

    def __init__(self, window):
        super().__init__(window)
        self.seen = []

    def on_train_step_end(self, run_context):
        super().on_train_step_end(run_context)
        self.seen.append(run_context.original_args().step_result.loss)


@pytest.fixture(scope="module")
def model():
    network = OneTable()
    return RecModel(network, LogLoss(), nn.Adam(network.trainable_params(), 0.01))


def train(model, batches, *callbacks):
    model.online_train(dataset([rows(32, seed=k) for k in range(batches)]), callbacks=list(callbacks))


def tables_of(model):
    lookup = model.train_network.network.deep
    return {lookup.table_name: lookup.table}


def test_reports_come_every_few_seconds_and_at_the_end(model):
    noted, begun = Noted(), model.progress.rows_trained
    # two looks at the clock a step: when it begins and when it ends
    monitor = TrainerMonitor([noted], every_seconds=3.0, clock=Clock(0.5), now=lambda: 1000.0)
    losses = Losses(ProgressiveWindow(8))
    train(model, 8, losses, monitor)
    assert noted.begun == [begun]
    assert noted.steps == [0.5] * 8
    assert [figures.rows - begun for figures in noted.reports] == [96, 192, 256]
    for figures, seen in zip(noted.reports, (losses.seen[:3], losses.seen[3:6], losses.seen[6:])):
        assert figures.values["loss"] == pytest.approx(sum(seen) / len(seen))
    assert noted.closed >= 1
    first = noted.reports[0].values
    assert first["samples_per_second"] == pytest.approx(32.0)
    assert (first["rows"] - begun, first["report_timestamp_seconds"]) == (96, 1000.0)
    assert noted.reports[0].event_time == -1 and "event_lag_seconds" not in first


def test_figures_are_those_of_the_run(model, tmp_path):
    noted, window = Noted(), ProgressiveWindow(64)
    checkpoint = OnlineCheckpoint(CheckpointStore(tmp_path, keep=9), TrainerState(model), Every(steps=2))
    published = {"version": 3.0, "held": 1.0, "bytes": 10.0, "click_to_servable_p50_seconds": 1.5}
    published["click_to_servable_p99_seconds"] = 2.5
    monitor = TrainerMonitor(
        [noted], window, tables_of(model), checkpoint=checkpoint, publications=lambda: published, every_seconds=1e9
    )
    losses = Losses(window)
    train(model, 4, losses, checkpoint, monitor)
    (figures,) = noted.reports
    values, metrics = figures.values, window.metrics()
    assert values["loss"] == pytest.approx(sum(losses.seen) / 4)
    assert (values["auc"], values["log_loss"], values["calibration"]) == metrics[1:]
    assert values["steps"] == model.progress.step
    assert values["checkpoint_seconds"] == checkpoint.last_seconds > 0
    assert {name: values[f"publication_{name}"] for name in published} == published
    assert set(values) == {figure.name for figure in FIGURES} - {"lag_messages", "event_lag_seconds"}
    (table,) = tables_of(model).values()
    ((name, found),) = figures.tables.items()
    assert (name, found["table_rows"], found["table_bytes"]) == (table.name, table.stats().rows, table.nbytes)


@pytest.mark.parametrize(("wants", "readings"), [(True, 3), (False, 0)])
def test_tables_are_read_where_they_are_wanted_and_not_at_every_report(model, wants, readings):
    noted = Noted(wants)
    ticks = TABLE_SECONDS / 8  # a step takes a quarter of the time between two readings
    train(model, 10, TrainerMonitor([noted], None, tables_of(model), every_seconds=0.1, clock=Clock(ticks)))
    assert len(noted.reports) == 11
    assert sum(bool(figures.tables) for figures in noted.reports) == readings


def test_sinks_are_closed_where_training_fails(model):
    noted = Noted()

    class Failure(WindowMonitor):
        def on_train_step_end(self, run_context):
            raise RuntimeError("as it happens")

    with pytest.raises(RuntimeError, match="as it happens"):
        train(model, 1, TrainerMonitor([noted]), Failure(ProgressiveWindow(8)))
    assert noted.closed == 1


def test_a_configuration_gives_the_callbacks(model, tmp_path):
    pytest.importorskip("tensorboardX")
    window = ProgressiveWindow(64)
    assert monitors(TrainConfig(), window, {}) == []
    port = free_ports(1)
    config = TrainConfig(metrics_port=port, tensorboard_path=str(tmp_path), report_seconds=1e-6)
    texts = []

    class Reader(WindowMonitor):
        def on_train_step_end(self, run_context):
            with urllib.request.urlopen(f"http://127.0.0.1:{port}", timeout=30) as answer:
                texts.append(answer.read().decode())

    train(model, 3, WindowMonitor(window), *monitors(config, window, tables_of(model)), Reader(window))
    assert f"msrec_train_rows_total {model.progress.rows_trained:.1f}" in texts[-1]
    assert f'msrec_train_table_rows{{table="{next(iter(tables_of(model)))}"}} ' in texts[-1]
    assert len(list(tmp_path.iterdir())) == 1
