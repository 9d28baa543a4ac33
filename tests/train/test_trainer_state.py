import pytest
from mindspore import nn

from mindspore_rec import RecModel
from mindspore_rec.checkpoint.errors import CheckpointError
from mindspore_rec.checkpoint.format import Checkpoint
from mindspore_rec.checkpoint.store import CheckpointStore
from mindspore_rec.metrics.progressive import ProgressiveWindow
from mindspore_rec.train.losses import LogLoss
from mindspore_rec.train.resume import resume
from mindspore_rec.train.trainer_state import TrainerState
from mindspore_rec.train.window_monitor import WindowMonitor
from tests.train.small_networks import OneTable, dataset, rows


def new_model(dim=4):
    network = OneTable(dim)
    return RecModel(network, LogLoss(), nn.Adam(network.trainable_params(), 0.01))


def train(model, window, begin, end):
    model.online_train(dataset([rows(32, seed=k) for k in range(begin, end)]), callbacks=WindowMonitor(window))


def as_bytes(model, window):
    state = TrainerState(model, window).checkpoint({"name": "spec"})
    return {f"{g}/{n}": a.tobytes() for g, arrays in state.groups.items() for n, a in arrays.items()}, state.meta


def test_save_load_continue_equals_uninterrupted(tmp_path):
    store = CheckpointStore(tmp_path)
    first, first_window = new_model(), ProgressiveWindow(100)
    train(first, first_window, 0, 4)
    store.write(4, TrainerState(first, first_window).checkpoint({}))
    second, second_window = new_model(), ProgressiveWindow(100)
    resume("auto", store, TrainerState(second, second_window))
    assert as_bytes(second, second_window) == as_bytes(first, first_window)
    train(first, first_window, 4, 8)
    train(second, second_window, 4, 8)
    assert as_bytes(second, second_window) == as_bytes(first, first_window)
    assert second.progress.step == 8


def test_the_rules_of_resume(tmp_path, caplog):
    caplog.set_level("INFO")
    store = CheckpointStore(tmp_path)
    model, window = new_model(), ProgressiveWindow(100)
    resume("auto", store, TrainerState(model, window))
    assert "starting new" in caplog.text
    train(model, window, 0, 2)
    path = store.write(2, TrainerState(model, window).checkpoint({}))
    for rule, step in (("auto", 2), (str(path), 2), ("none", 0)):
        other = new_model()
        resume(rule, store, TrainerState(other, ProgressiveWindow(100)))
        assert other.progress.step == step
    with pytest.raises(CheckpointError, match="nowhere"):
        resume("nowhere", store, TrainerState(new_model(), window))


def test_a_checkpoint_of_another_shape_is_refused_by_name():
    model, window = new_model(dim=8), ProgressiveWindow(100)
    train(model, window, 0, 1)
    with pytest.raises(CheckpointError, match=r"out\.weight needs shape \(1, 4\), it has shape \(1, 8\)"):
        TrainerState(new_model(), window).restore(TrainerState(model, window).checkpoint({}))


@pytest.mark.parametrize("missing", ["table-deep", "window", "progress"])
def test_a_checkpoint_with_a_missing_part_is_refused(missing):
    model, window = new_model(), ProgressiveWindow(100)
    train(model, window, 0, 1)
    state = TrainerState(model, window).checkpoint({})
    groups = {name: arrays for name, arrays in state.groups.items() if name != missing}
    meta = {name: value for name, value in state.meta.items() if name != missing or missing == "window"}
    with pytest.raises(CheckpointError, match=missing.replace("table-", "")):
        TrainerState(new_model(), ProgressiveWindow(100)).restore(Checkpoint(groups, meta))
