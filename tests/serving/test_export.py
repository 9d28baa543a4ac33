"""Exports of live networks: what is read back predicts as they do; by one rank or by several."""

import numpy as np
import pytest
from mindspore import Tensor, nn

from mindspore_rec import RecModel
from mindspore_rec.config import ConfigError
from mindspore_rec.embedding.bags import Bags
from mindspore_rec.embedding.lookup import HashEmbeddingLookup
from mindspore_rec.embedding.table_rows import TableRows
from mindspore_rec.job_config import TableParameters
from mindspore_rec.serving.export import ModelExport
from mindspore_rec.serving.exported_model import read_export
from mindspore_rec.serving.manifest import ExportError, Source
from mindspore_rec.serving.network_inputs import NetworkInputs
from mindspore_rec.train.framework_checkpoint import refresh_stamps
from mindspore_rec.train.hoist import lookup_cells
from mindspore_rec.train.losses import LogLoss
from tests.distributed.thread_exchange import run_ranks
from tests.serving.trained_models import (
    SLOTS,
    StreamRun,
    batch,
    rows_of,
    slot_dnn,
    stream_batch,
    trained,
    two_heads,
    variables_of,
)

LAYOUTS = ("native", "paddle")
SOURCE = Source(model={}, step=3)


def export_of(model, network, feed=None, fetch=None, **options):
    return ModelExport(network, NetworkInputs.of_schema(model.schema), feed, fetch, **options)


@pytest.fixture(scope="module")
def deep():
    model = slot_dnn()
    return model, trained(model)


@pytest.fixture(scope="module")
def heads(tmp_path_factory):
    model = two_heads(tmp_path_factory.mktemp("model"))
    return model, trained(model)


def assert_close(found, expected):
    assert found.keys() <= expected.keys()
    for name, array in found.items():
        np.testing.assert_allclose(array, expected[name], atol=1e-6)


@pytest.fixture(scope="module")
def exports_of_deep(deep, tmp_path_factory):
    """An export in each layout."""
    export, folder = export_of(*deep), tmp_path_factory.mktemp("deep")
    return {layout: export.write(folder / layout, rows_of(deep[1]), SOURCE, layout) for layout in LAYOUTS}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("weighted", [False, True])
def test_slot_dnn_predicts_as_in_training(deep, exports_of_deep, layout, weighted):
    model, network = deep
    exported = read_export(exports_of_deep[layout])
    ids, dense, _ = batch(model.schema, 50, seed=9, weighted=weighted)
    expected = variables_of(network, ids, dense)
    assert np.ptp(expected["probability"]) > 1e-3
    assert exported.predict(ids, dense).keys() == {"probability"}
    assert_close(exported.predict(ids, dense), expected)
    assert_close(exported.variables(ids, dense), expected)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_two_heads_are_given_what_they_read(heads, tmp_path, layout):
    model, network = heads
    export_of(model, network).write(tmp_path / "model", rows_of(network), SOURCE, layout)
    exported = read_export(tmp_path / "model")
    graph = exported.manifest.graph
    assert (graph.slots, graph.numbers, graph.outputs) == (("user", "item"), (("age", 1),), ("probability",))
    assert exported.dense.keys() == {f"main.layers.{k}.{what}" for k in (0, 1) for what in ("weight", "bias")}
    for name, array in exported.dense.items():
        np.testing.assert_array_equal(array, network.parameters_dict()[name].asnumpy())
    ids, dense, _ = batch(model.schema, 40, seed=9)
    expected = variables_of(network, ids, dense)
    assert_close(exported.predict(ids.of_columns([0, 1]), dense[:, 1:]), expected)
    assert_close(exported.variables(ids, dense), expected)
    assert exported.manifest.tables["other"].pooling == "mean"


def test_what_is_fed_and_fetched_can_be_said(heads, tmp_path):
    model, network = heads
    export_of(model, network, ["2", "height"], ["interest"]).write(tmp_path / "model", rows_of(network), SOURCE)
    exported = read_export(tmp_path / "model")
    assert exported.manifest.graph.outputs == ("interest",)
    ids, dense, _ = batch(model.schema, 40, seed=9)
    assert_close(exported.predict(ids.of_columns([2]), dense[:, :1]), variables_of(network, ids, dense))
    with pytest.raises(ConfigError, match="probability depends on slot 'item'"):
        export_of(model, network, ["user", "age"])


