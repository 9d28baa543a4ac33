"""Variables of a network by name, predicted and while it is trained, against numpy."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Tuple

import numpy as np
import pytest
from mindspore import nn

from mindspore_rec.data.slot_rows import SlotRows, slice_rows
from mindspore_rec.data.slot_schema import SlotSchema
from mindspore_rec.models.slot_network import SlotNetwork
from mindspore_rec.train.eval_step import PredictStep
from mindspore_rec.train.losses import LogLoss
from mindspore_rec.train.rec_model import RecModel
from mindspore_rec.train.step import TrainStep
from mindspore_rec.train.trainer_state import TrainerState
from mindspore_rec.train.variables_step import VariablesStep, Watch
from tests.train.dumped_model import DIM, Network, Settings, bags_of, computed

SCHEMA = SlotSchema.from_keys("1 2 3 4")
SLOTS, BATCH = 3, 8
SIZES = (8, 5, 8)  # of batches, the graph being compiled for BATCH rows


def ragged(count: int, seed: int) -> SlotRows:
    """Rows of up to three ids a slot."""
    rng = np.random.default_rng(seed)
    offsets = np.concatenate(([0], np.cumsum(rng.integers(0, 4, count * SLOTS))))
    labels = rng.integers(0, 2, (count, 1)).astype(np.float32)
    return SlotRows(SLOTS, rng.integers(1, 30, offsets[-1]), offsets, labels, np.zeros((count, 0), np.float32))


def new_network(seed: int = 1) -> SlotNetwork:
    return Network(Settings(seed=seed), SCHEMA, None, {})


def train_step(network: SlotNetwork, watch: Optional[Watch] = None, exact_rows: int = 0) -> TrainStep:
    optimizer = nn.Adam(network.trainable_params(), 0.05)
    step = TrainStep(network, LogLoss(), optimizer, watch=watch, exact_rows=exact_rows)
    step.expect_rows(BATCH)
    step.at(1.0)  # tables keep times
    step.set_train(True)
    return step


def trained_network() -> SlotNetwork:
    network = new_network()
    step = train_step(network)
    for seed in range(6):
        rows = ragged(BATCH, seed)
        step(bags_of(rows), rows.labels)
    return network


def state_of(network: SlotNetwork, step: TrainStep) -> Dict[str, np.ndarray]:
    found = {parameter.name: parameter.asnumpy() for parameter in step.get_parameters()}
    for cell in (network.embedding.weight, network.embedding.vector):
        found.update({f"{cell.table_name}.{name}": array for name, array in cell.table.state().items()})
    return found


@pytest.mark.parametrize("names", [("pooled", "logit"), ("probability",), ("hidden", "hidden", "pooled"), ()])
def test_predicted_variables_are_those_of_the_network(names: Tuple[str, ...]) -> None:
    network = trained_network()
    before = state_of(network, train_step(network))
    step = VariablesStep(network, names, rows=BATCH)
    step.set_train(False)
    for size in (BATCH, 3, 1):
        rows = ragged(size, 100 + size)
        found, wanted = step(bags_of(rows)), computed(network, rows)
        assert len(found) == len(names)
        for name, variable in zip(names, found):
            assert variable.shape == wanted[name].shape
            np.testing.assert_allclose(variable.asnumpy(), wanted[name], rtol=1e-5, atol=1e-6)
    after = state_of(network, train_step(network))
    assert all(np.array_equal(before[name], after[name]) for name in before if name.startswith("embedding"))


def test_the_logit_is_that_of_the_predict_step_row_by_row() -> None:
    network, rows = trained_network(), ragged(BATCH, 100)
    (logits,) = VariablesStep(network, ("logit",))(bags_of(rows))
    np.testing.assert_array_equal(logits.asnumpy(), PredictStep(network)(bags_of(rows)).asnumpy())
    one = PredictStep(network, rows=1)
    for k in range(BATCH):
        alone = one(bags_of(slice_rows(rows, k, k + 1))).asnumpy()
        np.testing.assert_allclose(alone[0], logits.asnumpy()[k], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("exact_rows", [0, 4])
def test_watched_variables_are_those_before_the_update(exact_rows: int) -> None:
    told: List[List[np.ndarray]] = []
    network = trained_network()
    names = ("hidden", "pooled", "probability")
    step = train_step(network, Watch(names, lambda variables: told.append([v.copy() for v in variables])), exact_rows)
    for seed, size in enumerate(SIZES):
        rows = ragged(size, seed)  # ids that are known, so that numpy reads what training does
        wanted = computed(network, rows)
        step(bags_of(rows), rows.labels)
        assert [variable.shape for variable in told[-1]] == [wanted[name].shape for name in names]
        for name, variable in zip(names, told[-1]):
            np.testing.assert_allclose(variable, wanted[name], rtol=1e-5, atol=1e-6)
        assert not np.allclose(computed(network, rows)["hidden"], told[-1][0], rtol=1e-3)
    assert len(told) == len(SIZES)


def test_watched_rows_of_new_ids_are_those_the_training_drew() -> None:
    told: List[np.ndarray] = []
    step = train_step(new_network(), Watch(("pooled",), lambda variables: told.append(variables[0].copy())))
    rows = ragged(BATCH, 0)
    step(bags_of(rows), rows.labels)
    drawn = told[0][..., 1:]
    assert (np.abs(drawn) > 0).any(axis=-1)[np.diff(rows.offsets).reshape(BATCH, SLOTS) > 0].all()
    assert told[0].shape == (BATCH, SLOTS, DIM)


@pytest.mark.parametrize("exact_rows", [0, 4])
@pytest.mark.parametrize("names", [(), ("pooled", "hidden", "logit", "probability")])
def test_a_watch_changes_nothing(names: Sequence[str], exact_rows: int) -> None:
    states = []
    for watch in (None, Watch(names, lambda variables: None)):
        network = new_network()
        step = train_step(network, watch, exact_rows)
        for seed, size in enumerate(SIZES):
            rows = ragged(size, seed)
            step(bags_of(rows), rows.labels)
        states.append(state_of(network, step))
    assert list(states[0]) == list(states[1])
    for name, array in states[0].items():
        assert array.tobytes() == states[1][name].tobytes(), name


def test_a_batch_that_is_skipped_is_told_and_one_without_rows_is_not() -> None:
    told: List[np.ndarray] = []
    network = trained_network()
    network.last.layers[0].bias.set_data(network.last.layers[0].bias * np.nan)
    step = train_step(network, Watch(("hidden", "logit"), lambda variables: told.append(variables[1].copy())))
    rows = ragged(4, 0)
    step(bags_of(rows), rows.labels)
    assert step.result.skipped
    assert len(told) == 1 and told[0].shape == (4, 1) and np.isnan(told[0]).all()
    none = ragged(0, 0)
    step(bags_of(none), none.labels)
    assert len(told) == 1


class _Batches:
    """A data set of two batches."""

    batch_size = BATCH

    def get_dataset_size(self) -> int:
        return 2

    def create_tuple_iterator(self, **options: Any) -> Any:
        for seed in range(2):
            rows = ragged(BATCH, seed)
            yield bags_of(rows), rows.labels


def test_a_model_that_is_watched_goes_on_from_a_checkpoint_of_one_that_is_not(tmp_path: Path) -> None:
    told: List[int] = []
    saved = []
    for watch in (None, Watch(("hidden",), lambda variables: told.append(len(variables[0])))):
        network = new_network()
        model = RecModel(network, LogLoss(), nn.Adam(network.trainable_params(), 0.05), watch=watch)
        state = TrainerState(model)
        if saved:
            state.restore(saved[0])
        model.online_train(_Batches(), dataset_sink_mode=False)
        saved.append(state.checkpoint({}))
    assert told == [BATCH, BATCH]
    assert [sorted(group) for group in saved[0].groups.values()] == [
        sorted(group) for group in saved[1].groups.values()
    ]
    assert saved[1].meta["progress"]["rows_trained"] == 4 * BATCH
