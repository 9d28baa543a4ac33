"""Networks that get rows in place of ids: the same numbers, and refusals of those that do more with ids."""

import mindspore as ms
import numpy as np
import pytest
from mindspore import nn

from mindspore_rec.config import ConfigError
from mindspore_rec.embedding.lookup import HashEmbeddingLookup
from mindspore_rec.models.rank.wide_deep.model import WideDeep
from mindspore_rec.serving.network_inputs import NetworkInputs
from mindspore_rec.serving.packed_network import PackedNetwork
from mindspore_rec.train.losses import LogLoss
from mindspore_rec.train.step import TrainStep
from tests.serving.trained_models import SLOTS, batch, slot_dnn, stream_config, trained, two_heads, variables_of
from tests.train.small_networks import OneTable, Plain, TwoTowers, rows

INPUTS = NetworkInputs.of_fields(["a", "b", "c"])


def packed_rows(packed, ids):
    """float32 [n, slots, width], what the tables have for ids."""
    found = [cell.table.lookup(ids.reshape(-1)).reshape(*ids.shape, -1) for cell in packed.tables.values()]
    return np.concatenate(found, axis=2)


@pytest.mark.parametrize("make", [OneTable, TwoTowers, lambda: OneTable(max_norm=0.05)])
def test_it_is_the_network_on_ids(make):
    network = make()
    step = TrainStep(network, LogLoss(), nn.SGD(network.trainable_params(), 0.1))
    ids, weights, labels = rows(20)
    step(ids, weights, labels)
    packed = PackedNetwork(network, INPUTS)
    found = packed.run(packed_rows(packed, ids), weights)
    for variable, expected in zip(found, variables_of(network, ids, weights).values()):
        np.testing.assert_allclose(variable, expected, atol=1e-6)
    assert packed.names == ("logit", "probability")


def test_where_rows_are_and_what_they_are_for(tmp_path):
    packed = PackedNetwork(TwoTowers(), INPUTS)
    assert packed.columns == {"shared": (0, 4), "bias": (4, 5)}
    assert packed.slots == {"shared": (0, 2), "bias": (1,)}
    model = two_heads(tmp_path)
    packed = PackedNetwork(model.network(), NetworkInputs.of_schema(model.schema))
    assert (packed.width, packed.slots) == (5, {"shared": (0, 1), "other": (2,)})
    assert packed.names == ("interest", "logit", "probability")


def test_training_goes_on_as_without_it():
    model = slot_dnn()
    batches = [batch(model.schema, rows, seed) for seed, rows in enumerate((32, 32, 20, 64))]
    dense = []
    for between in (False, True):
        network = model.network()
        step = TrainStep(network, LogLoss(), model.optimizer(network))
        for columns in batches:
            step(*columns)
            assert network.training == step.network.training
            if between:
                packed = PackedNetwork(network, NetworkInputs.of_schema(model.schema))
                packed.run(*packed.trial(np.random.default_rng(0), 3))
        dense.append([parameter.asnumpy() for parameter in network.trainable_params()])
    for one, other in zip(*dense):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("training", [True, False])
def test_the_network_is_left_as_it_was(training):
    network = OneTable()
    network.set_train(training)
    packed = PackedNetwork(network, INPUTS)
    with packed.packed():
        assert not network.deep.training and network.deep.packed == (0, 4)
    assert (network.training, network.deep.training, network.deep.packed) == (training, training, ())
    assert ms.get_context("mode") == ms.GRAPH_MODE


class Reshaped(OneTable):
    """The ids of each row, in another shape."""

    def construct(self, ids, weights):
        return super().construct(ids.reshape((-1, 3)), weights)


class Masked(OneTable):
    """It reads the ids beside the lookup."""

    def construct(self, ids, weights):
        return super().construct(ids, weights * (ids[:, 0:1] != 0).astype(ms.float32))


class Counted(OneTable):
    """It reads the ids beside the lookup, and gives something of another shape on rows."""

    def construct(self, ids, weights):
        return super().construct(ids, weights) + ids.astype(ms.float32).reshape((ids.shape[0], -1)).sum(axis=1)


class Computed(OneTable):
    """No ids of the input."""

    def construct(self, ids, weights):
        return super().construct(ids + 1, weights)


class Summed(OneTable):
    """One number for the whole batch."""

    def construct(self, ids, weights):
        return super().construct(ids, weights).sum()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (Reshaped, "ids must only be looked up"),
        (Masked, "ids must only be looked up"),
        (Counted, "ids must only be looked up"),
        (Computed, "lookup 'deep'.* they were computed"),
        (Summed, "logit has shape \\(\\), expected the batch first"),
        (Plain, "has no HashEmbeddingLookup"),
    ],
)
def test_what_does_more_with_ids_is_refused_in_one_line(make, message):
    inputs = NetworkInputs(("a", "b", "c"), INPUTS.numbers) if make is not Plain else NetworkInputs(("a", "b", "c"))
    with pytest.raises(ConfigError, match=f"^inference model: .*{message}") as error:
        PackedNetwork(make(), inputs)
    assert "\n" not in str(error.value)


class TwoInputs(nn.Cell):
    """Ids in both inputs."""

    def __init__(self):
        super().__init__()
        self.deep = HashEmbeddingLookup(2)

    def construct(self, ids, others):
        return (self.deep(ids) + self.deep(others)).sum(axis=2)


def test_ids_of_a_second_input_are_refused():
    with pytest.raises(ConfigError, match="inference model: lookup 'deep'"):
        PackedNetwork(TwoInputs(), INPUTS)


def test_wide_and_deep():
    network = WideDeep(stream_config())
    packed = PackedNetwork(network, NetworkInputs.of_fields(["I1", "I2", "C1", "C2", "C3"]))
    assert packed.columns == {"wide": (0, 1), "deep": (1, 4)}


def test_all_slots_of_slot_dnn_are_read():
    model = slot_dnn()
    packed = PackedNetwork(trained(model, 1), NetworkInputs.of_schema(model.schema))
    assert packed.slots == {"embedding_w": (0, 1, 2, 3), "embedding_x": (0, 1, 2, 3)}
    assert packed.inputs.slots == SLOTS
