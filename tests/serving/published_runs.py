"""Short runs of the stream trainer that publish, and what their state is at each publication."""

import itertools

from mindspore import nn
from mindspore.train import Callback

from mindspore_rec import RecModel
from mindspore_rec.config import PublishConfig
from mindspore_rec.features.spec import FeatureSpec
from mindspore_rec.metrics.progressive import ProgressiveWindow
from mindspore_rec.models.rank.wide_deep.model import WideDeep
from mindspore_rec.serving.publication_folder import PublicationFolder
from mindspore_rec.serving.publisher import Publisher
from mindspore_rec.serving.trained_model import field_inputs
from mindspore_rec.train.eval_step import PredictStep
from mindspore_rec.train.hoist import lookup_cells
from mindspore_rec.train.losses import LogLoss
from mindspore_rec.train.window_monitor import WindowMonitor, sigmoid
from tests.serving.trained_models import FIELDS, Stream, stream_batch, stream_config

SPEC = FeatureSpec(dense_dim=2, slot_dim=FIELDS - 2)


class States(Callback):
    """What the trainer has after each publication, by version: rows of its tables and answers to some rows."""

    def __init__(self, network, publisher, probe):
        super().__init__()
        self.network, self.publisher, self.probe = network, publisher, probe
        self.rows, self.answers = {}, {}

    def on_train_step_end(self, run_context):
        self.publisher.wait()
        last = self.publisher.last
        if last is not None and last.manifest is not None and last.version not in self.rows:
            tables = {cell.table_name: cell.table.export_all() for cell in lookup_cells(self.network)}
            self.rows[last.version] = {
                name: {id_: row.tobytes() for id_, row in zip(rows.ids.tolist(), rows.weights)}
                for name, rows in tables.items()
            }
            self.network.set_train(False)
            logits = PredictStep(self.network)(*self.probe).asnumpy()
            self.network.set_train(True)
            self.answers[last.version] = sigmoid(logits)


class PublishedRun:
    """Wide&Deep on random batches, with a publication after every step.

    Args:
        path: folder of the publications.
        batches: to train on.
        publish: keys of PublishConfig.
        gate: of the publisher.
        model: keys of ModelConfig.
    """

    def __init__(self, path, batches, publish=None, gate=None, spec=SPEC, **model):
        config = stream_config(**model)
        self.network = WideDeep(config)
        optimizer = nn.Adam(self.network.trainable_params(), learning_rate=0.01)
        self.model = RecModel(self.network, LogLoss(), optimizer, clock=lambda: 1e9)
        window, ticks = ProgressiveWindow(1000), itertools.count()
        self.publisher = Publisher(
            PublicationFolder(path),
            self.model,
            PublishConfig(publish_path=str(path), publish_seconds=0.5, **(publish or {})),
            field_inputs(FIELDS),
            {"config": config.model_dump(mode="json")},
            window,
            gate,
            clock=lambda: float(next(ticks)),
            wall_clock=lambda: 1e9,
        )
        self.states = States(self.network, self.publisher, stream_batch(7, 99)[:2])
        stream = Stream(batches, {} if spec is None else vars(spec))
        callbacks = [WindowMonitor(window), self.publisher, self.states]
        self.model.online_train(stream, callbacks=callbacks, dataset_sink_mode=False)


def random_batches(count, rows=32, begin=0):
    return [stream_batch(rows, begin + k) for k in range(count)]
