"""Exports of a job: bases, deltas, inference models and text, of one rank and of several."""

import threading

import numpy as np
import pytest

from mindspore_rec.checkpoint.sparse_text import read_sparse_text
from mindspore_rec.config import ConfigError
from mindspore_rec.embedding.export_rule import ExportRule
from mindspore_rec.job_config import TableParameters
from mindspore_rec.serving.exported_model import read_export
from mindspore_rec.serving.job_exports import JobExports, rule_of
from mindspore_rec.serving.manifest import ExportError
from mindspore_rec.serving.paddle_layout import PaddleLayout
from mindspore_rec.train.hoist import lookup_cells
from mindspore_rec.train.job_model import JobModel
from mindspore_rec.train.place import ALONE, Place
from tests.distributed.thread_exchange import run_ranks
from tests.serving.trained_models import batch, slot_dnn, two_heads, variables_of

SECONDS = 1.5e9
# A show counts 1, a click nothing more: ids seen twice are in a base, those seen once since in a delta.
RULES = {"nonclk_coeff": 1.0, "click_coeff": 1.0, "base_threshold": 2.0, "delta_threshold": 1.0}
TABLES = {"embedding": TableParameters(accessor={"ctr_accessor_param": RULES})}


def job_of(model, place=ALONE):
    return JobModel(model, place, clock=lambda: SECONDS)


def see(job, ids, times=1):
    """Train on each id so often."""
    for cell in lookup_cells(job.network):
        for _ in range(times):
            found = cell.table.prepare(np.asarray(ids, np.int64))
            grads = np.full((len(ids), cell.embedding_size), 0.1, np.float32)
            sums = cell.table.sum_gradients(found, grads)[0]
            cell.table.apply(found, sums, clicks=np.zeros(len(ids), np.float32), seconds=SECONDS)


def folder_of(path):
    path.mkdir(parents=True)
    return path


def ids_of(folder, name="embedding_x"):
    return read_sparse_text(folder, name).ids.tolist()


def test_bases_deltas_and_inference_models(tmp_path):
    job = job_of(slot_dnn(TABLES))
    exports = JobExports(job)
    see(job, [1, 2], times=2)
    see(job, [3])
    exports.base(folder_of(tmp_path / "base"))
    assert ids_of(tmp_path / "base") == ids_of(tmp_path / "base", "embedding_w") == [1, 2]
    see(job, [2, 3])
    exports.delta(folder_of(tmp_path / "delta-1"))
    assert ids_of(tmp_path / "delta-1") == [2, 3]
    see(job, [1])
    exports.inference(folder_of(tmp_path / "inference"))
    assert ids_of(tmp_path / "inference") == [1, 2, 3]
    assert read_sparse_text(tmp_path / "inference", "embedding_x").slots == {}
    exports.delta(folder_of(tmp_path / "delta-2"))  # the inference model was not in between
    assert ids_of(tmp_path / "delta-2") == [1]
    kinds = {path.name: read_export(path).manifest.source.kind for path in tmp_path.iterdir()}
    assert kinds == {"base": "base", "delta-1": "delta", "delta-2": "delta", "inference": "full"}


def test_an_export_predicts_as_the_job(tmp_path):
    model = slot_dnn()
    job = job_of(model)
    see(job, np.arange(30) * (2**59 + 1), times=3)
    JobExports(job, layout="native").inference(folder_of(tmp_path / "inference"))
    exported = read_export(tmp_path / "inference")
    ids, dense, _ = batch(model.schema, 20)
    expected = variables_of(job.network, ids, dense)
    np.testing.assert_allclose(exported.predict(ids, dense)["probability"], expected["probability"], atol=1e-6)
    source = exported.manifest.source
    assert (source.model, source.data_time) == (model.describe(), int(SECONDS * 1000))
    assert exported.manifest.weighted is False


def test_text_lies_beside_what_is_there(tmp_path):
    job = job_of(slot_dnn(TABLES))
    see(job, [7, -1])
    folder = folder_of(tmp_path / "20190720" / "6")
    (folder / "step-000000000003").mkdir()
    JobExports(job).text(folder)
    for cell in lookup_cells(job.network):
        found, rows = read_sparse_text(folder, cell.table_name), cell.table.export_all()
        assert found.ids.tolist() == [7, -1]
        np.testing.assert_array_equal(found.weights, rows.weights)
        assert found.slots.keys() == rows.slots.keys() == {"g2sum", "delta_score"}
    names = [parameter.name for parameter in job.network.trainable_params()]
    dense = PaddleLayout().read_dense(folder, {name: name for name in names})
    for name in names:
        np.testing.assert_array_equal(dense[name], job.network.parameters_dict()[name].asnumpy())
    others = {path.name for path in folder.iterdir()} - {*names, "embedding.shard"}
    assert others == {"step-000000000003"}


def test_what_is_fed_is_checked_before_anything_is_trained(tmp_path):
    job = job_of(two_heads(tmp_path))
    assert JobExports(job, ["2"], ["interest"])
    with pytest.raises(ConfigError, match="interest depends on slot '2'"):
        JobExports(job, ["user"], ["interest"])


def test_a_table_that_does_not_know_what_changed_has_no_deltas(tmp_path):
    exports = JobExports(job_of(two_heads(tmp_path)))
    with pytest.raises(ExportError, match="table 'shared' keeps no delta_score"):
        exports.delta(folder_of(tmp_path / "delta"))


def test_rules_are_those_of_the_configuration():
    assert rule_of("embedding_w", TABLES) == rule_of("embedding_x", TABLES) == ExportRule(1.0, 1.0, 2.0, 1.0, 16)
    assert rule_of("other", TABLES) == rule_of("embedding_w", {}) == ExportRule(0.1, 1.0, 0.0, 0.0, 16)
    assert rule_of("own_w", {"own_w": TABLES["embedding"]}).base_threshold == 2.0


def test_ranks_export_together(tmp_path):
    lock = threading.Lock()  # MindSpore runs in one thread at a time
    folders = [folder_of(tmp_path / name) for name in ("base", "delta", "inference", "text")]

    def run(exchange):
        with lock:
            job = job_of(slot_dnn(TABLES), Place(exchange))
            exports = JobExports(job)
        mine = np.arange(1 + exchange.rank, 11, 2)
        see(job, mine, times=2)
        exports.base(folders[0])
        see(job, mine[:1])
        exports.delta(folders[1])
        exports.inference(folders[2])
        exports.text(folders[3])
        return {cell.table_name: cell.table.export_all() for cell in lookup_cells(job.network)}

    shares = run_ranks(2, run)
    assert [ids_of(folder) for folder in folders] == [[*range(1, 11)], [1, 2], [*range(1, 11)], [*range(1, 11)]]
    for folder in folders[:3]:
        assert read_export(folder).manifest.source.data_time == int(SECONDS * 1000)
    for name in ("embedding_w", "embedding_x"):
        found = read_sparse_text(folders[3], name)
        for share in shares:
            np.testing.assert_array_equal(found.weights[np.isin(found.ids, share[name].ids)], share[name].weights)
