import numpy as np
import pytest
from mindspore import nn

from mindspore_rec.embedding.lookup import HashEmbeddingLookup
from mindspore_rec.train.hoist import lookup_cells, trace_lookups
from tests.train.small_networks import OneTable, TwoTowers, rows


def test_a_whole_input():
    ids, weights, _ = rows(6)
    (call,) = trace_lookups(OneTable(), [ids, weights])
    assert (call.input_index, call.columns, call.shape) == (0, (0, 1, 2), (3,))
    np.testing.assert_array_equal(call.ids([ids, weights]), ids)


def test_columns_and_several_calls():
    ids, weights, _ = rows(6)
    calls = trace_lookups(TwoTowers(), [ids, weights])
    assert [(c.cell.table_name, c.columns) for c in calls] == [("shared", (0,)), ("shared", (2,)), ("bias", (1,))]
    np.testing.assert_array_equal(calls[1].ids([ids, weights]), ids[:, 2:3])


class Computed(OneTable):
    def construct(self, ids, weights):
        return super().construct(ids + 1, weights)


class Mixed(OneTable):
    def construct(self, ids, weights):
        return super().construct(ids[::-1], weights)


class FromWeights(OneTable):
    def construct(self, ids, weights):
        return super().construct(weights, weights)


@pytest.mark.parametrize("network", [Computed, Mixed, FromWeights])
def test_computed_ids_are_refused_by_name(network):
    ids, weights, _ = rows(6)
    with pytest.raises(ValueError, match=r"lookup 'deep'.*constant columns"):
        trace_lookups(network(), [ids, weights])


def test_the_dry_run_leaves_no_trace():
    ids, weights, _ = rows(6)
    network = OneTable()
    network.set_train(True)
    trace_lookups(network, [ids, weights])
    assert len(network.deep.table) == 0
    assert network.training
    assert "construct" not in vars(network.deep)


class SameName(nn.Cell):
    def __init__(self):
        super().__init__()
        self.a = HashEmbeddingLookup(2, name="t")
        self.b = HashEmbeddingLookup(2, name="t")


def test_tables_have_names_of_their_own():
    assert [cell.table_name for cell in lookup_cells(TwoTowers())] == ["shared", "bias"]
    with pytest.raises(ValueError, match="'t'"):
        lookup_cells(SameName())
