"""PaddleRec's layout: what is read back is what was written, to the bit."""

import numpy as np
import pytest

from mindspore_rec.checkpoint.sparse_text import read_sparse_text
from mindspore_rec.embedding.table_rows import TableRows
from mindspore_rec.serving.export import ModelExport
from mindspore_rec.serving.exported_model import read_export
from mindspore_rec.serving.manifest import ExportError, Share, Source
from mindspore_rec.serving.network_inputs import NetworkInputs
from mindspore_rec.serving.paddle_layout import PaddleLayout
from tests.serving.trained_models import rows_of, slot_dnn, trained


def random_rows(ids, dim, rng):
    """Rows whose values are any finite floats."""

    def floats(*shape):
        bits = rng.integers(0, 2**32, shape, np.uint32).view(np.float32)
        return np.where(np.isfinite(bits), bits, np.float32(0.1))

    days = rng.integers(0, 100, ids.size, np.int32)
    slots = {"g2sum": floats(ids.size, 1), "m": floats(ids.size, dim)}
    return TableRows(ids, floats(ids.size, dim), slots, floats(ids.size), floats(ids.size), days)


def same_bits(one, other):
    return one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()


def test_tables_and_parameters_come_back_to_the_bit(tmp_path):
    model = slot_dnn()
    network = trained(model)
    rng = np.random.default_rng(3)
    ids = np.unique(rng.integers(0, 2**64, 500, np.uint64)).view(np.int64)
    rows = {name: random_rows(ids, own.weights.shape[1], rng) for name, own in rows_of(network).items()}
    ModelExport(network, NetworkInputs.of_schema(model.schema)).write(tmp_path / "m", rows, Source(model={}), "paddle")
    for name, own in rows.items():
        found = read_sparse_text(tmp_path / "m", name)
        assert same_bits(found.ids, own.ids) and same_bits(found.weights, own.weights)
        assert same_bits(found.show, own.show) and same_bits(found.click, own.click)
        assert same_bits(found.unseen_days, own.unseen_days)
        assert {slot: values.tobytes() for slot, values in found.slots.items()} == {
            slot: values.tobytes() for slot, values in own.slots.items()
        }
    dense = read_export(tmp_path / "m").dense
    for parameter in network.trainable_params():
        assert same_bits(dense[parameter.name], parameter.asnumpy())


def test_names_are_those_of_paddle_rec(tmp_path):
    model = slot_dnn(dense=())
    network = trained(model, steps=1)
    export = ModelExport(network, NetworkInputs.of_schema(model.schema))
    export.write(tmp_path / "model", rows_of(network), Source(model={}), "paddle")
    found = {str(path.relative_to(tmp_path / "model")) for path in (tmp_path / "model").rglob("*") if path.is_file()}
    assert found == {
        "__model__",
        "variables.mindir",
        "manifest.json",
        *(f"embedding.shard/embedding_{kind}{end}" for kind in "wx" for end in ("-000.txt", ".meta")),
        *(f"mlp.layers.{k}.{what}" for k in (0, 1) for what in ("weight", "bias")),
    }
    with (tmp_path / "model" / "mlp.layers.0.bias").open("rb") as file:
        np.testing.assert_array_equal(np.load(file), network.mlp.layers[0].bias.asnumpy())


@pytest.mark.parametrize("name", ["__model__", "manifest.json", "embedding.shard", "a/b", "..", ".a", "a b", "a" * 300])
def test_parameters_whose_names_no_file_can_have_are_refused(tmp_path, name):
    with pytest.raises(ExportError, match="expected a name of letters"):
        PaddleLayout().write_dense(tmp_path, {name: np.zeros(1, np.float32)})
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    "content", [b"", b"\x93NUMPY", b"\x93NUMPY\x01\x00v\x00{'descr': '|O', 'fortran_order': False, "]
)
def test_files_that_hold_no_array_are_refused(tmp_path, content):
    (tmp_path / "w").write_bytes(content)
    with pytest.raises(ExportError, match="w cannot be read"):
        PaddleLayout().read_dense(tmp_path, {"w": "w"})


def test_objects_are_not_loaded(tmp_path):
    with (tmp_path / "w").open("wb") as file:
        np.save(file, np.array([print], dtype=object))
    with pytest.raises(ExportError, match="w cannot be read"):
        PaddleLayout().read_dense(tmp_path, {"w": "w"})


def test_a_table_of_another_width_is_refused(tmp_path):
    layout, rows = PaddleLayout(), random_rows(np.arange(3), 2, np.random.default_rng(0))
    (about,) = layout.write_share(tmp_path, "t", 0, rows).values()
    layout.finish_table(tmp_path, "t", rows, [Share(about, 3)])
    assert len(layout.read_table(tmp_path, "t", (), 2)) == 3
    with pytest.raises(ExportError, match="table t has rows of 2 weights, expected 3"):
        layout.read_table(tmp_path, "t", (), 3)