def test_the_stream_model_predicts_as_rec_model_does(tmp_path):
    run = StreamRun(tmp_path / "checkpoints", row_type="float16")
    fields = [f"F{k}" for k in range(5)]
    export = ModelExport(run.network, NetworkInputs.of_fields(fields), fetch=("logit", "probability"))
    export.write(tmp_path / "model", rows_of(run.network), SOURCE)
    exported = read_export(tmp_path / "model")
    ids, weights, _ = stream_batch(70, seed=9)
    logits = run.model.predict(Tensor(ids), Tensor(weights)).asnumpy()
    assert np.ptp(logits) > 1e-3
    found = exported.predict(ids, weights)
    np.testing.assert_allclose(found["logit"], logits, atol=1e-6)
    np.testing.assert_allclose(found["probability"], 1 / (1 + np.exp(-logits)), atol=1e-6)
    assert exported.manifest.graph.inputs == (("rows", (5, 4)), ("weights", (5,)))


def test_rec_model_predicts_the_same(deep, tmp_path):
    model, network = deep
    export_of(model, network, fetch=["logit"]).write(tmp_path / "model", rows_of(network), SOURCE)
    rng = np.random.default_rng(5)
    ids, dense = rng.integers(0, 30, (33, 4)) * (2**59 + 1), rng.random((33, 3), np.float32)
    refresh_stamps(lookup_cells(network))
    expected = RecModel(network, LogLoss(), model.optimizer(network)).predict(Tensor(ids), Tensor(dense)).asnumpy()
    np.testing.assert_allclose(read_export(tmp_path / "model").predict(ids, dense)["logit"], expected, atol=1e-6)


def test_unknown_ids_and_padding_are_zeros(exports_of_deep):
    exported = read_export(exports_of_deep["native"])
    assert [table.padding_id for table in exported.manifest.tables.values()] == [0, 0]
    known = exported.tables["embedding_w"].shares[0][0][5]
    ids = np.array([[0, 0, 0, 0], [123, 0, 7, 11], [known, 0, 0, 0]])
    assert not exported.rows(ids, SLOTS)[:2].any()
    assert exported.rows(ids, SLOTS)[2, 0].any()
    empty = Bags(4, np.zeros(0, np.int64), np.zeros(13, np.int64))
    numbers = np.zeros((3, 3), np.float32)
    np.testing.assert_array_equal(
        exported.predict(empty, numbers)["probability"][:2], exported.predict(ids, numbers)["probability"][:2]
    )


def test_a_row_with_the_padding_id_reads_as_zeros(tmp_path):
    """Whatever a table's file says."""
    model = slot_dnn(padding_id=-5, dense=())
    network = trained(model, steps=1)
    rows = rows_of(network)
    ids = np.array([1, -5])
    none = np.zeros(2, np.float32)
    for name, own in rows.items():
        weights = np.ones((2, own.weights.shape[1]), np.float32)
        rows[name] = TableRows(ids, weights, {}, none, none, none.astype(np.int32))
    export_of(model, network).write(tmp_path / "model", rows, SOURCE)
    exported = read_export(tmp_path / "model")
    assert [table.padding_id for table in exported.manifest.tables.values()] == [2**64 - 5] * 2
    found = exported.rows(np.array([[-5, 1, -5, 2]]), SLOTS)
    assert found[0].any(axis=1).tolist() == [False, True, False, False]


def test_vectors_that_ids_wait_for_are_zeros(tmp_path):
    """A table has fewer rows than another of the same ids."""
    rules = TableParameters(**{"accessor": {"embedx_threshold": 11.0}})
    model = slot_dnn({"embedding": rules})
    network = trained(model, steps=4)
    rows = rows_of(network)
    assert 0 < len(rows["embedding_x"]) < len(rows["embedding_w"])
    export_of(model, network).write(tmp_path / "model", rows, SOURCE)
    ids, dense, _ = batch(model.schema, 50, seed=9)
    assert_close(read_export(tmp_path / "model").predict(ids, dense), variables_of(network, ids, dense))


def test_later_states_by_the_same_export(tmp_path):
    model = slot_dnn()
    network = model.network()
    export = export_of(model, network)
    found = []
    for step in range(2):
        network.mlp.layers[1].bias.set_data(Tensor(np.array([step], np.float32)))
        export.write(tmp_path / f"{step}", rows_of(network), SOURCE.model_copy(update={"step": step}))
        exported = read_export(tmp_path / f"{step}")
        assert exported.manifest.source.step == step
        ids, dense, _ = batch(model.schema, 8)
        assert_close(exported.predict(ids, dense), variables_of(network, ids, dense))
        found.append(exported.manifest.digest)
    assert found[0] != found[1]


