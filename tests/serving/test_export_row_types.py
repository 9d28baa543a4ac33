"""Exports of rows of fewer bits: smaller files, and predictions that hardly move."""

import numpy as np
import pytest

from mindspore_rec.config import ConfigError
from mindspore_rec.serving.export import ModelExport
from mindspore_rec.serving.exported_model import read_export
from mindspore_rec.serving.manifest import ExportError, Source
from mindspore_rec.serving.network_inputs import NetworkInputs
from tests.serving.trained_models import batch, rows_of, slot_dnn, trained

SOURCE = Source(model={}, step=3)


class Exports:
    """A network after some steps, and its export by the type of the rows."""

    def __init__(self, folder):
        model = slot_dnn()
        self.network = trained(model, steps=8)
        self.export = ModelExport(self.network, NetworkInputs.of_schema(model.schema), fetch=("logit", "probability"))
        self.rows = rows_of(self.network)
        self.models = {}
        for row_type in ("float32", "float16", "int8"):
            path = self.export.write(folder / row_type, self.rows, SOURCE, row_type=row_type)
            self.models[row_type] = read_export(path)
        self.ids, self.dense, _ = batch(model.schema, 300, seed=9)

    def predict(self, row_type):
        return self.models[row_type].predict(self.ids, self.dense)


@pytest.fixture(scope="module")
def exports(tmp_path_factory):
    return Exports(tmp_path_factory.mktemp("exports"))


@pytest.mark.parametrize(("row_type", "version"), [("float32", 1), ("float16", 2), ("int8", 2)])
def test_the_manifest_says_what_the_rows_are(exports, row_type, version):
    manifest = exports.models[row_type].manifest
    assert {table.row_type for table in manifest.tables.values()} == {row_type}
    assert manifest.format_version == version


@pytest.mark.parametrize(("row_type", "rounding"), [("float16", 2.0**-11), ("int8", 0.5 / 127)])
def test_rows_are_within_the_bound(exports, row_type, rounding):
    for name, rows in exports.rows.items():
        found = exports.models[row_type].tables[name].lookup(rows.ids)
        assert found.dtype == np.float32
        bound = np.abs(rows.weights).max(axis=1, keepdims=True) * rounding * (1 + 1e-4) + 2.0**-25
        assert (np.abs(found - rows.weights) <= bound).all()
        assert not np.array_equal(found, rows.weights)


@pytest.mark.parametrize(("row_type", "most"), [("float16", 2e-4), ("int8", 2e-3)])
def test_probabilities_hardly_move(exports, row_type, most):
    expected, found = exports.predict("float32"), exports.predict(row_type)
    assert np.ptp(expected["probability"]) > 0.05
    moved = np.abs(found["probability"] - expected["probability"])
    assert 0 < moved.max() < most


def test_rows_take_less_space(exports):
    sizes = [
        sum(about.size for file, about in exports.models[row_type].manifest.files.items() if file.startswith("sparse"))
        for row_type in ("float32", "float16", "int8")
    ]
    assert sizes[0] > sizes[1]


@pytest.mark.parametrize("row_type", ["float16", "int8"])
def test_text_is_float32(exports, tmp_path, row_type):
    message = f"--row_type {row_type}: expected float32, which is what the rows of layout paddle are"
    with pytest.raises(ConfigError, match=message):
        exports.export.write(tmp_path / "model", exports.rows, SOURCE, "paddle", row_type)
    assert list(tmp_path.iterdir()) == []


def test_a_weight_beyond_the_range_leaves_nothing(exports, tmp_path):
    rows = dict(exports.rows)
    far = rows["embedding_x"].weights.copy()
    far[3, 0] = 7e4
    rows["embedding_x"] = type(rows["embedding_x"])(**{**vars(rows["embedding_x"]), "weights": far})
    with pytest.raises(ExportError, match=r"embedding_x-000\.safetensors: a weight is 70000, expected at most 65504"):
        exports.export.write(tmp_path / "model", rows, SOURCE, row_type="float16")
    assert list(tmp_path.iterdir()) == []
