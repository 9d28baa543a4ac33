import sys
from dataclasses import dataclass

import mindspore as ms
import numpy as np
import pytest
from mindspore import nn
from mindspore.train import Callback, CheckpointConfig, LossMonitor, Model, ModelCheckpoint, TimeMonitor

from mindspore_rec import RecModel
from mindspore_rec.distributed.exchange import Alone
from mindspore_rec.train.guard import NonFiniteGuard, TrainingDivergedError
from mindspore_rec.train.losses import LogLoss
from mindspore_rec.train.sharded_blocks import ShardedBlocks
from tests.train.small_networks import OneTable, Plain, dataset, rows


def new_model(network=None, **kwargs):
    ms.set_seed(1)
    network = network or OneTable()
    return RecModel(network, LogLoss(), nn.Adam(network.trainable_params(), 0.01), **kwargs)


def batches(count, size=32):
    return [rows(size, seed=k) for k in range(count)]


class Endless:
    """A stream that never ends by itself."""

    def __iter__(self):
        k = 0
        while True:
            yield rows(32, seed=k)
            k += 1


class Record(Callback):
    def __init__(self, stop_after=None):
        super().__init__()
        self.events, self.losses, self.stop_after = [], [], stop_after

    def on_train_begin(self, run_context):
        self.events.append("begin")

    def on_train_end(self, run_context):
        self.events.append("end")

    def on_train_step_end(self, run_context):
        cb_params = run_context.original_args()
        self.losses.append(float(cb_params.net_outputs.asnumpy()))
        if cb_params.cur_step_num == self.stop_after:
            run_context.request_stop()


def test_is_a_framework_model():
    assert isinstance(new_model(), Model)


def test_a_bounded_dataset_returns_at_its_end():
    model, record = new_model(), Record()
    model.online_train(dataset(batches(5)), callbacks=[record])
    assert record.events == ["begin", "end"]
    assert (len(record.losses), model.progress.step, model.progress.rows_trained) == (5, 5, 160)


def test_a_stream_stops_when_asked():
    model, record = new_model(), Record(stop_after=3)
    stream = dataset(None)
    stream.source = lambda: iter(Endless())
    stream.dataset_size = sys.maxsize
    model.online_train(stream, callbacks=record)
    assert model.progress.step == 3
    assert record.events[-1] == "end"


class Streaming:
    """A bounded stream that was read to its end before its batches were trained, as MindData does."""

    def __init__(self, count):
        self._batches, self._infos = batches(count), [StreamInfo(k + 1) for k in range(count)]
        self.final_info = StreamInfo(1000)

    def get_dataset_size(self):
        return sys.maxsize

    def create_tuple_iterator(self, **options):
        return iter([tuple(ms.Tensor(column) for column in batch) for batch in self._batches])

    def next_info(self):
        return self._infos.pop(0)


@dataclass
class StreamInfo:
    position: int
    rejected: int = 0


def test_the_position_passes_the_end_of_a_stream_once_all_of_it_was_trained():
    model = new_model()
    model.online_train(Streaming(3), callbacks=[Record()])
    assert model.progress.position == 1000


def test_a_stop_before_the_end_of_a_stream_leaves_the_position_at_what_was_trained():
    """Or the batches that were read and not trained would be lost."""
    model = new_model()
    model.online_train(Streaming(3), callbacks=[Record(stop_after=2)])
    assert model.progress.position == 2


@pytest.mark.parametrize("value", [0, 1, "True", None])
def test_dataset_sink_mode_must_be_a_bool(value):
    with pytest.raises(TypeError, match="bool"):
        new_model().online_train(dataset(batches(1)), dataset_sink_mode=value)


@pytest.mark.parametrize(
    ("value", "message"),
    [(2, "The sink_size parameter only support value of 1"), (0, "must > 0"), (-1, "must > 0"), ("1", "must be int")],
)
def test_sink_size_must_be_one(value, message):
    with pytest.raises(ValueError, match=message):
        new_model().online_train(dataset(batches(1)), sink_size=value)


def test_pynative_mode_is_refused():
    ms.set_context(mode=ms.PYNATIVE_MODE)
    try:
        with pytest.raises(ValueError, match="GRAPH_MODE"):
            new_model().online_train(dataset(batches(1)))
    finally:
        ms.set_context(mode=ms.GRAPH_MODE)


def test_framework_callbacks_work(tmp_path, capsys):
    model = new_model()
    saver = ModelCheckpoint("wd", str(tmp_path), CheckpointConfig(save_checkpoint_steps=2, keep_checkpoint_max=2))
    model.online_train(dataset(batches(6)), callbacks=[LossMonitor(1), TimeMonitor(), saver])
    printed = capsys.readouterr().out
    assert printed.count("loss is") == 6
    assert "epoch: 1 step: 6, loss is" in printed
    assert "per step time" in printed
    written = {path.name for path in tmp_path.glob("*.ckpt*")}
    assert written == {"wd-1_4.ckpt", "wd-1_4.ckpt.tables", "wd-1_6.ckpt", "wd-1_6.ckpt.tables"}


