"""Embeddings of slots: a weight for every id, a vector for those that are worth one, and PaddleRec's rules for both."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from mindspore import Tensor, nn

from mindspore_rec.embedding.admission import Always, ShowClick
from mindspore_rec.embedding.eviction import ShowClickDecay
from mindspore_rec.embedding.optimizers import SharedAdagrad
from mindspore_rec.job_config import TableParameters
from mindspore_rec.models.slot_embedding import SlotEmbedding
from mindspore_rec.train.eval_step import PredictStep
from mindspore_rec.train.losses import LogLoss
from mindspore_rec.train.step import TrainStep

IDS = np.array([[1, 2], [3, 0]])
ONE = np.ones((2, 1), np.float32)


class Summed(nn.Cell):
    """The rows of all slots added up, times a number that is trained too."""

    def __init__(self, embedding: SlotEmbedding, apart: bool = False) -> None:
        super().__init__()
        self.embedding, self.apart = embedding, apart
        self.last = nn.Dense(1, 1)

    def construct(self, ids: Tensor) -> Tensor:
        """Return one number a row."""
        if self.apart:
            weights, vectors = self.embedding.parts(ids)
            return self.last(weights.sum(axis=1) + vectors.sum(axis=(1, 2)).reshape((-1, 1)))
        return self.last(self.embedding(ids).sum(axis=(1, 2)).reshape((-1, 1)))


class Rows(nn.Cell):
    """The rows as they are."""

    def __init__(self, embedding: SlotEmbedding) -> None:
        super().__init__(auto_prefix=False)
        self.embedding = embedding

    def construct(self, ids: Tensor) -> Tensor:
        """Return them."""
        return self.embedding(ids)


def train(embedding: SlotEmbedding, steps: int = 1, apart: bool = False) -> None:
    network = Summed(embedding, apart)
    network.last.weight.set_data(Tensor(np.ones((1, 1), np.float32)))
    network.last.bias.set_data(Tensor(np.zeros(1, np.float32)))
    step = TrainStep(network, LogLoss(), nn.SGD(network.trainable_params(), 0.0))
    for _ in range(steps):
        step(IDS, ONE)


def rows_of(embedding: SlotEmbedding) -> np.ndarray:
    return PredictStep(Rows(embedding))(IDS).asnumpy()


def tables(**accessor: Any) -> Any:
    return {"embedding": TableParameters(accessor=accessor)}


def test_a_row_is_a_weight_and_a_vector() -> None:
    embedding = SlotEmbedding(4, tables(embedx_sgd_param={"adagrad": {"initial_range": 0.5}}), padding_id=0, seed=1)
    assert (rows_of(embedding) == 0).all(), "ids that were never trained"
    embedding.weight.table.prepare(IDS)
    embedding.vector.table.prepare(IDS)
    first = rows_of(embedding)
    assert first.shape == (2, 2, 4)
    assert (first[..., 0] == 0).all() and (np.abs(first[0, :, 1:]) > 0).all() and np.abs(first).max() <= 0.5
    assert (first[1, 1] == 0).all(), "padding"
    train(embedding)
    moved = rows_of(embedding) - first
    assert (moved[0] > 0).all() and (moved[1, 0] > 0).all() and (moved[1, 1] == 0).all()


def test_parts_are_the_same_rows_and_learn_the_same() -> None:
    together, apart = SlotEmbedding(3, {}, seed=1), SlotEmbedding(3, {}, seed=1)
    train(together, 3)
    train(apart, 3, apart=True)
    assert np.abs(rows_of(together)).max() > 0.01
    np.testing.assert_allclose(rows_of(together), rows_of(apart), atol=1e-6)


def test_vectors_come_with_the_score() -> None:
    """Each step is a click, of score 1, for every id: the threshold is reached after two."""
    embedding = SlotEmbedding(3, tables(embedx_threshold=2))
    for steps, admitted in ((1, 0), (1, 0), (1, 4)):
        train(embedding, steps)
        assert (len(embedding.weight.table), len(embedding.vector.table)) == (4, admitted)


def test_both_tables_know_the_same_of_an_id() -> None:
    """As if a row were one: shows and clicks of those with a vector, and of those that wait for one."""
    rules = {"show_click_decay_rate": 0.5, "delete_threshold": 0.3}
    embedding = SlotEmbedding(3, tables(embedx_threshold=2, ctr_accessor_param=rules))

    def known(table: Any) -> Any:
        state = table.state()
        found = {}
        for prefix in ("", "waiting.0."):
            columns = [state.get(f"{prefix}{name}", np.empty(0)) for name in ("ids", "show", "click", "last_step")]
            found.update({int(id): (show, click, last) for id, show, click, last in zip(*columns)})
        return found

    network = Summed(embedding)
    step = TrainStep(network, LogLoss(), nn.SGD(network.trainable_params(), 0.0))
    clicks = np.array([[1.0], [0.0]], np.float32)
    for _ in range(2):
        for ids in ([[1, 1], [3, 4]], [[1, 5], [4, 4]]):
            step(np.array(ids), clicks)
        assert known(embedding.weight.table) == known(embedding.vector.table)
        assert 0 < len(embedding.vector.table) < len(embedding.weight.table)
        assert [table.shrink() > 0 for table in (embedding.weight.table, embedding.vector.table)] == [True, False]
        for table in (embedding.weight.table, embedding.vector.table):
            table.end_day()
        assert known(embedding.weight.table) == known(embedding.vector.table)


@pytest.mark.parametrize(("dim", "weighted", "sizes"), [(1, True, [1]), (5, False, [5]), (5, True, [1, 4])])
def test_rows_of_one_kind(dim: int, weighted: bool, sizes: list) -> None:
    embedding = SlotEmbedding(dim, {}, weighted=weighted, name="user")
    lookups = list(embedding.cells())[: len(sizes)]
    assert [lookup.embedding_size for lookup in lookups] == sizes
    assert [lookup.table_name for lookup in lookups] == ["user_w"] * weighted + ["user_x"] * (dim > weighted)
    train(embedding)
    assert rows_of(embedding).shape == (2, 2, dim)
    assert np.abs(rows_of(embedding)).max() > 0


def test_the_rules_of_a_table() -> None:
    given = tables(
        embedx_threshold=10,
        ctr_accessor_param={
            "nonclk_coeff": 0.2,
            "click_coeff": 2,
            "show_click_decay_rate": 0.98,
            "delete_threshold": 0.8,
            "delete_after_unseen_days": 7,
        },
        embed_sgd_param={"adagrad": {"learning_rate": 0.1, "initial_g2sum": 2}},
        embedx_sgd_param={"adagrad": {"learning_rate": 0.2, "weight_bounds": [-1, 1]}},
    )
    given["embedding"] = given["embedding"].model_copy(update={"pooling": "mean"})
    embedding = SlotEmbedding(3, given)
    weight, vector = embedding.weight.table, embedding.vector.table
    assert weight.optimizer == SharedAdagrad(0.1, 2.0, (-10.0, 10.0))
    assert vector.optimizer == SharedAdagrad(0.2, 3.0, (-1.0, 1.0))
    assert weight.eviction == vector.eviction == (ShowClickDecay(0.98, 0.8, 7, 0.2, 2.0),)
    assert (weight.admission, vector.admission) == (Always(), ShowClick(10.0, 0.2, 2.0))
    assert embedding.weight.pooling == embedding.vector.pooling == "mean"
    assert SlotEmbedding(3, given, name="other").vector.table.admission == Always()
