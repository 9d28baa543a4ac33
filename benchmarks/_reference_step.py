"""A small version of the reference's training step, to compare with: everything dense, everything in the graph.

Embedding tables are ordinary parameters; the loss has an L2 term over the whole deep table; the wide part is trained
by FTRL, the rest by Adam, each over its own full gradients. So a step runs the network forward three times (the loss
that is reported, and once for each of the two gradients) and backward twice, and touches every row of the tables. Both
losses are scaled by 1024 on the way back and unscaled in the optimizers.
"""

from __future__ import annotations

from typing import Any

import mindspore as ms
import numpy as np
from mindspore import Parameter, ParameterTuple, Tensor, nn, ops

from mindspore_rec.config import ModelConfig
from mindspore_rec.models.layers import MLP
from mindspore_rec.train.losses import LogLoss

L2_COEFFICIENT = 8e-5
LOSS_SCALE = 1024.0


class _DenseWideDeep(nn.Cell):
    def __init__(self, config: ModelConfig, vocabulary: int, columns: int) -> None:
        super().__init__()
        rng = np.random.default_rng(1)
        self.config = config
        self.deep_table = Parameter(
            Tensor(rng.uniform(-0.01, 0.01, (vocabulary, columns)).astype(np.float32)), name="deep_table"
        )
        self.wide_table = Parameter(Tensor(np.zeros((vocabulary, 1), np.float32)), name="wide_table")
        self.wide_bias = Parameter(Tensor(np.zeros(1, np.float32)), name="wide_bias")
        self.mlp = MLP(config.num_fields * columns, config.layers, rng)
        self.width = config.num_fields * columns

    def construct(self, ids: Tensor, weights: Tensor) -> Tensor:
        column = ops.expand_dims(weights, -1)
        wide = (ops.gather(self.wide_table, ids, 0) * column).sum(axis=1) + self.wide_bias
        deep = ops.gather(self.deep_table, ids, 0) * column
        return wide + self.mlp(deep.reshape((-1, self.width)))


class _Losses(nn.Cell):
    def __init__(self, network: _DenseWideDeep) -> None:
        super().__init__(auto_prefix=False)
        self.network = network
        self.loss = LogLoss()

    def construct(self, ids: Tensor, weights: Tensor, labels: Tensor) -> tuple:
        log_loss = self.loss(self.network(ids, weights), labels)
        l2 = ops.square(self.network.deep_table).sum() / 2
        return log_loss, log_loss + L2_COEFFICIENT * l2


class ReferenceStep(nn.Cell):
    """`step(ids int32 [b, fields], weights, labels)` trains a batch; ids are rows of a table [vocabulary, columns]."""

    def __init__(self, config: ModelConfig, vocabulary: int, columns: int) -> None:
        super().__init__(auto_prefix=False)
        network = _DenseWideDeep(config, vocabulary, columns)
        self.losses = _Losses(network)
        wide = [p for p in network.trainable_params() if p.name.startswith("wide")]
        deep = [p for p in network.trainable_params() if not p.name.startswith("wide")]
        self.ftrl = nn.FTRL(wide, learning_rate=5e-2, l1=1e-8, l2=1e-8, initial_accum=1.0, loss_scale=LOSS_SCALE)
        self.adam = nn.Adam(deep, learning_rate=3.5e-4, eps=1e-8, loss_scale=LOSS_SCALE)
        losses = self.losses

        def wide_loss(ids: Tensor, weights: Tensor, labels: Tensor) -> Tensor:
            return losses(ids, weights, labels)[0] * LOSS_SCALE

        def deep_loss(ids: Tensor, weights: Tensor, labels: Tensor) -> Tensor:
            return losses(ids, weights, labels)[1] * LOSS_SCALE

        self.wide_gradient = ops.grad(wide_loss, None, ParameterTuple(wide))
        self.deep_gradient = ops.grad(deep_loss, None, ParameterTuple(deep))

    def construct(self, ids: Tensor, weights: Tensor, labels: Tensor) -> Any:
        """Return both losses before the update."""
        loss, deep_loss = self.losses(ids, weights, labels)
        # The products keep the compiler from merging the three passes into one.
        wide = self.wide_gradient(ids, ops.depend(weights, loss), labels)
        deep = self.deep_gradient(ids, ops.depend(weights, wide[0]), labels)
        return ops.depend(loss, self.ftrl(wide)), ops.depend(deep_loss, self.adam(deep))


def reference_step(config: ModelConfig, vocabulary: int, columns: int) -> ReferenceStep:
    """Return a step ready to be called in graph mode."""
    ms.set_context(mode=ms.GRAPH_MODE, device_target="CPU")
    return ReferenceStep(config, vocabulary, columns)
