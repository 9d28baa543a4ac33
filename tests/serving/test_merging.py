"""An export and what changed since are one export, whatever rows the older one has."""

import numpy as np
import pytest

from mindspore_rec.embedding.table_rows import ChangedRows
from mindspore_rec.serving.export import ModelExport
from mindspore_rec.serving.exported_model import read_export
from mindspore_rec.serving.manifest import Source
from mindspore_rec.serving.merging import merge
from mindspore_rec.serving.network_inputs import NetworkInputs
from tests.serving.trained_models import batch, rows_of, slot_dnn, trained


@pytest.mark.parametrize("row_type", ["float32", "int8"])
def test_changed_rows_replace_older_ones(tmp_path, row_type):
    model = slot_dnn()
    network = trained(model)
    export = ModelExport(network, NetworkInputs.of_schema(model.schema))
    base = read_export(
        export.write(tmp_path / "base", rows_of(network), Source(model={}), row_type=row_type, onnx=True)
    )
    rng, changes, expected = np.random.default_rng(0), {}, {}
    for name, table in base.tables.items():
        ids = table.shares[0].ids
        newer = np.append(ids[::3], [-3, 123])
        weights = rng.random((newer.size, table.dim), np.float32)
        changes[name] = [ChangedRows(newer, weights, ids[1::3])]
        there = dict(zip(ids.tolist(), table.lookup(ids)))
        for gone in ids[1::3].tolist():
            del there[gone]
        expected[name] = {**there, **dict(zip(newer.tolist(), weights))}
    (tmp_path / "merged").mkdir()
    dense = {name: network.parameters_dict()[name].asnumpy() for name in base.dense}
    merge(base, changes, dense, Source(model={}, step=9), tmp_path / "merged")
    merged = read_export(tmp_path / "merged")
    assert (merged.manifest.format_version, merged.manifest.source.step) == (1, 9)
    for name, table in merged.tables.items():
        assert merged.manifest.tables[name].row_type == "float32"
        ids = np.array(list(expected[name]))
        assert len(table) == ids.size
        np.testing.assert_array_equal(table.lookup(ids), np.stack(list(expected[name].values())))
    ids, numbers, _ = batch(model.schema, 5)
    assert np.isfinite(merged.predict(ids, numbers)["probability"]).all()
