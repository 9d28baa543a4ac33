"""model.onnx is the graph of the export, for any number of rows; what it cannot be is one line."""

import importlib
import logging
import sys

import numpy as np
import pytest
from mindspore import ops

from mindspore_rec.config import ConfigError
from mindspore_rec.models.rank.wide_deep.model import WideDeep
from mindspore_rec.serving import onnx_ops
from mindspore_rec.serving.export import ModelExport
from mindspore_rec.serving.exported_model import read_export
from mindspore_rec.serving.feeds import choose_feeds
from mindspore_rec.serving.graph_file import GraphWriter, read_graph
from mindspore_rec.serving.manifest import ExportError, Source
from mindspore_rec.serving.network_inputs import NetworkInputs
from mindspore_rec.serving.onnx_file import to_onnx, write_onnx
from mindspore_rec.serving.packed_network import PackedNetwork
from tests.serving.trained_models import FIELDS, rows_of, stream_config, two_heads
from tests.train.small_networks import OneTable

pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

OUTPUTS = ("score", "probability")


class Graph:
    """The MINDIR file of some variables of a network."""

    def __init__(self, folder, network, inputs, feed=(), fetch=("logit", "probability")):
        packed = PackedNetwork(network, inputs)
        self.path = folder / "graph.mindir"
        writer = GraphWriter(packed, choose_feeds(packed, feed, fetch))
        writer.write(self.path)
        self.inputs, self.content = writer.inputs, self.path.read_bytes()

    def given(self, count):
        rng = np.random.default_rng(count)
        return {name: rng.random((count, *shape), dtype=np.float32) - 0.5 for name, shape in self.inputs.items()}

    def run(self, given):
        return read_graph(self.path, list(self.inputs.values()))(*given.values())


def assert_same(graph, outputs, tolerance=1e-6):
    session = onnxruntime.InferenceSession(to_onnx(graph.content, outputs), providers=["CPUExecutionProvider"])
    for count in (1, 7, 300):
        given = graph.given(count)
        for found, expected in zip(session.run(outputs, given), graph.run(given)):
            assert found.shape == expected.shape == (count, *expected.shape[1:])
            np.testing.assert_allclose(found, expected, atol=tolerance, rtol=tolerance)


class ManyOperations(OneTable):
    """Each operation that a network of one's own is likely to have, once."""

    def construct(self, ids, weights):
        rows = self.deep(ids)
        x, w = rows.sum(axis=1), weights[:, :1]
        parts = (
            self.out(x),
            rows.mean(axis=(1, 2)).reshape((-1, 1)),
            ops.softmax(x, axis=1)[:, 1:2],
            ops.squeeze(rows[:, 0:1, :], 1)[:, :1],
            rows[:, 0][:, 1:2] * rows[:, -1][:, 2:3],
            ops.expand_dims(rows[:, 1, 2], -1),
            ops.matmul(rows, rows.swapaxes(1, 2)).sum(axis=(1, 2)).reshape((-1, 1)),
            ops.tanh(x)[:, :1] - ops.exp(-x)[:, :1] + ops.log(ops.abs(x) + 1)[:, :1] / 2.0,
            ops.sqrt(ops.square(x) + 2)[:, :1] * ops.rsqrt(x**2 + 1)[:, 1:2] / (ops.abs(w) + 1),
            ops.maximum(x, w)[:, :1] + ops.minimum(x, w)[:, :1] + ops.clamp(x, None, 0.3)[:, :1] * (1.0 - w),
            ops.gelu(x)[:, :1] + ops.relu(x)[:, :1] + ops.sigmoid(x[:, ::2])[:, 1:2] + 0.5 * rows[:, 2, 1:2],
            ops.zeros_like(x)[:, :1],
        )
        return ops.concat(parts, 1).sum(axis=1, keepdims=True)


def test_operations_of_other_networks(tmp_path):
    assert_same(Graph(tmp_path, ManyOperations(), NetworkInputs.of_fields(["a", "b", "c"])), OUTPUTS, 2e-5)


def test_the_stream_model(tmp_path):
    fields = NetworkInputs.of_fields([f"F{k}" for k in range(FIELDS)])
    assert_same(Graph(tmp_path, WideDeep(stream_config()), fields), OUTPUTS)


