"""Lookups that read bags: one value a bag is what an id is, several are pooled; on one rank and on two."""

import mindspore as ms
import numpy as np
import pytest
from mindspore import nn, ops
from mindspore.common.initializer import Uniform

from mindspore_rec.embedding.bag_ids import bags_of_ids
from mindspore_rec.embedding.bags import Bags
from mindspore_rec.embedding.eviction import Unseen
from mindspore_rec.embedding.lookup import HashEmbeddingLookup
from mindspore_rec.embedding.optimizers import SGD
from mindspore_rec.train.blocks import BatchBlocks
from mindspore_rec.train.eval_step import EvalStep, PredictStep
from mindspore_rec.train.hoist import trace_lookups
from mindspore_rec.train.losses import LogLoss
from mindspore_rec.train.sharded_blocks import ShardedBlocks
from mindspore_rec.train.step import TrainStep
from tests.distributed.thread_exchange import run_ranks
from tests.train.small_networks import OneTable, TwoTowers, rows

ROWS, SLOTS, MOST = 24, 3, 3


class PooledInTheGraph(nn.Cell):
    """The rows of up to MOST ids a slot, 0 where there are fewer, pooled by the network itself."""

    def __init__(self, mean):
        super().__init__()
        self.deep = HashEmbeddingLookup(4, optimizer=SGD(0.5), param_init=Uniform(0.1), seed=3, padding_id=0)
        self.out = nn.Dense(4, 1)
        self.mean = mean

    def construct(self, ids, weights):
        rows = self.deep(ids).reshape((-1, SLOTS, MOST, 4)).sum(axis=2)
        if self.mean:
            there = (ids.reshape((-1, SLOTS, MOST)) != 0).astype(ms.float32).sum(axis=2)
            rows = rows / ops.expand_dims(ops.maximum(there, ops.ones_like(there)), -1)
        return self.out((rows * ops.expand_dims(weights, -1)).sum(axis=1))


def step_of(make, **options):
    ms.set_seed(1)
    network = make()
    return TrainStep(network, LogLoss(), nn.SGD(network.trainable_params(), 0.1), **options)


def ragged(seed, count=ROWS):
    """The same rows as bags, and as arrays filled up with zeros; weights and labels."""
    rng = np.random.default_rng(seed)
    padded = rng.integers(1, 40, (count, SLOTS, MOST))
    padded[np.arange(MOST) >= rng.integers(0, MOST + 1, (count, SLOTS, 1))] = 0
    counts = (padded != 0).sum(axis=2).reshape(-1)
    bags = Bags(SLOTS, padded[padded != 0], np.concatenate(([0], np.cumsum(counts))))
    weights, labels = rng.random((count, SLOTS), dtype=np.float32), rng.integers(0, 2, (count, 1)).astype(np.float32)
    return bags, padded.reshape(count, -1), weights, labels


def tables_of(network):
    cells = [cell for _, cell in network.cells_and_names() if isinstance(cell, HashEmbeddingLookup)]
    found = []
    for cell in cells:
        state = cell.table.state()
        order = np.argsort(state["ids"])
        found.append((state["ids"][order], state["rows"][order]))
    return found


@pytest.mark.parametrize("make", [OneTable, TwoTowers])
def test_one_value_a_bag_trains_as_an_id_does(make):
    plain, bagged = step_of(make), step_of(make)
    for k in range(3):
        ids, weights, labels = rows(ROWS, seed=k)
        plain(ids, weights, labels)
        bagged(bags_of_ids(ids), weights, labels)
        assert bagged.result.loss == plain.result.loss
        np.testing.assert_array_equal(bagged.result.logits, plain.result.logits)
    for (ids, found), (same_ids, wanted) in zip(tables_of(bagged.network), tables_of(plain.network)):
        np.testing.assert_array_equal(ids, same_ids)
        np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("pooling", ["sum", "mean"])
def test_several_values_train_as_if_the_network_pooled_them(pooling):
    bagged = step_of(lambda: OneTable(pooling=pooling, padding_id=0))
    plain = step_of(lambda: PooledInTheGraph(pooling == "mean"))
    plain.network.out.weight.set_data(bagged.network.out.weight.clone())
    plain.network.out.bias.set_data(bagged.network.out.bias.clone())
    for k in range(4):
        bags, padded, weights, labels = ragged(k)
        bagged(bags, weights, labels)
        plain(padded, weights, labels)
        np.testing.assert_allclose(bagged.result.logits, plain.result.logits, rtol=1e-4, atol=1e-6)
    (ids, found), (same_ids, wanted) = tables_of(bagged.network)[0], tables_of(plain.network)[0]
    np.testing.assert_array_equal(ids, same_ids)
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-6)


