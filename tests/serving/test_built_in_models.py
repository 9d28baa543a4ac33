"""Every built-in model can be exported, and what is read back predicts as it does in training."""

import numpy as np
import pytest

from mindspore_rec.cli.job import load_job
from mindspore_rec.data.part_reader import part_data
from mindspore_rec.data.slot_schema import SlotSchema
from mindspore_rec.models.model_file import PACKAGE, Model, load_model_file
from mindspore_rec.serving.data_rows import NetworkRows, fed
from mindspore_rec.serving.export import ModelExport
from mindspore_rec.serving.exported_model import read_export
from mindspore_rec.serving.graph_file import read_graph
from mindspore_rec.serving.manifest import Source
from mindspore_rec.serving.network_inputs import NetworkInputs
from tests.serving.trained_models import SLOTS, batch, rows_of, trained, variables_of


def files():
    """The model.py of each; that of the stream trainer is none."""
    found = [path for path in sorted(PACKAGE.glob("*/*/model.py")) if "class Settings" in path.read_text("utf-8")]
    return [pytest.param(path, id=path.parent.name) for path in found]


def model_of(path):
    """A model as its config.yaml describes it, or with default settings where it has none."""
    file, config = load_model_file(path), path.with_name("config.yaml")
    if not config.exists():
        return Model(file, file.settings(), SlotSchema("click", SLOTS, (("age", 1),)), 0, {})
    job = load_job(str(config))
    data = part_data(job.runners[0].phases[0].dataset)
    return Model(file, file.settings(**job.hyper_parameters), data.schema, data.padding_id, job.table_parameters)


def assert_onnx_is_the_graph(exported, path):
    """For batches of any size, of a session that is given arrays by the names in the manifest."""
    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    graph, rng = exported.manifest.graph, np.random.default_rng(1)
    assert [given.name for given in session.get_inputs()] == [name for name, _ in graph.inputs]
    assert [(found.name, found.shape) for found in session.get_outputs()] == [("probability", ["batch", 1])]
    run = read_graph(path.with_name(graph.file), [shape for _, shape in graph.inputs])
    for count in (1, 7, 300):
        given = {name: rng.normal(0, 0.3, (count, *shape)).astype(np.float32) for name, shape in graph.inputs}
        for found, expected in zip(session.run(list(graph.outputs), given), run(*given.values())):
            assert found.shape == (count, 1) and (count == 1 or np.ptp(expected) > 0)
            np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("path", files())
def test_it_predicts_as_in_training(path, tmp_path):
    model = model_of(path)
    network = trained(model, steps=2)
    ModelExport(network, NetworkInputs.of_schema(model.schema)).write(
        tmp_path / "m", rows_of(network), Source(model={}), onnx=True
    )
    exported = read_export(tmp_path / "m")
    ids, *dense, _ = batch(model.schema, 30, seed=9)
    rows = NetworkRows(ids, *(dense or [None]))
    expected = variables_of(network, ids, *dense)
    found = exported.predict(*fed(rows, exported.manifest))
    assert found.keys() == {network.inference_target_var}
    for name, values in {**exported.variables(*rows), **found}.items():
        np.testing.assert_allclose(values, expected[name], atol=1e-6)
    assert_onnx_is_the_graph(exported, tmp_path / "m" / "model.onnx")