def of_ranks(model, network, ranks):
    """Makers of the export of each rank; made here, as MindSpore runs in one thread at a time."""

    def made(export):
        def with_exchange(exchange):
            export._exchange = exchange
            return export

        return with_exchange

    return [made(export_of(model, network)) for _ in range(ranks)]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_several_ranks_write_one_export(deep, tmp_path, layout):
    model, network = deep
    whole = rows_of(network)

    def share(rows, rank):
        """Every second row; the last rank has none."""
        chosen = np.arange(len(rows)) % 2 == rank
        slots = {name: array[chosen] for name, array in rows.slots.items()}
        parts = (getattr(rows, name)[chosen] for name in ("show", "click", "unseen_days"))
        return TableRows(rows.ids[chosen], rows.weights[chosen], slots, *parts)

    exports = of_ranks(model, network, 3)

    def run(exchange):
        own = {name: share(rows, exchange.rank) for name, rows in whole.items()}
        return exports[exchange.rank](exchange).write(tmp_path / "model", own, SOURCE, layout)

    assert run_ranks(3, run) == [tmp_path / "model"] * 3
    exported = read_export(tmp_path / "model")
    for name, table in exported.tables.items():
        files = exported.manifest.tables[name].files
        assert [sum(f"-00{rank}." in file for file in files) for rank in range(4)] == [1, 1, 1, 0]
        assert len(table) == len(whole[name])
        np.testing.assert_array_equal(table.lookup(whole[name].ids), whole[name].weights)
    ids, dense, _ = batch(model.schema, 50, seed=9)
    assert_close(exported.predict(ids, dense), variables_of(network, ids, dense))


@pytest.mark.parametrize("bad_rank", [0, 1])
def test_no_rank_publishes_where_one_cannot_write(deep, tmp_path, bad_rank):
    model, network = deep
    rows = rows_of(network)
    exports = of_ranks(model, network, 2)
    own = rows["embedding_x"]
    wrong = TableRows(own.ids, own.weights * np.nan, {}, own.show, own.click, own.unseen_days)

    def run(exchange):
        given = {**rows, "embedding_x": wrong} if exchange.rank == bad_rank else rows
        with pytest.raises(ExportError, match=f"rank {bad_rank}: .*is not finite"):
            exports[exchange.rank](exchange).write(tmp_path / "model", given, SOURCE)
        return True

    assert run_ranks(2, run) == [True, True]
    assert list(tmp_path.iterdir()) == []


def test_parameters_that_are_not_finite_are_refused(tmp_path):
    model = slot_dnn()
    network = model.network()
    network.mlp.layers[1].bias.set_data(Tensor(np.array([np.inf], np.float32)))
    with pytest.raises(ExportError, match=r"dense parameter mlp.layers.1.bias is not finite: nothing was exported"):
        export_of(model, network).write(tmp_path / "model", rows_of(network), SOURCE)
    assert list(tmp_path.iterdir()) == []


def test_tables_are_named(deep, tmp_path):
    model, network = deep
    rows = rows_of(network)
    del rows["embedding_x"]
    with pytest.raises(ValueError, match="rows of embedding_w: expected those of embedding_w, embedding_x"):
        export_of(model, network).write(tmp_path / "model", rows, SOURCE)
    assert list(tmp_path.iterdir()) == []


def test_no_other_folder_is_replaced(deep, tmp_path):
    model, network = deep
    (tmp_path / "data").write_text("mine")
    with pytest.raises(ExportError, match="no exported model to replace"):
        export_of(model, network).write(tmp_path, rows_of(network), SOURCE)
    assert (tmp_path / "data").read_text() == "mine"


class RowsAlone(nn.Cell):
    """A network without a dense parameter."""

    def __init__(self):
        super().__init__()
        self.table = HashEmbeddingLookup(2, name="table")

    def construct(self, ids):
        return self.table(ids).sum(axis=(1, 2)).reshape((-1, 1))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_network_without_dense_parameters(tmp_path, layout):
    network = RowsAlone()
    ids = np.arange(8).reshape(4, 2)
    lookup_cells(network)[0].table.prepare(ids)
    ModelExport(network, NetworkInputs(("a", "b"))).write(tmp_path / "model", rows_of(network), SOURCE, layout)
    exported = read_export(tmp_path / "model")
    assert exported.dense == {}
    assert_close(exported.predict(ids), variables_of(network, ids))
