"""Networks of checkpoints: the same state, the same kind of model, and no code that nobody named."""

from pathlib import Path

import numpy as np
import pytest

from mindspore_rec.checkpoint.chain import read_state
from mindspore_rec.checkpoint.errors import CheckpointError
from mindspore_rec.checkpoint.format import Checkpoint
from mindspore_rec.config import ConfigError
from mindspore_rec.job_config import TableParameters
from mindspore_rec.serving.trained_model import trained_model
from tests.serving.trained_models import (
    StreamRun,
    batch,
    rows_of,
    saved,
    slot_dnn,
    stream_batch,
    trained,
    two_heads,
    variables_of,
)


def assert_same(found, expected):
    for name, rows in expected.items():
        np.testing.assert_array_equal(found[name].ids, rows.ids)
        np.testing.assert_array_equal(found[name].weights, rows.weights)


def test_the_stream_model_is_that_of_its_config(tmp_path):
    run = StreamRun(tmp_path, row_type="bfloat16", admit_after=2, spec={"dense_dim": 2, "slot_dim": 3})
    found = trained_model(read_state(run.store.newest_path()))
    assert_same(found.rows(), rows_of(run.network))
    ids, weights, _ = stream_batch(40, 9)
    for name, values in variables_of(run.network, ids, weights).items():
        np.testing.assert_array_equal(variables_of(found.network, ids, weights)[name], values)
    assert found.inputs.slots == ("I1", "I2", "C1", "C2", "C3")
    assert (found.weighted, found.source.step) == (False, 3)
    assert found.source.data_time == 1_000_000_000_000  # by the clock of the model, as rows have no time
    assert found.source.spec == {"dense_dim": 2, "slot_dim": 3}
    assert found.source.checkpoint == str(run.store.newest_path().resolve())
    with pytest.raises(ConfigError, match=r"--model model\.py: expected none for checkpoint"):
        trained_model(read_state(run.store.newest_path()), Path("model.py"))


def test_a_built_in_model_is_found_by_its_name(tmp_path):
    model = slot_dnn()
    network = trained(model)
    progress = {"step": 3, "event_time": 1_500_000_000_000}
    path = saved(tmp_path, model, network, progress=progress, **{"pass": {"day": "20190720", "number": 6}})
    found = trained_model(read_state(path))
    assert_same(found.rows(), rows_of(network))
    ids, dense, _ = batch(model.schema, 40, 9)
    for name, values in variables_of(network, ids, dense).items():
        np.testing.assert_array_equal(variables_of(found.network, ids, dense)[name], values)
    source = found.source
    assert (source.data_time, source.day, source.pass_number) == (1_500_000_000_000, "20190720", 6)
    assert source.model == model.describe()
    assert not found.weighted
    assert trained_model(read_state(saved(tmp_path, slot_dnn(padding_id=None), network))).weighted


def test_a_model_of_ones_own_has_to_be_named(tmp_path):
    model = two_heads(tmp_path)
    network = trained(model)
    checkpoint = read_state(saved(tmp_path / "run", model, network))
    with pytest.raises(ConfigError, match=r"model\.py, which is no built-in one: name its model\.py by --model"):
        trained_model(checkpoint)
    for named in (tmp_path, tmp_path / "model.py"):
        assert_same(trained_model(checkpoint, named).rows(), rows_of(network))
    with pytest.raises(ConfigError, match="nothing: no such file; expected a model"):
        trained_model(checkpoint, tmp_path / "nothing")


@pytest.mark.parametrize("name", ["../../evil", "rank/../rank/slot_dnn", "/model.py", "rank/nothing", "", "rank"])
def test_no_other_file_is_run_because_a_checkpoint_names_it(tmp_path, name):
    model = slot_dnn()
    checkpoint = read_state(saved(tmp_path, model, model.network()))
    checkpoint.meta["model"]["model"] = name
    with pytest.raises(ConfigError, match="which is no built-in one"):
        trained_model(checkpoint)


def changed(checkpoint, **groups):
    return Checkpoint({**checkpoint.groups, **groups}, checkpoint.meta, checkpoint.path, checkpoint.manifest)