def test_a_weight_is_a_factor_of_its_row():
    ids, weights, labels = rows(ROWS)
    plain, bagged = step_of(OneTable), step_of(OneTable)
    weighted = Bags(SLOTS, ids.reshape(-1), np.arange(ids.size + 1), weights.reshape(-1))
    for _ in range(3):
        plain(ids, weights, labels)
        bagged(weighted, np.ones_like(weights), labels)
    np.testing.assert_allclose(bagged.result.logits, plain.result.logits, rtol=1e-4, atol=1e-6)


def test_blocks_of_rows_give_what_the_whole_batch_gives():
    whole, blocks = step_of(OneTable), step_of(OneTable, exact_rows=8)
    for k in range(3):
        bags, _, weights, labels = ragged(k)
        whole(bags, weights, labels)
        blocks(bags, weights, labels)
    np.testing.assert_allclose(blocks.result.logits, whole.result.logits, rtol=1e-4, atol=1e-6)


def test_shows_and_clicks_are_counted_by_value():
    step = step_of(lambda: OneTable(eviction=Unseen(days=9)))
    step.at(1.0)
    bags = Bags(SLOTS, np.array([7, 8, 7, 9]), np.array([0, 2, 2, 3, 4, 4, 4]))  # row 0: 7 8 | | 7, row 1: 9 | |
    step(bags, np.ones((2, SLOTS), np.float32), np.array([[1.0], [0.0]], np.float32))
    state = step.network.deep.table.state()
    found = dict(zip(state["ids"].tolist(), zip(state["show"].tolist(), state["click"].tolist())))
    assert found == {7: (2.0, 2.0), 8: (1.0, 1.0), 9: (1.0, 0.0)}


def test_prediction_and_evaluation_pool_too_and_touch_no_table():
    step = step_of(OneTable)
    bags, _, weights, labels = ragged(0)
    step(bags, weights, labels)
    before = tables_of(step.network)[0]
    other, _, weights, labels = ragged(1)
    predicted = PredictStep(step.network)(other, weights).asnumpy()
    evaluated = EvalStep(step.network, LogLoss())(other, weights, labels)[1].asnumpy()
    in_rows = PredictStep(step.network, rows=32)(other, weights).asnumpy()
    np.testing.assert_array_equal(predicted, evaluated)
    np.testing.assert_array_equal(predicted, in_rows)
    np.testing.assert_array_equal(before[0], tables_of(step.network)[0][0])
    known = dict(zip(before[0].tolist(), before[1]))
    none = np.zeros(4, np.float32)
    pooled = [
        sum((known.get(id, none) for id in ids.tolist()), none) for ids in np.split(other.ids, other.offsets[1:-1])
    ]
    out = step.network.out
    wanted = (np.reshape(pooled, (ROWS, SLOTS, 4)) * weights[:, :, None]).sum(axis=1) @ out.weight.asnumpy().T
    np.testing.assert_allclose(predicted, wanted + out.bias.asnumpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("make", [OneTable, TwoTowers])
def test_two_ranks_read_and_update_what_one_does(make):
    ms.set_seed(1)
    calls = [trace_lookups(make(), [ragged(0)[0], rows(ROWS)[1]]) for _ in range(2)]
    parts = [[ragged(10 * rank + k)[0] for rank in range(2)] for k in range(3)]

    def joined(pair):
        shift = pair[0].offsets[-1]
        return Bags(
            SLOTS,
            np.concatenate([pair[0].ids, pair[1].ids]),
            np.concatenate([pair[0].offsets, pair[1].offsets[1:] + shift]),
        )

    def run(exchange):
        ranks = ShardedBlocks(calls[exchange.rank], ROWS, False, exchange, range(2))
        found = []
        for pair in parts:
            inputs = [pair[exchange.rank], rows(ROWS)[1]]
            prepared = ranks.fill(inputs, ROWS, create=True)
            buffers = [buffer.copy() for table in ranks.tables for buffer in table.buffers]
            found.append(buffers)
            sums, _ = ranks.sum_gradients(prepared, [buffer - 0.5 for buffer in buffers], ROWS, 1.0)
            ranks.apply(prepared, sums, seconds=1.0)
        return found

    by_rank = run_ranks(2, run)
    ms.set_seed(1)
    alone = BatchBlocks(trace_lookups(make(), [ragged(0)[0], rows(ROWS)[1]]), 2 * ROWS)
    for k, pair in enumerate(parts):
        inputs = [joined(pair), rows(2 * ROWS)[1]]
        prepared = alone.fill(inputs, 2 * ROWS, create=True)
        buffers = [buffer.copy() for table in alone.tables for buffer in table.buffers]
        for rank in range(2):
            for mine, wanted in zip(by_rank[rank][k], buffers):
                np.testing.assert_allclose(mine, wanted[rank * ROWS : (rank + 1) * ROWS], rtol=1e-5, atol=1e-6)
        sums, _ = alone.sum_gradients(prepared, [buffer - 0.5 for buffer in buffers], 2 * ROWS, 1.0)
        alone.apply(prepared, sums, seconds=1.0)
