"""What a comparison finds: nothing where an export is what it was made of, every other row where it is not."""

import shutil

import numpy as np
import pytest
from mindspore import Tensor

from mindspore_rec.serving.consistency import VariableDifference, compare
from mindspore_rec.serving.data_rows import NetworkRows
from mindspore_rec.serving.export import ModelExport
from mindspore_rec.serving.exported_model import read_export
from mindspore_rec.serving.manifest import Source
from mindspore_rec.serving.network_inputs import NetworkInputs
from mindspore_rec.serving.trained_model import TrainedModel
from tests.serving.trained_models import batch, rows_of, trained, two_heads

ROWS = 40


@pytest.fixture
def heads(tmp_path):
    model = two_heads(tmp_path)
    network = trained(model)
    inputs = NetworkInputs.of_schema(model.schema)
    ModelExport(network, inputs).write(tmp_path / "export", rows_of(network), Source(model={}))
    batches = [NetworkRows(*batch(model.schema, ROWS // 2, seed)[:2]) for seed in (8, 9)]
    return TrainedModel(network, inputs, False, Source(model={})), read_export(tmp_path / "export"), batches


def found(heads):
    trained_model, exported, batches = heads
    return {one.name: one for one in compare(exported, trained_model, batches)}


def test_an_export_is_what_it_was_made_of(heads):
    differences = found(heads)
    assert list(differences) == ["interest", "logit", "probability"]
    for one in differences.values():
        assert (one.rows, one.differing) == (ROWS, 0)
        assert one.largest < 1e-6


def test_another_dense_parameter_is_seen_where_it_matters(heads):
    network = heads[0].network
    bias = network.main.layers[1].bias
    bias.set_data(Tensor(bias.asnumpy() + np.float32(1e-3)))
    differences = found(heads)
    assert differences["interest"].differing == 0
    for name in ("logit", "probability"):
        assert differences[name].differing == ROWS
    assert differences["logit"].largest == pytest.approx(1e-3, rel=1e-2)


def test_another_row_is_seen_in_the_rows_that_read_it(heads):
    trained_model, _, batches = heads
    table = trained_model.network.shared.table
    looked_up = np.concatenate([rows.ids.of_columns([0, 1]).ids for rows in batches])
    ids, counts = np.unique(looked_up, return_counts=True)
    chosen = ids[counts == counts.min()][:1]
    state = table.state()
    state["rows"] = state["rows"].copy()
    state["rows"][state["ids"] == chosen, :3] += 0.5
    table.load_state(state)
    rows = {rows for each in batches for rows in with_id(each, chosen[0])}
    assert 0 < found(heads)["logit"].differing <= len(rows) < ROWS


def with_id(rows, wanted):
    """Numbers of the rows that look an id up in the first two slots."""
    bags = rows.ids.of_columns([0, 1])
    ends = bags.offsets[2::2]
    return {(id(rows), int(np.searchsorted(ends, place, "right"))) for place in np.flatnonzero(bags.ids == wanted)}


def test_what_answers_requests_is_compared_itself(heads):
    """And not the graph of all variables in its place."""
    trained_model, exported, _ = heads
    network, folder = trained_model.network, exported.folder
    bias = network.main.layers[1].bias
    bias.set_data(Tensor(bias.asnumpy() + np.float32(1.0)))
    other = folder.with_name("other")
    ModelExport(network, trained_model.inputs).write(other, rows_of(network), Source(model={}))
    bias.set_data(Tensor(bias.asnumpy() - np.float32(1.0)))
    shutil.copy(other / "model.mindir", folder / "model.mindir")
    assert {name: one.differing for name, one in found(heads).items()} == {
        "interest": 0,
        "logit": 0,
        "probability": ROWS,
    }


@pytest.mark.parametrize(
    ("expected", "value", "differing"),
    [
        (0.0, 9e-7, 0),
        (0.0, 1.1e-6, 1),
        (10.0, 10.000009, 0),
        (10.0, 10.000011, 1),
        (0.0, np.nan, 1),
        (np.nan, np.nan, 1),
        (np.inf, np.inf, 1),
    ],
)
def test_what_counts_as_different(expected, value, differing):
    one = VariableDifference("x")
    one.add(np.array([[1.0, expected], [0.0, 0.0]]), np.array([[1.0, value], [0.0, 0.0]]))
    assert (one.rows, one.differing) == (2, differing)
    assert one.largest == (np.inf if not np.isfinite(value) else pytest.approx(abs(value - expected)))
