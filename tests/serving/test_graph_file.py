"""MINDIR files: any number of rows, what the outputs need and nothing else, the parameters of the moment."""

import numpy as np
import pytest
from mindspore import Tensor, nn
from mindspore.train.mind_ir_pb2 import ModelProto

from mindspore_rec.config import UserError
from mindspore_rec.serving.feeds import choose_feeds
from mindspore_rec.serving.graph_file import GraphWriter, read_graph
from mindspore_rec.serving.network_inputs import NetworkInputs
from mindspore_rec.serving.packed_network import PackedNetwork
from tests.serving.trained_models import slot_dnn, two_heads
from tests.train.small_networks import OneTable


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    model = two_heads(tmp_path_factory.mktemp("model"))
    return PackedNetwork(model.network(), NetworkInputs.of_schema(model.schema))


def written(packed, path, feed, fetch):
    writer = GraphWriter(packed, choose_feeds(packed, feed, fetch))
    return writer, writer.write(path)


@pytest.mark.parametrize(
    ("feed", "fetch", "inputs", "parameters"),
    [
        ((), ("logit",), {"rows": (3, 5), "dense": (2,)}, "main"),
        (("user", "item", "age"), ("logit",), {"rows": (2, 5), "dense": (1,)}, "main"),
        (("2",), ("interest",), {"rows": (1, 5)}, "side"),
        (("2", "height"), ("interest",), {"rows": (1, 5), "dense": (1,)}, "side"),
    ],
)
def test_inputs_and_parameters_are_those_that_matter(packed, tmp_path, feed, fetch, inputs, parameters):
    writer, names = written(packed, tmp_path / "g.mindir", feed, fetch)
    assert writer.inputs == inputs
    model = ModelProto()
    model.ParseFromString((tmp_path / "g.mindir").read_bytes())
    assert [given.name for given in model.graph.input] == list(inputs)
    layers = {"main": (0, 1), "side": (0,)}[parameters]
    assert set(names) == {f"{parameters}.layers.{k}.{what}" for k in layers for what in ("weight", "bias")}


@pytest.mark.parametrize("feed", [(), ("age", "user", "item")])
def test_it_is_the_network_for_any_number_of_rows(packed, tmp_path, feed):
    writer, _ = written(packed, tmp_path / "g.mindir", feed, ("probability", "logit"))
    run = read_graph(tmp_path / "g.mindir", list(writer.inputs.values()))
    for count in (1, 7, 64, 2):
        rows, numbers = packed.trial(np.random.default_rng(count), count)
        given = (rows, numbers) if not feed else (rows[:, :2], numbers[:, 1:])
        _, logit, probability = packed.run(rows, numbers)
        for found, expected in zip(run(*given), (probability, logit)):
            assert found.shape == (count, 1)
            np.testing.assert_allclose(found, expected, atol=1e-6)


class OfNumbers(OneTable):
    """A table that the logit does not read."""

    def __init__(self):
        super().__init__()
        self.numbers = nn.Dense(3, 1)

    def construct(self, ids, weights):
        return self.numbers(weights) + 0 * weights[:, :1]


def test_numbers_alone(tmp_path):
    packed = PackedNetwork(OfNumbers(), NetworkInputs(("a",), (("x", 1), ("y", 2))))
    writer, names = written(packed, tmp_path / "g.mindir", ("x", "y"), ("logit",))
    assert writer.inputs == {"dense": (3,)}
    assert set(names) == {"numbers.weight", "numbers.bias"}
    rows, numbers = packed.trial(np.random.default_rng(0), 5)
    (found,) = read_graph(tmp_path / "g.mindir", [(3,)])(numbers)
    np.testing.assert_allclose(found, packed.run(rows, numbers)[0], atol=1e-6)


def test_parameters_are_those_of_the_moment(tmp_path):
    model = slot_dnn(dense=())
    network = model.network()
    packed = PackedNetwork(network, NetworkInputs.of_schema(model.schema))
    writer, _ = written(packed, tmp_path / "0.mindir", (), ("logit",))
    network.mlp.layers[1].bias.set_data(Tensor(np.array([2.0], np.float32)))
    writer.write(tmp_path / "1.mindir")
    rows, _ = packed.trial(np.random.default_rng(0), 5)
    before, after = (read_graph(tmp_path / f"{k}.mindir", [rows.shape[1:]])(rows)[0] for k in (0, 1))
    np.testing.assert_allclose(after, before + 2.0, atol=1e-5)


class NotExportable(OneTable):
    """Its other branch, which is never taken with a batch of a known size, is none."""

    def construct(self, ids, weights):
        total = super().construct(ids, weights)
        return total.reshape((int(ids.shape[0]), 1)) if ids.shape[0] > 0 else undefined_name  # noqa: F821


def test_what_mindspore_cannot_export_is_one_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # MindSpore leaves a file there
    packed = PackedNetwork(NotExportable(), NetworkInputs.of_fields(["a", "b", "c"]))
    with pytest.raises(UserError, match="MindSpore cannot export the network: ") as error:
        written(packed, tmp_path / "g.mindir", (), ("logit",))
    assert "\n" not in str(error.value)
    assert not any(cell.packed for cell in packed.tables.values())


def test_a_damaged_file_is_refused(packed, tmp_path):
    path = tmp_path / "g.mindir"
    written(packed, path, (), ("logit",))
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(UserError, match="cannot be loaded: "):
        read_graph(path, [(3, 5), (2,)])