def test_parts_that_do_not_fit_are_named(tmp_path):
    model = slot_dnn()
    checkpoint = read_state(saved(tmp_path, model, trained(model, 1)))
    dense = dict(checkpoint.groups["dense"])
    del dense["mlp.layers.0.bias"]
    with pytest.raises(CheckpointError, match=r"parameter mlp\.layers\.0\.bias needs shape \(8,\), it has nothing"):
        trained_model(changed(checkpoint, dense=dense))
    dense["mlp.layers.0.bias"] = np.zeros(9, np.float32)
    with pytest.raises(CheckpointError, match=r"bias needs shape \(8,\), it has shape \(9,\)"):
        trained_model(changed(checkpoint, dense=dense))
    groups = {name: part for name, part in checkpoint.groups.items() if name != "table-embedding_x"}
    with pytest.raises(CheckpointError, match="table 'embedding_x'"):
        trained_model(Checkpoint(groups, checkpoint.meta, checkpoint.path))


@pytest.mark.parametrize(
    ("meta", "message"),
    [
        ({"model": None, "config": {}}, "does not say what its model is"),
        ({"model": {"model": "rank/slot_dnn"}}, "does not fit .*model.py: 'hyper_parameters'"),
        ({"model": None, "config": {"emb_dim": "many"}}, "config: "),
        ({"model": None, "config": {"no_such_key": 1}}, "config: "),
    ],
)
def test_a_description_that_is_none_is_one_line(tmp_path, meta, message):
    model = slot_dnn()
    checkpoint = read_state(saved(tmp_path, model, model.network()))
    checkpoint.meta.update(meta)
    with pytest.raises(CheckpointError, match=message) as error:
        trained_model(checkpoint)
    assert "\n" not in str(error.value)


def test_shares_of_several_ranks_are_one_table(tmp_path):
    model = slot_dnn()
    network = trained(model)
    checkpoint = read_state(saved(tmp_path, model, network))
    whole = checkpoint.groups.pop("table-embedding_w")
    for rank in range(2):
        mine = np.arange(whole["ids"].size) % 2 == rank
        share = {name: array[mine] if array.shape[:1] == mine.shape else array for name, array in whole.items()}
        checkpoint.groups[f"table-embedding_w.{rank}-of-2"] = share
    assert_same(trained_model(checkpoint).rows(), rows_of(network))


def score_of(rows):
    return (rows.show - rows.click) * np.float32(0.1) + rows.click


def test_rows_of_a_score_are_chosen(tmp_path):
    model = slot_dnn()
    path = saved(tmp_path, model, trained(model, steps=6))
    for name, rows in trained_model(read_state(path)).rows().items():
        least = float(np.median(score_of(rows)))
        worth = trained_model(read_state(path)).rows_worth(least)[name]
        expected = score_of(rows) >= np.float32(least)
        assert 0 < expected.sum() < len(rows)
        np.testing.assert_array_equal(worth.ids, rows.ids[expected])
        np.testing.assert_array_equal(worth.weights, rows.weights[expected])


def test_coefficients_of_scores_are_those_of_the_table(tmp_path):
    rules = TableParameters(**{"accessor": {"ctr_accessor_param": {"nonclk_coeff": 0.0, "click_coeff": 2.0}}})
    model = slot_dnn({"embedding": rules})
    path = saved(tmp_path, model, trained(model, steps=6))
    whole = trained_model(read_state(path)).rows()["embedding_w"]
    least = 2 * float(np.median(whole.click))
    worth = trained_model(read_state(path)).rows_worth(least)["embedding_w"]
    np.testing.assert_array_equal(worth.ids, whole.ids[whole.click * 2 >= least])
    assert 0 < len(worth) < len(whole)


def test_scores_need_statistics(tmp_path):
    run = StreamRun(tmp_path / "without")
    with pytest.raises(ConfigError, match="--min_score 2: table wide keeps no statistics, expected one") as error:
        trained_model(read_state(run.store.newest_path())).rows_worth(2.0)
    assert "\n" not in str(error.value)
    run = StreamRun(tmp_path / "with", evict_after="30d")
    found = trained_model(read_state(run.store.newest_path()))
    rows = found.rows()["deep"]
    least = float(np.median(score_of(rows)))
    np.testing.assert_array_equal(found.rows_worth(least)["deep"].ids, rows.ids[score_of(rows) >= np.float32(least)])
    assert not found.rows_worth(1e9)["deep"].ids.size
    with pytest.raises(ConfigError, match="--min_score nan: expected a finite number"):
        found.rows_worth(float("nan"))
