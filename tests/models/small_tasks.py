"""Models trained on small tasks that NumPy draws, for the tests of the models."""

from __future__ import annotations

from typing import Any, Tuple

import mindspore as ms
import numpy as np

from mindspore_rec.data.slot_schema import SlotSchema
from mindspore_rec.job_config import TableParameters
from mindspore_rec.models.model_file import PACKAGE, Model, load_model_file
from mindspore_rec.models.slot_network import SlotNetwork
from mindspore_rec.train.eval_step import PredictStep
from mindspore_rec.train.losses import LogLoss
from mindspore_rec.train.step import TrainStep

ms.set_context(mode=ms.GRAPH_MODE, device_target="CPU")

Rows = Tuple[np.ndarray, ...]  # ids, the numbers where there are some, labels

NUMBERS = 3
VALUES = 8  # of a slot
TABLES = {"recall/ncf": ("user", "item"), "recall/word2vec": ("center", "context")}  # the others have `embedding`


def rules(initial_range: float = 0.1, **adagrad: Any) -> TableParameters:
    """Default rules, but for the optimizer of vectors."""
    changed = {"adagrad": {"initial_range": initial_range, **adagrad}}
    return TableParameters(accessor={"embedx_sgd_param": changed})


def model_of(name: str, slots: str, numbers: str = "", **settings: Any) -> Model:
    """A built-in model for slots ``label a b ...``, its vectors beginning within +-0.1."""
    file = load_model_file(PACKAGE / name / "model.py")
    given = file.settings(**{"optimizer": {"learning_rate": 0.01}, **settings})
    tables = {table: rules() for table in TABLES.get(name, ("embedding",))}
    return Model(file, given, SlotSchema.from_keys(slots, numbers), 0, tables)


def trained(model: Model, rows: Rows, epochs: int, batch: int = 64) -> SlotNetwork:
    """A new network after some epochs over the rows."""
    network = model.network()
    step = TrainStep(network, LogLoss(), model.optimizer(network))
    for _ in range(epochs):
        for start in range(0, len(rows[0]) - batch + 1, batch):
            step(*(column[start : start + batch] for column in rows))
    return network


def logits(network: SlotNetwork, rows: Rows) -> np.ndarray:
    """float32[n], what the network says of rows, their labels left aside."""
    return PredictStep(network)(*rows[:-1]).asnumpy()[:, 0]


def slot_ids(values: np.ndarray) -> np.ndarray:
    """int64[n, slots], ids of values 0, 1, 2, ... of each slot: none is 0, and no two slots share one."""
    return (values + 1 + 1000 * np.arange(1, values.shape[1] + 1)).astype(np.int64)


def numbers_of(count: int, rng: np.random.Generator) -> np.ndarray:
    """float32[n, NUMBERS], normal."""
    return rng.standard_normal((count, NUMBERS)).astype(np.float32)


def xor_rows(count: int, seed: int) -> Rows:
    """Rows of two slots, every pair of values as often: 1 where exactly one is odd, so one slot alone says nothing."""
    pairs = np.random.default_rng(seed).permutation(count) % VALUES**2
    values = np.stack((pairs // VALUES, pairs % VALUES), axis=1)
    labels = ((values[:, :1] + values[:, 1:]) % 2).astype(np.float32)
    return slot_ids(values), labels


def linear_rows(count: int, seed: int) -> Rows:
    """Rows of two slots and numbers: log odds are a sum over values and numbers."""
    rng = np.random.default_rng(seed)
    effects = np.linspace(-2, 2, VALUES)
    values, numbers = rng.integers(0, VALUES, (count, 2)), numbers_of(count, rng)
    odds = effects[values[:, :1]] - effects[values[:, 1:]] + numbers @ np.array([[1.5], [-1.0], [0.0]])
    labels = (rng.random((count, 1)) < 1 / (1 + np.exp(-odds))).astype(np.float32)
    return slot_ids(values), numbers, labels
