"""Newer parameters in an older graph: what is loaded predicts as a graph that was written anew."""

import numpy as np
import pytest
from mindspore import Tensor
from mindspore.train.mind_ir_pb2 import ModelProto, TensorProto

from mindspore_rec.serving.feeds import choose_feeds
from mindspore_rec.serving.graph_file import GraphWriter, read_graph
from mindspore_rec.serving.graph_parameters import parameters_of, with_parameters
from mindspore_rec.serving.manifest import ExportError
from mindspore_rec.serving.network_inputs import NetworkInputs
from mindspore_rec.serving.packed_network import PackedNetwork
from tests.serving.trained_models import slot_dnn


class Written:
    """Graphs of one network before and after all its parameters changed."""

    def __init__(self, folder):
        model = slot_dnn(dense=())
        self.network = model.network()
        self.packed = PackedNetwork(self.network, NetworkInputs.of_schema(model.schema))
        writer = GraphWriter(self.packed, choose_feeds(self.packed, (), ("logit",)))
        self.names = writer.write(folder / "0.mindir")
        rng = np.random.default_rng(0)
        own = self.network.parameters_dict()
        for name in self.names:
            own[name].set_data(Tensor(rng.standard_normal(own[name].shape, dtype=np.float32)))
        self.newer = {name: own[name].asnumpy() for name in self.names}
        writer.write(folder / "1.mindir")
        self.before, self.after = ((folder / f"{k}.mindir").read_bytes() for k in (0, 1))


@pytest.fixture(scope="module")
def graphs(tmp_path_factory):
    return Written(tmp_path_factory.mktemp("graphs"))


def outputs(content, path, rows):
    path.write_bytes(content)
    return read_graph(path, [rows.shape[1:]])(rows)[0]


def test_it_predicts_as_a_graph_written_anew(graphs, tmp_path):
    changed = with_parameters(graphs.before, graphs.newer)
    rows, _ = graphs.packed.trial(np.random.default_rng(1), 9)
    found = outputs(changed, tmp_path / "changed.mindir", rows)
    np.testing.assert_array_equal(found, outputs(graphs.after, tmp_path / "after.mindir", rows))
    assert np.ptp(found - outputs(graphs.before, tmp_path / "before.mindir", rows)) > 1e-2


def test_those_that_are_not_named_stay(graphs):
    name, other = graphs.names[0], graphs.names[1]
    found = parameters_of(with_parameters(graphs.before, {name: graphs.newer[name]}))
    assert found.keys() == set(graphs.names)
    np.testing.assert_array_equal(found[name], graphs.newer[name])
    np.testing.assert_array_equal(found[other], parameters_of(graphs.before)[other])
    assert with_parameters(graphs.before, {}) == ModelProto.FromString(graphs.before).SerializeToString()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda own: {"mlp.no_such": own}, r"parameter mlp\.no_such: the graph has none of that name"),
        (lambda own: {"mlp.layers.0.bias": own[:-1]}, r"bias is float32 \[7\], the graph has float32 \[8\]"),
        (lambda own: {"mlp.layers.0.bias": own.astype(float)}, r"bias is float64 \[8\], the graph has float32 \[8\]"),
        (lambda own: {"mlp.layers.0.bias": own + np.inf}, "bias is not finite"),
    ],
)
def test_what_does_not_fit_is_named(graphs, change, message):
    with pytest.raises(ExportError, match=message) as error:
        with_parameters(graphs.before, change(graphs.newer["mlp.layers.0.bias"]))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", [b"", b"no graph", b"\xff" * 50])
def test_what_is_no_graph_is_refused(content):
    with pytest.raises(ExportError, match="expected the content of a MINDIR file"):
        with_parameters(content, {})


def test_values_that_lie_elsewhere_or_of_another_type_are_refused(graphs):
    model = ModelProto.FromString(graphs.before)
    model.graph.parameter[0].raw_data = b""
    with pytest.raises(ExportError, match="its values are not in the file of the graph"):
        parameters_of(model.SerializeToString())
    model.graph.parameter[0].data_type = TensorProto.STRING
    with pytest.raises(ExportError, match="a MINDIR type 8, which is not supported"):
        parameters_of(model.SerializeToString())
