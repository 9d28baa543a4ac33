"""Small models that were trained a little, for the tests of the serving room."""

import json
from pathlib import Path

import mindspore as ms
import numpy as np
from mindspore import nn

from mindspore_rec import RecModel
from mindspore_rec.checkpoint.format import Checkpoint
from mindspore_rec.checkpoint.store import CheckpointStore
from mindspore_rec.config import ModelConfig
from mindspore_rec.data.slot_schema import SlotSchema
from mindspore_rec.embedding.bags import Bags
from mindspore_rec.models.model_file import PACKAGE, Model, load_model_file
from mindspore_rec.models.rank.wide_deep.model import WideDeep
from mindspore_rec.serving.packed_network import AllVariables
from mindspore_rec.train.eval_step import PredictStep
from mindspore_rec.train.hoist import lookup_cells
from mindspore_rec.train.losses import LogLoss
from mindspore_rec.train.online_checkpoint import Every, OnlineCheckpoint
from mindspore_rec.train.step import TrainStep
from mindspore_rec.train.trainer_state import TrainerState

ms.set_context(mode=ms.GRAPH_MODE, device_target="CPU")

SLOTS = ("user", "item", "2", "page")
FIELDS = 5

# A model of its own: the logit reads two slots and a number, `interest` the third slot and a table of its own.
TWO_HEADS = '''
from typing import ClassVar, Tuple

import numpy as np
from mindspore import Tensor, ops
from mindspore.common.initializer import Uniform

from mindspore_rec.embedding.lookup import HashEmbeddingLookup
from mindspore_rec.embedding.optimizers import SGD
from mindspore_rec.models.layers import MLP
from mindspore_rec.models.slot_network import HyperParameters, SlotNetwork


class Settings(HyperParameters):
    """None of its own."""


class Network(SlotNetwork):
    """Two heads."""

    all_vars: ClassVar[Tuple[str, ...]] = ("interest", "logit", "probability")
    inference_feed_vars: ClassVar[Tuple[str, ...]] = ("item", "age", "user")

    def __init__(self, settings, schema, padding_id, tables):
        super().__init__(settings, schema, padding_id, tables)
        rng = np.random.default_rng(settings.seed)
        self.shared = HashEmbeddingLookup(3, name="shared", optimizer=SGD(0.5), param_init=Uniform(1.0))
        self.other = HashEmbeddingLookup(2, name="other", optimizer=SGD(0.5), param_init=Uniform(1.0), pooling="mean")
        self.main, self.side = MLP(7, (4,), rng), MLP(2, (), rng)
        self.join = ops.Concat(axis=1)

    def variables(self, ids: Tensor, dense: Tensor):
        user, item = self.shared(ids[:, 0:1]), self.shared(ids[:, 1])
        interest = self.side(self.other(ids[:, 2:3]).reshape((-1, 2)))
        logit = self.main(self.join((user.reshape((-1, 3)), item, dense[:, 1:2])))
        return interest, logit, ops.sigmoid(logit)
'''


def slot_dnn(tables=None, padding_id=0, dense=(("age", 1), ("price", 2))):
    file = load_model_file(PACKAGE / "rank/slot_dnn/model.py")
    settings = file.settings(fc_sizes=(8,), sparse_feature_dim=3, optimizer={"learning_rate": 0.05})
    return Model(file, settings, SlotSchema("click", SLOTS, dense), padding_id, tables or {})


def two_heads(folder: Path):
    path = folder / "model.py"
    path.write_text(TWO_HEADS)
    file = load_model_file(path)
    return Model(file, file.settings(), SlotSchema("click", SLOTS[:3], (("height", 1), ("age", 1))), None, {})


def batch(schema, rows, seed=0, weighted=False):
    """Bags of up to three values a slot, some of them 0, numbers where there are any, and labels."""
    rng = np.random.default_rng(seed)
    slots = len(schema.sparse)
    counts = rng.integers(0, 4, rows * slots)
    offsets = np.concatenate(([0], np.cumsum(counts)))
    ids = rng.integers(0, 30, offsets[-1]) * (2**59 + 1)  # some are above 2^63
    weights = rng.random(ids.size, np.float32) if weighted else None
    dense = [rng.random((rows, schema.dense_dim), np.float32)] * bool(schema.dense_dim)
    return (Bags(slots, ids, offsets, weights), *dense, rng.integers(0, 2, (rows, 1)).astype(np.float32))


def trained(model, steps=3, rows=32):
    """A network of a model after some steps."""
    network = model.network()
    step = TrainStep(network, LogLoss(), model.optimizer(network))
    for k in range(steps):
        step(*batch(model.schema, rows, k))
    return network


def stream_config(**keys):
    return ModelConfig(num_fields=FIELDS, emb_dim=3, layers=(8,), deep_learning_rate=0.05, **keys)


def stream_batch(rows, seed=0):
    rng = np.random.default_rng(seed)
    ids = rng.integers(-20, 20, (rows, FIELDS)) * 2**40
    return ids, rng.random((rows, FIELDS), np.float32), rng.integers(0, 2, (rows, 1)).astype(np.float32)


class Stream:
    """Batches of a stream, with the spec of its ids."""

    def __init__(self, batches, spec):
        self._batches, self.spec_json = batches, json.dumps(spec)

    def get_dataset_size(self):
        return len(self._batches)

    def create_tuple_iterator(self, **options):
        return iter([tuple(ms.Tensor(column) for column in columns) for columns in self._batches])


class StreamRun:
    """Wide&Deep trained as online_train.py does: a full checkpoint after a step, and deltas."""

    def __init__(self, folder: Path, batches=None, spec=None, **keys):
        config = stream_config(**keys)
        self.network = WideDeep(config)
        optimizer = nn.Adam(self.network.trainable_params(), learning_rate=0.01)
        self.model = RecModel(self.network, LogLoss(), optimizer, clock=lambda: 1e9)
        kept = config.model_dump(mode="json", include=set(ModelConfig.model_fields))
        state, self.store = TrainerState(self.model, config=kept), CheckpointStore(folder)
        saver = OnlineCheckpoint(self.store, state, full=Every(10, 0), delta=Every(1, 0), restored=None)
        stream = Stream(batches or [stream_batch(32, k) for k in range(3)], spec or {})
        self.model.online_train(stream, callbacks=[saver], dataset_sink_mode=False)


def saved(folder: Path, model, network, step=3, **meta):
    """A checkpoint of a model, as pass-by-pass training writes it; its folder."""
    dense = {p.name: p.asnumpy() for p in network.get_parameters() if not p.name.endswith("table_stamp")}
    tables = {f"table-{cell.table_name}": cell.table.state() for cell in lookup_cells(network)}
    about = {cell.table_name: cell.table.about() for cell in lookup_cells(network)}
    content = {"progress": {"step": step}, "spec": {}, "tables": about, "model": model.describe(), **meta}
    return CheckpointStore(folder).write(step, Checkpoint({"dense": dense, **tables}, content))


def variables_of(network, *inputs):
    """What the network in training makes of a batch, by name."""
    cell = AllVariables(network)
    return {name: part.asnumpy() for name, part in zip(cell.names, PredictStep(cell)(*inputs))}


def rows_of(network):
    return {cell.table_name: cell.table.export_all() for cell in lookup_cells(network)}
