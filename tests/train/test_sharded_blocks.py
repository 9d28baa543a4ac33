"""Tables spread over ranks, which are threads here: rows of a batch in its turn, and those fetched before it."""

from __future__ import annotations

from typing import Any, Callable, List

import mindspore as ms
import numpy as np
import pytest
from mindspore import nn

from mindspore_rec.config import ModelConfig
from mindspore_rec.embedding.admission import MinCount
from mindspore_rec.embedding.eviction import ShowClickDecay
from mindspore_rec.models.rank.wide_deep.model import WideDeep
from mindspore_rec.train.blocks import BatchBlocks
from mindspore_rec.train.hoist import LookupCall, trace_lookups
from mindspore_rec.train.sharded_blocks import ShardedBlocks
from tests.distributed.thread_exchange import run_ranks
from tests.train.small_networks import TwoTowers, rows

ROWS, STEPS = 24, 6
Buffers = List[np.ndarray]


def wide_deep() -> nn.Cell:
    """Two tables that read the same ids; in the deep one they wait for their row."""
    return WideDeep(ModelConfig(num_fields=3, emb_dim=4, layers=(4,), admit_after=3, wide_l1=0.01))


NETWORKS: List[Callable[[], nn.Cell]] = [TwoTowers, lambda: TwoTowers(admission=MinCount(3)), wide_deep]
IDS = ["calls of one table", "ids that wait", "tables of the same ids"]


def batch(rank: int, k: int) -> Any:
    return rows(ROWS, seed=100 * rank + k, vocabulary=40)[:2]


def calls_of(make: Callable[[], nn.Cell]) -> List[LookupCall]:
    """Of a network with tables of its own; in the main thread, since it changes MindSpore's mode for a moment."""
    ms.set_seed(1)
    return trace_lookups(make(), rows(ROWS)[:2])


def buffers_of(blocks: Any) -> Buffers:
    return [buffer.copy() for table in blocks.tables for buffer in table.buffers]


def train(blocks: Any, prepared: Any, buffers: Buffers) -> None:
    """An update by gradients that are a function of the rows a batch was given."""
    sums, usable = blocks.sum_gradients(prepared, [buffer - 0.5 for buffer in buffers], len(buffers[0]), 1.0)
    assert usable
    blocks.apply(prepared, sums, seconds=1.0)


def run(calls: List[LookupCall], exchange: Any, ahead: bool) -> List[Buffers]:
    """The rows each batch of a rank was given; fetched `ahead`, before the update by the batch before."""
    blocks, found = ShardedBlocks(calls, ROWS, False, exchange, range(exchange.size)), []
    prepared = blocks.fill(batch(exchange.rank, 0), ROWS, create=True)
    for k in range(STEPS):
        found.append(buffers_of(blocks))
        following = batch(exchange.rank, k + 1)
        fetched = blocks.fetch(following, ROWS) if ahead else None
        train(blocks, prepared, found[-1])
        if fetched is None:
            prepared = blocks.fill(following, ROWS, create=True)
        else:
            prepared = blocks.fill_fetched(following, ROWS, fetched)
    return found


class Whole:
    """One process with all rows, which looks into its tables by hand."""

    def __init__(self, make: Callable[[], nn.Cell], ranks: int) -> None:
        self.blocks, self.ranks = BatchBlocks(calls_of(make), ranks * ROWS), ranks

    def batch(self, k: int) -> Any:
        return [np.concatenate(column) for column in zip(*(batch(rank, k) for rank in range(self.ranks)))]

    def rows(self, k: int) -> Buffers:
        """Of batch k, as they are now."""
        inputs = self.batch(k)
        return [table.cell.table.lookup(call.ids(inputs)) for table in self.blocks.tables for call in table.calls]

    def known(self, k: int) -> Buffers:
        """Which ids of batch k have a row now, in all tables that read the same ids."""
        inputs, known = self.batch(k), {}
        for table in self.blocks.tables:
            for number, call in enumerate(table.calls):
                found = table.cell.table.find(call.ids(inputs))
                has = (found.rows >= 0)[found.distinct.inverse].reshape(len(inputs[0]), -1, 1)
                known[table.key, number] = known.get((table.key, number), True) & has
        return [known[table.key, k] for table in self.blocks.tables for k in range(len(table.calls))]

    def run(self, ahead: bool) -> List[Buffers]:
        prepared, found = self.blocks.fill(self.batch(0), self.ranks * ROWS, create=True), []
        given = buffers_of(self.blocks)
        for k in range(STEPS):
            found.append(given)
            before, known = self.rows(k + 1), self.known(k + 1)
            train(self.blocks, prepared, given)
            prepared = self.blocks.fill(self.batch(k + 1), self.ranks * ROWS, create=True)
            given = buffers_of(self.blocks)
            if ahead:
                given = [np.where(has, old.reshape(now.shape), now) for old, now, has in zip(before, given, known)]
        return found


@pytest.mark.parametrize("ahead", [False, True])
@pytest.mark.parametrize("ranks", [2, 3])
@pytest.mark.parametrize("make", NETWORKS, ids=IDS)
def test_rows_are_those_of_one_table(make: Callable[[], nn.Cell], ranks: int, ahead: bool) -> None:
    """Fetched ahead, ids that had a row lack the update of the batch before; new ones are as they are."""
    calls = [calls_of(make) for _ in range(ranks)]
    found = run_ranks(ranks, lambda exchange: run(calls[exchange.rank], exchange, ahead))
    expected = Whole(make, ranks).run(ahead)
    for k in range(STEPS):
        for number, whole in enumerate(expected[k]):
            parts = np.concatenate([found[rank][k][number] for rank in range(ranks)])
            np.testing.assert_allclose(parts, whole, atol=2e-5, err_msg=f"batch {k}, block {number}")


def test_looking_ahead_makes_a_difference() -> None:
    """Or else the tests above would show nothing."""
    exact, stale = (Whole(TwoTowers, 2).run(ahead) for ahead in (False, True))
    assert np.abs(exact[1][0] - stale[1][0]).max() > 0.01


def test_a_rank_without_rows_tells_no_clicks() -> None:
    """A server has no labels: the clicks of its ids come from the others."""
    calls = [calls_of(lambda: TwoTowers(eviction=ShowClickDecay(0.9, 0.1, 9))) for _ in range(2)]
    inputs = rows(ROWS, seed=3, vocabulary=40)[:2]
    labels = (np.arange(ROWS) % 3 == 0).astype(np.float32)[:, None]

    def run_rank(exchange: Any) -> Any:
        count = ROWS if exchange.rank == 0 else 0
        blocks = ShardedBlocks(calls[exchange.rank], ROWS, False, exchange, [1])
        prepared = blocks.fill(inputs, count, create=True)
        sums, _ = blocks.sum_gradients(prepared, buffers_of(blocks), count, 1.0)
        blocks.apply(prepared, sums, labels[:count], seconds=1.0)
        return [table.cell.table.state() for table in blocks.tables]

    worker, server = run_ranks(2, run_rank)
    assert [state["ids"].size for state in worker] == [0, 0]
    shared = server[0]  # looked up in two columns
    assert shared["show"].sum() == 2 * ROWS
    assert shared["click"].sum() == 2 * labels.sum()
