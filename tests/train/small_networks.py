"""Small networks and data sets for the tests of the training room."""

import mindspore as ms
import numpy as np
from mindspore import nn, ops
from mindspore.common.initializer import Uniform
from mindspore.dataset import GeneratorDataset

from mindspore_rec.embedding.lookup import HashEmbeddingLookup
from mindspore_rec.embedding.optimizers import SGD, Adagrad

ms.set_context(mode=ms.GRAPH_MODE, device_target="CPU")

FIELDS = 3


class OneTable(nn.Cell):
    """sum(weights * rows) through a Dense layer."""

    def __init__(self, dim=4, optimizer=None, **options):
        super().__init__()
        self.deep = HashEmbeddingLookup(
            dim, optimizer=optimizer or SGD(0.5), param_init=Uniform(0.1), seed=3, **options
        )
        self.out = nn.Dense(dim, 1)

    def construct(self, ids, weights):
        return self.out((self.deep(ids) * ops.expand_dims(weights, -1)).sum(axis=1))


class TwoTowers(nn.Cell):
    """One table looked up twice, for columns 0 and 2 of the ids; and a second table for column 1."""

    def __init__(self, **options):
        super().__init__()
        self.shared = HashEmbeddingLookup(4, optimizer=Adagrad(0.1), param_init=Uniform(0.1), **options)
        self.bias = HashEmbeddingLookup(1, optimizer=SGD(0.1), param_init=Uniform(0.1))
        self.scale = nn.Dense(1, 1)

    def construct(self, ids, weights):
        user, item = self.shared(ids[:, 0:1]), self.shared(ids[:, 2:3])
        score = (user * item).sum(axis=2) + self.bias(ids[:, 1:2]).reshape((-1, 1))
        return self.scale(score) + 0.0 * weights.sum()


class Plain(nn.Cell):
    """No lookups at all."""

    def __init__(self):
        super().__init__()
        self.out = nn.Dense(FIELDS, 1)

    def construct(self, weights):
        return self.out(weights)


def rows(count, seed=0, vocabulary=50):
    rng = np.random.default_rng(seed)
    ids = rng.integers(0, vocabulary, (count, FIELDS)) * 2**40 - 7
    weights = rng.random((count, FIELDS), dtype=np.float32)
    labels = (ids.sum(axis=1, keepdims=True) // 2**40 % 2).astype(np.float32)
    return ids, weights, labels


def dataset(batches, columns=("id", "weight", "label")):
    """A bounded data set of whole batches."""
    return GeneratorDataset(lambda: iter(batches), column_names=list(columns), shuffle=False)
