"""Engines compute the same numbers, with the dense parameters of any version."""

import numpy as np
import pytest

from mindspore_rec.config import ConfigError, UserError
from mindspore_rec.serving import graph_engines, onnx_file
from mindspore_rec.serving.export import ModelExport
from mindspore_rec.serving.exported_model import read_export
from mindspore_rec.serving.graph_engines import MindSporeEngine, OnnxEngine, open_engine
from mindspore_rec.serving.manifest import Source
from mindspore_rec.serving.network_inputs import NetworkInputs
from tests.serving.trained_models import rows_of, slot_dnn, trained, two_heads

pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: pip install .[onnx]")


@pytest.fixture(scope="module", params=["slot_dnn", "two_heads"])
def export(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("export")
    model = slot_dnn() if request.param == "slot_dnn" else two_heads(folder)
    network = trained(model)
    writer = ModelExport(network, NetworkInputs.of_schema(model.schema))
    return read_export(writer.write(folder / "model", rows_of(network), Source(model={"model": request.param})))


def inputs_of(export, count, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal((count, *shape), dtype=np.float32) for _, shape in export.manifest.graph.inputs]


def other_dense(export, seed):
    rng = np.random.default_rng(seed)
    return {name: rng.standard_normal(array.shape, dtype=np.float32) for name, array in export.dense.items()}


@pytest.mark.parametrize("count", [1, 7, 600])
def test_engines_give_the_same_numbers(export, count):
    given, versions = inputs_of(export, count), {"a": export.dense, "b": other_dense(export, 1)}
    engines = OnnxEngine(export), MindSporeEngine(export)
    runs = {
        (engine.name, version): engine.of(version, dense) for engine in engines for version, dense in versions.items()
    }
    found = {key: run(given) for key, run in runs.items()}
    for version in versions:
        pairs = list(zip(found["onnxruntime", version], found["mindspore", version]))
        assert len(pairs) == len(export.manifest.graph.outputs)
        for one, other in pairs:
            assert one.dtype == other.dtype == np.float32
            np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
    assert not np.allclose(found["onnxruntime", "a"][0], found["onnxruntime", "b"][0])
    for name in ("onnxruntime", "mindspore"):  # what was asked in between changes nothing
        np.testing.assert_array_equal(runs[name, "a"](given)[0], found[name, "a"][0])


def test_what_an_engine_can_be_used_for_again(export):
    other = export.manifest.model_copy(update={"source": Source(model={"model": "another"})})
    changed = type(export)(export.folder, other)
    for engine in (OnnxEngine(export), MindSporeEngine(export)):
        assert engine.fits(export)
        assert not engine.fits(changed)


def test_mindspore_where_the_graph_cannot_be_translated(export, monkeypatch, caplog):
    assert open_engine(export).name == "onnxruntime"
    assert open_engine(export, "mindspore").name == "mindspore"

    def no_package():
        raise ConfigError("the package onnx is not installed")

    monkeypatch.setattr(onnx_file, "need_onnx", no_package)
    assert open_engine(export).name == "mindspore"
    assert "answers are computed by MindSpore: the package onnx is not installed" in caplog.text
    with pytest.raises(UserError, match="onnx is not installed"):
        open_engine(export, "onnxruntime")


def test_other_numbers_are_noticed(export, monkeypatch, caplog):
    of = OnnxEngine.of

    def wrong(engine, identity, dense):
        return of(engine, identity, {name: array + np.float32(0.01) for name, array in dense.items()})

    monkeypatch.setattr(graph_engines.OnnxEngine, "of", wrong)
    assert open_engine(export).name == "mindspore"
    assert "ONNX Runtime gives other numbers" in caplog.text
