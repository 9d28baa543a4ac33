"""Models trained on small tasks that NumPy draws, for the tests of the models."""

from __future__ import annotations

from typing import Any, Dict, Tuple

import mindspore as ms
import numpy as np
from mindspore import Tensor, nn

from mindspore_rec.data.slot_schema import SlotSchema
from mindspore_rec.job_config import TableParameters
from mindspore_rec.metrics.auc import auc
from mindspore_rec.models.model_file import PACKAGE, Model, load_model_file
from mindspore_rec.models.slot_network import SlotNetwork
from mindspore_rec.train.eval_step import PredictStep
from mindspore_rec.train.losses import LogLoss
from mindspore_rec.train.step import TrainStep

ms.set_context(mode=ms.GRAPH_MODE, device_target="CPU")

Rows = Tuple[Any, ...]  # ids or bags, the numbers where there are some, labels

NUMBERS = 3
VALUES = 8  # of a slot
TABLES = {"recall/ncf": ("user", "item"), "recall/word2vec": ("center", "context")}  # the others have `embedding`


class AllVariables(nn.Cell):
    """Returns all variables of a network where the network returns its logit."""

    def __init__(self, network: SlotNetwork) -> None:
        super().__init__(auto_prefix=False)
        self.network = network

    def construct(self, *inputs: Tensor) -> Tuple[Tensor, ...]:
        """Return them, in order."""
        return self.network.variables(*inputs)


def rules(initial_range: float = 0.1) -> TableParameters:
    """Default rules, but for where vectors begin."""
    return TableParameters(accessor={"embedx_sgd_param": {"adagrad": {"initial_range": initial_range}}})


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
    found: np.ndarray = PredictStep(network)(*rows[:-1]).asnumpy()[:, 0]
    return found


def variables(network: SlotNetwork, inputs: Rows) -> Dict[str, np.ndarray]:
    """float32[n, ...] by name, of inputs without labels."""
    found = PredictStep(AllVariables(network))(*inputs)
    assert len(found) == len(network.all_vars)
    return {name: value.asnumpy() for name, value in zip(network.all_vars, found)}


def auc_of(network: SlotNetwork, rows: Rows) -> float:
    """AUC of what it says of rows."""
    return auc(rows[-1], logits(network, rows))


def slot_ids(values: np.ndarray) -> np.ndarray:
    """int64[n, slots], ids of values 0, 1, 2, ... of each slot: none is 0, and no two slots share one."""
    return (values + 1 + 1000 * np.arange(1, values.shape[1] + 1)).astype(np.int64)


def xor_rows(count: int, seed: int) -> Rows:
    """Rows of two slots, every pair of values as often: 1 where exactly one is odd, so one slot alone says nothing."""
    pairs = np.random.default_rng(seed).permutation(count) % VALUES**2
    values = np.stack((pairs // VALUES, pairs % VALUES), axis=1)
    return slot_ids(values), (values.sum(axis=1, keepdims=True) % 2).astype(np.float32)


def linear_rows(count: int, seed: int) -> Rows:
    """Rows of two slots and numbers; log odds are a sum over values and numbers."""
    rng = np.random.default_rng(seed)
    effects = np.linspace(-2, 2, VALUES)
    values = rng.integers(0, VALUES, (count, 2))
    numbers = rng.standard_normal((count, NUMBERS)).astype(np.float32)
    odds = effects[values[:, :1]] - effects[values[:, 1:]] + numbers @ np.array([[1.5], [-1.0], [0.0]])
    return slot_ids(values), numbers, (rng.random((count, 1)) < 1 / (1 + np.exp(-odds))).astype(np.float32)