@pytest.mark.parametrize("feed", [(), ("age", "user", "item")])
def test_slots_that_are_not_fed(tmp_path, feed):
    model = two_heads(tmp_path)
    assert_same(Graph(tmp_path, model.network(), NetworkInputs.of_schema(model.schema), feed), OUTPUTS)


class WithMaximum(OneTable):
    """An operation that has no counterpart here."""

    def construct(self, ids, weights):
        return self.deep(ids).max(axis=(1)).sum(axis=1, keepdims=True) + weights[:, :1]


class Backwards(OneTable):
    def construct(self, ids, weights):
        return super().construct(ids, weights) + weights[:, ::-1][:, :1]


@pytest.mark.parametrize(
    ("network", "operation"), [(WithMaximum, "ArgMaxWithValue"), (Backwards, "StridedSlice .*backwards|Reverse")]
)
def test_an_operation_that_is_not_supported_is_named(tmp_path, network, operation):
    inputs = NetworkInputs.of_fields(["a", "b", "c"])
    network = network()
    message = f"--onnx: the network has an operation that is not supported: {operation}"
    with pytest.raises(ExportError, match=message) as error:
        ModelExport(network, inputs).write(tmp_path / "model", rows_of(network), Source(model={}), onnx=True)
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return Graph(tmp_path_factory.mktemp("small"), OneTable(), NetworkInputs.of_fields(["a", "b", "c"]))


@pytest.mark.parametrize("name", ["weights", "rows", "out.bias"])
def test_a_name_that_is_taken_is_refused(small, name):
    with pytest.raises(ExportError, match=f"--onnx: variable '{name}': expected another name"):
        to_onnx(small.content, (name, "probability"))


def test_any_runtime_of_the_operator_set_reads_it(small):
    onnx = importlib.import_module("onnx")
    model = onnx.load_from_string(to_onnx(small.content, OUTPUTS))
    assert [(given.domain, given.version) for given in model.opset_import] == [("", 17)]
    assert model.ir_version == 8
    assert {tensor.name for tensor in model.graph.initializer} >= {"out.weight", "out.bias"}


def test_a_graph_that_gives_other_numbers_is_refused(small, tmp_path, monkeypatch):
    monkeypatch.setitem(onnx_ops.OPERATIONS, "Sigmoid", onnx_ops.OPERATIONS["Tanh"])
    with pytest.raises(ExportError, match=r"--onnx: probability of model\.onnx is not that of the graph"):
        write_onnx(tmp_path / "model.onnx", small.path, small.inputs, OUTPUTS)


def test_without_the_package_it_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    network = OneTable()
    export = ModelExport(network, NetworkInputs.of_fields(["a", "b", "c"]))
    with pytest.raises(ConfigError, match=r"pip install 'mindspore-rec-online\[onnx\]'") as error:
        export.write(tmp_path / "model", rows_of(network), Source(model={}), onnx=True)
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_without_the_runtime_it_is_written_and_said(small, tmp_path, monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with caplog.at_level(logging.WARNING):
        write_onnx(tmp_path / "model.onnx", small.path, small.inputs, OUTPUTS)
    assert "model.onnx was not compared" in caplog.text
    assert (tmp_path / "model.onnx").read_bytes() == to_onnx(small.content, OUTPUTS)


@pytest.mark.parametrize("layout", ["native", "paddle"])
def test_the_manifest_covers_it(tmp_path, layout):
    network = OneTable()
    ModelExport(network, NetworkInputs.of_fields(["a", "b", "c"])).write(
        tmp_path / "model", rows_of(network), Source(model={}), layout, onnx=True
    )
    manifest = read_export(tmp_path / "model").manifest
    assert "model.onnx" in manifest.files
    assert manifest.format_version == 1  # as programs that know nothing of it read it
    path = tmp_path / "model" / "model.onnx"
    content = path.read_bytes()
    path.write_bytes(content[:-1] + b"x")
    with pytest.raises(ExportError, match=r"model\.onnx is damaged"):
        read_export(tmp_path / "model")
    path.unlink()
    with pytest.raises(ExportError, match=r"not the files it was written with: model\.onnx"):
        read_export(tmp_path / "model")
