"""MindRecord files as data sets, and training from them compared to training from Kafka."""

from __future__ import annotations

import shutil
import signal

import mindspore as ms
import numpy as np
import pytest
from mindspore import nn
from mindspore.dataset import MindDataset
from mindspore.train import Callback

from mindspore_rec import RecModel
from mindspore_rec.checkpoint.store import CheckpointStore
from mindspore_rec.config import FeatureConfig, ModelConfig, UserError
from mindspore_rec.data.mindrecord import MindRecordFile, count_rows, files_of, mindrecord_dataset
from mindspore_rec.data.part_files import Block, open_part
from mindspore_rec.data.synthetic import SyntheticStream
from mindspore_rec.features.engine import make_engine
from mindspore_rec.metrics.progressive import ProgressiveWindow
from mindspore_rec.models.rank.wide_deep.model import WideDeep
from mindspore_rec.train.losses import LogLoss
from mindspore_rec.train.window_monitor import WindowMonitor
from tests.examples.programs import running_programs

ms.set_context(mode=ms.GRAPH_MODE, device_target="CPU")

CONFIG = ModelConfig(emb_dim=4, layers=(16,), batch_size=256)
SAME_MODEL = ["--emb_dim", "4", "--layers", "16", "--batch_size", "256"]
WINDOW = 5000
ROWS = 20_000


@pytest.fixture(scope="module")
def lines():
    return SyntheticStream(11).lines(0, ROWS)


@pytest.fixture(scope="module")
def features(lines):
    found = make_engine(FeatureConfig()).transform([lines], "block")
    return found.ids, found.weights, found.labels


@pytest.fixture(scope="module")
def files(features, tmp_path_factory):
    """The rows in three files, whose names are out of order: the list decides."""
    folder, paths = tmp_path_factory.mktemp("parts"), []
    for name, start, end in (("c", 0, 9001), ("a", 9001, 9004), ("b", 9004, ROWS)):
        with open_part("mindrecord", folder, name, block_rows=300) as part:
            part.write(*(column[start:end] for column in features))
        paths.append(folder / f"{name}.mindrecord")
    return paths


def new_model(**options):
    network = WideDeep(CONFIG)
    return RecModel(network, LogLoss(), nn.Adam(network.trainable_params(), CONFIG.dense_learning_rate), **options)


def batches(dataset):
    return list(dataset.create_tuple_iterator(num_epochs=1, output_numpy=True))


@pytest.mark.parametrize("batch_size", [256, 300, 1000, 7001, ROWS, 2 * ROWS])
def test_batches_are_whole_and_in_the_order_of_the_files(files, features, batch_size):
    dataset = mindrecord_dataset(files, batch_size)
    assert dataset.get_col_names() == ["id", "weight", "label"]
    for _ in range(2):  # each iteration begins anew
        found = batches(dataset)
        assert [len(batch[0]) for batch in found] == [
            min(batch_size, ROWS - start) for start in range(0, ROWS, batch_size)
        ]
        assert dataset.get_dataset_size() == len(found)
        for column, expected in zip(zip(*found), features):
            joined = np.concatenate(column)
            assert (joined.dtype, joined.tobytes()) == (expected.dtype, expected.tobytes())


def test_minddataset_reads_the_files_as_they_are(files, features):
    blocks = batches(MindDataset([str(path) for path in files], ["id", "weight", "label"], shuffle=False))
    for column, expected in zip(zip(*blocks), features):
        assert np.concatenate(column).tobytes() == expected.tobytes()


def test_count_rows(files):
    assert [count_rows(path) for path in files] == [9001, 3, ROWS - 9004]


def test_blocks_that_differ_in_size_are_an_error(tmp_path, features):
    file = MindRecordFile(tmp_path / "part.mindrecord")
    for rows in (5, 4, 5):
        file.put(Block(*(column[:rows] for column in features)))
    file.close()
    with pytest.raises(RuntimeError, match="differ in size: 14 rows, 15 expected"):
        batches(mindrecord_dataset([tmp_path / "part.mindrecord"], 2))


@pytest.mark.parametrize("damage", ["missing", "no index", "truncated", "no MindRecord"])
def test_a_file_that_cannot_be_read_is_one_line_that_names_it(files, tmp_path, damage):
    for path in files_of(files[0]):
        shutil.copy(path, tmp_path)
    path, index = files_of(tmp_path / files[0].name)
    if damage == "missing":
        path.unlink()
    elif damage == "no index":
        index.unlink()
    elif damage == "truncated":
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    else:
        path.write_bytes(b"junk")
    with pytest.raises(UserError) as caught:
        mindrecord_dataset([files[1], path], 10)
    message = str(caught.value)
    assert message.startswith(f"{path} cannot be read as MindRecord: ")
    assert "\n" not in message
    assert "Refer to" not in message


def test_no_files_and_no_batch_size_are_refused(files):
    with pytest.raises(UserError, match="no MindRecord files"):
        mindrecord_dataset([], 10)
    with pytest.raises(ValueError, match="batch_size must be at least 1, got 0"):
        mindrecord_dataset(files, 0)


def test_training_and_evaluation_read_them(files):
    model = new_model(metrics={"loss"})
    dataset = mindrecord_dataset(files, CONFIG.batch_size)
    before = model.eval(dataset)["loss"]
    model.train(2, dataset, dataset_sink_mode=False)
    assert model.eval(dataset)["loss"] < 0.95 * before


def test_training_that_stops_early_lets_go_of_the_files(files):
    class StopAt3(Callback):
        def on_train_step_end(self, run_context):
            if run_context.original_args().cur_step_num == 3:
                run_context.request_stop()

    dataset = mindrecord_dataset(files, CONFIG.batch_size)
    window = ProgressiveWindow(WINDOW)
    new_model().train(1, dataset, callbacks=[WindowMonitor(window), StopAt3()], dataset_sink_mode=False)
    assert window.rows == 3 * CONFIG.batch_size
    assert len(batches(dataset)) == dataset.get_dataset_size()


@pytest.fixture
def programs(broker, topic, tmp_path):
    with running_programs(broker.bootstrap_servers, topic, tmp_path) as running:
        yield running


def test_training_from_files_equals_training_from_kafka(programs, lines, files, tmp_path):
    """The same rows in the same order: progressive AUCs are the same to 1e-6."""
    day = tmp_path / "day.tsv"
    day.write_bytes(lines)
    producer = programs.producer("--data_file", str(day), "--partitions", "1")
    consumer = programs.consumer("--num_shards", "1")
    ends = ["--max_rows", str(ROWS), "--metrics_window", str(WINDOW)]
    trainer = programs.trainer(*SAME_MODEL, "--num_shards", "1", *ends)

    window = ProgressiveWindow(WINDOW)
    offline = new_model()
    offline.train(
        1, mindrecord_dataset(files, CONFIG.batch_size), callbacks=[WindowMonitor(window)], dataset_sink_mode=False
    )

    assert producer.end() == 0
    assert trainer.end() == 0
    assert consumer.end(signal.SIGTERM) == 0
    online = trainer.summary()
    assert online["rows_trained"] == window.rows == ROWS
    assert online["auc_first_window"] == pytest.approx(window.first_window().auc, abs=1e-6)
    assert online["auc_last_window"] == pytest.approx(window.auc(), abs=1e-6)
    assert online["auc_last_window"] > 0.55  # something was learned
    state = CheckpointStore(programs.checkpoints).newest().groups["window"]
    np.testing.assert_array_equal(state["labels"], window.state()["labels"])
    np.testing.assert_allclose(state["probabilities"], window.state()["probabilities"], atol=1e-6)