def test_the_cpu_falls_back_from_sink_mode_with_one_line(caplog):
    caplog.set_level("INFO")
    new_model().online_train(dataset(batches(2)), dataset_sink_mode=True)
    assert sum("dataset_sink_mode" in record.message for record in caplog.records) == 1


def test_train_eval_and_predict_of_the_framework():
    model = new_model(metrics={"loss"})
    data = batches(4)
    before = model.eval(dataset(data))["loss"]
    model.train(8, dataset(data), dataset_sink_mode=False)
    after = model.eval(dataset(data))["loss"]
    assert after < 0.9 * before
    ids, weights, _ = data[0]
    logits = model.predict(ms.Tensor(ids[:5]), ms.Tensor(weights[:5]))
    assert logits.shape == (5, 1)


def test_online_training_equals_one_epoch_of_train():
    data = batches(5)
    online, epoch = new_model(), new_model()
    for mine, theirs in zip(online.train_network.get_parameters(), epoch.train_network.get_parameters()):
        theirs.set_data(ms.Tensor(mine.asnumpy()))
    online.online_train(dataset(data))
    epoch.train(1, dataset(data), dataset_sink_mode=False)
    for mine, theirs in zip(online.train_network.get_parameters(), epoch.train_network.get_parameters()):
        np.testing.assert_array_equal(mine.asnumpy(), theirs.asnumpy())


@pytest.mark.parametrize("method", ["train", "online_train"])
def test_a_short_batch_is_padded_to_the_batch_size_of_the_data_set(method):
    network = OneTable()
    model = new_model(network)
    short = dataset([rows(5)])
    short.batch_size = 32
    given = (short,) if method == "online_train" else (1, short)
    getattr(model, method)(*given, dataset_sink_mode=False)
    assert network.deep.row_blocks[0].shape[0] == 32


@pytest.mark.parametrize("own_loss", [False, True], ids=["loss_fn", "loss in the network"])
def test_a_plain_network_trains_too(own_loss):
    data = [(weights, (weights.sum(1, keepdims=True) > 1.5).astype(np.float32)) for _, weights, _ in batches(30)]
    network, loss = Plain(), nn.BCEWithLogitsLoss()
    if own_loss:
        network = nn.WithLossCell(network, loss)
    record = Record()
    model = RecModel(network, None if own_loss else loss, nn.Adam(network.trainable_params(), 0.05))
    model.online_train(dataset(data, ("weight", "label")), callbacks=record)
    assert record.losses[-1] < 0.9 * record.losses[0]


def test_a_network_with_lookups_needs_an_optimizer():
    with pytest.raises(ValueError, match="optimizer is None"):
        RecModel(OneTable(), LogLoss())


def test_ten_batches_in_a_row_that_are_not_finite_stop_training(tmp_path):
    good, bad = rows(32), rows(32)
    bad[1][0, 0] = np.nan
    letters = tmp_path / "skipped.jsonl"
    model, record = new_model(guard=NonFiniteGuard(10, letters)), Record()
    with pytest.raises(TrainingDivergedError, match="10 batches in a row"):
        model.online_train(dataset([good] + [bad] * 9 + [good] + [bad] * 12), callbacks=record)
    assert (model.progress.step, model.progress.rows_skipped) == (2, 19 * 32)
    assert len(letters.read_text().splitlines()) == 19
    assert np.isfinite(record.losses).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [({"staleness": 2}, "staleness = 2"), ({"staleness": 1, "exact_rows": 8}, "with exact_rows = 8 only 0")],
)
def test_staleness_is_refused_where_it_means_nothing(options, message):
    with pytest.raises(ValueError, match=message):
        new_model(**options)


class Mirror(Alone):
    """The exchange with a rank that has the same rows, but asks for none: it owns no ids."""

    size = 2

    def sum(self, array):
        return 2 * array

    def all_to_all(self, parts):
        return [parts[0], parts[0][:0]]

    def gather(self, array):
        return [array, array]


@pytest.mark.parametrize("ready", [True, False])
@pytest.mark.parametrize("staleness", [0, 1])
def test_rows_are_fetched_ahead_where_the_next_batch_is_there(monkeypatch, staleness, ready):
    fetched, fetch = [], ShardedBlocks.fetch

    def noted(blocks, inputs, count):
        fetched.append(model.progress.step)
        return fetch(blocks, inputs, count)

    monkeypatch.setattr(ShardedBlocks, "fetch", noted)
    stream, record = Streaming(5), Record()
    stream.ready = ready
    model = new_model(exchange=Mirror(), owners=[0], staleness=staleness)
    model.online_train(stream, callbacks=[record])
    assert model.progress.step == 5
    assert fetched == ([0, 1, 2, 3] if staleness and ready else [])
    exact = Record()
    new_model(exchange=Mirror(), owners=[0]).online_train(Streaming(5), callbacks=[exact])
    assert record.losses[0] == exact.losses[0]
    assert (record.losses == exact.losses) == (not fetched)
