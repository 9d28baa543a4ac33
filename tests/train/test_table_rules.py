"""Tables inside a `RecModel`: the arguments of mindspore_rec 0.3, admission by column, clicks, days, restarts."""

import types

import mindspore as ms
import numpy as np
import pytest
from mindspore import nn
from mindspore.common import initializer

from mindspore_rec import HashEmbeddingLookup, RecModel
from mindspore_rec.checkpoint.format import read_checkpoint
from mindspore_rec.checkpoint.store import CheckpointStore
from mindspore_rec.embedding.admission import Always, MinCount, Probability, ShowClick
from mindspore_rec.embedding.delta_score import DeltaScore
from mindspore_rec.embedding.eviction import LeastRecent, ShowClickDecay, Unseen
from mindspore_rec.embedding.export_rule import ExportRule
from mindspore_rec.embedding.initial import Constant, Normal, Uniform
from mindspore_rec.embedding.optimizers import SGD
from mindspore_rec.train.losses import LogLoss
from mindspore_rec.train.trainer_state import TrainerState
from tests.train.small_networks import OneTable, TwoTowers, dataset, rows

DAY = 86_400
ONE = np.ones((2, 3), np.float32)


def model_of(network, **options):
    return RecModel(network, LogLoss(), nn.Adam(network.trainable_params(), 0.01), **options)


def seeded(**options):
    """Networks of the same dense weights."""
    ms.set_seed(5)
    return OneTable(**options)


def train(model, *batches):
    model.online_train(dataset(list(batches)))


def batch(ids, label=1.0):
    ids = np.array(ids, np.int64)
    return ids, np.ones(ids.shape, np.float32), np.full((len(ids), 1), label, np.float32)


@pytest.mark.parametrize(
    ("given", "law"),
    [
        ("normal", Normal(0.01)),
        ("Uniform", Uniform(0.07)),
        ("zeros", Constant(0.0)),
        ("ones", Constant(1.0)),
        (0.25, Constant(0.25)),
        (2, Constant(2.0)),
        (initializer.Normal(0.5, 1.0), Normal(0.5, 1.0)),
        (initializer.Uniform(0.5), Uniform(0.5)),
        (initializer.Constant(3), Constant(3.0)),
        (initializer.Zero(), Constant(0.0)),
        (initializer.One(), Constant(1.0)),
    ],
    ids=lambda given: str(given) if "object at" not in str(given) else type(given).__name__,
)
def test_first_values_are_named_as_in_mindspore(given, law):
    lookup = HashEmbeddingLookup(64, param_init=given, optimizer=SGD(), seed=3)
    values = lookup.table.read(lookup.table.prepare(np.arange(500)))
    if isinstance(law, Constant):
        assert (values == law.value).all()
    elif isinstance(law, Uniform):
        assert np.abs(values).max() <= law.bound < 1.01 * np.abs(values).max()
    else:
        assert values.mean() == pytest.approx(law.mean, abs=0.02 * law.sigma)
        assert values.std() == pytest.approx(law.sigma, rel=0.02)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("embedding_size", 0),
        ("key_dtype", ms.float32),
        ("param_init", "he_normal"),
        ("param_init", ms.Tensor([1.0])),
        ("param_init", True),
        ("max_norm", 0.0),
        ("max_norm", float("inf")),
        ("sparse", False),
        ("permit_filter_value", 0),
        ("permit_filter_value", 1.5),
        ("permit_filter_value", 70_000),
        ("evict_filter_value", 0),
        ("row_type", "float64"),
        ("max_rows", -1),
    ],
)
def test_arguments_that_cannot_be_used_are_named(name, value):
    with pytest.raises(ValueError, match=rf"^{name} = .*: expected") as error:
        HashEmbeddingLookup(**{"embedding_size": 4, name: value})
    assert "\n" not in str(error.value)


def test_old_and_new_arguments_do_not_mix():
    with pytest.raises(ValueError, match="permit_filter_value = 3: expected 1 where admission is given"):
        HashEmbeddingLookup(4, permit_filter_value=3, admission=Always())
    with pytest.raises(ValueError, match="evict_filter_value = 3: expected none where eviction is given"):
        HashEmbeddingLookup(4, evict_filter_value=3, eviction=LeastRecent())
    table = HashEmbeddingLookup(4, ms.int32, "normal", None, True, 3, 10).table
    assert (table.admission, table.eviction) == (MinCount(3), (Unseen(steps=10),))


def test_an_id_trains_from_its_nth_occurrence_on():
    network = OneTable(permit_filter_value=3)
    model, table = model_of(network), network.deep.table
    train(model, batch([[1, 2, 3]]), batch([[1, 2, 4]]))
    assert len(table) == 0
    before = model.predict(ms.Tensor(np.array([[1, 2, 3]])), ms.Tensor(ONE[:1])).asnumpy()
    bias = network.out.bias.asnumpy()
    np.testing.assert_allclose(before, bias[None], rtol=1e-6)  # all rows are zeros
    train(model, batch([[1, 5, 6]]))
    assert table.state()["ids"].tolist() == [1]
    assert table.stats().waiting == 5


def test_an_id_not_seen_for_long_loses_its_row():
    network = OneTable(evict_filter_value=100)
    table = network.deep.table
    train(model_of(network), *[batch([[1, 2, 3]])] * 5, *[batch([[7, 8, 9]])] * 195)
    assert sorted(table.state()["ids"].tolist()) == [7, 8, 9]
    assert table.stats().evicted == 3


def test_evaluating_and_predicting_count_and_age_nothing():
    network = OneTable(permit_filter_value=2, evict_filter_value=50)
    model = RecModel(network, LogLoss(), nn.Adam(network.trainable_params(), 0.01), metrics={"loss"})
    train(model, batch([[1, 1, 2]]))
    before = network.deep.table.state()
    model.eval(dataset([batch([[1, 2, 3]])] * 3))
    model.predict(ms.Tensor(np.array([[1, 2, 3]])), ms.Tensor(ONE[:1]))
    after = network.deep.table.state()
    assert before.keys() == after.keys()
    for key, array in before.items():
        np.testing.assert_array_equal(array, after[key])


@pytest.mark.parametrize("max_norm", [0.01, 10.0])
def test_rows_are_scaled_down_where_they_are_read(max_norm):
    network = seeded(max_norm=max_norm)
    model, plain = model_of(network), model_of(seeded())
    train(model, batch([[1, 2, 3]]))
    read = network.deep.table.lookup(np.array([1, 2, 3]))
    norms = np.linalg.norm(read, axis=1, keepdims=True)
    scaled = read * np.minimum(1, max_norm / norms)
    expected = scaled.sum(axis=0) @ network.out.weight.asnumpy()[0] + network.out.bias.asnumpy()[0]
    inputs = ms.Tensor(np.array([[1, 2, 3]])), ms.Tensor(ONE[:1])
    np.testing.assert_allclose(model.predict(*inputs).asnumpy()[0, 0], expected, rtol=1e-5)
    unknown = ms.Tensor(np.array([[4, 5, 6]])), ms.Tensor(ONE[:1])
    np.testing.assert_allclose(model.predict(*unknown).asnumpy()[0], network.out.bias.asnumpy(), rtol=1e-6)
    if max_norm == 10.0:
        train(plain, batch([[1, 2, 3]]))
        np.testing.assert_allclose(read, plain._network.deep.table.lookup(np.array([1, 2, 3])), rtol=1e-5)


def test_padding_is_zero_and_never_trained():
    network = OneTable(padding_id=0)
    train(model_of(network), batch([[0, 0, 5]]), batch([[0, 6, 5]]))
    assert sorted(network.deep.table.state()["ids"].tolist()) == [5, 6]


def test_int32_ids_are_the_same_ids():
    networks = seeded(), seeded(key_dtype=ms.int32)
    for network, kind in zip(networks, (np.int64, np.int32)):
        ids, weights, labels = batch([[1, -2, 3]])
        train(model_of(network), (ids.astype(kind), weights, labels))
    states = [network.deep.table.state() for network in networks]
    np.testing.assert_array_equal(states[0]["ids"], states[1]["ids"])
    np.testing.assert_array_equal(states[0]["rows"], states[1]["rows"])


def test_each_column_has_its_rule():
    network = TwoTowers(admission=[Always(), MinCount(2)])  # of the calls for columns 0 and 2
    train(model_of(network), batch([[1, 5, 2]]), batch([[3, 5, 4]]))
    assert sorted(network.shared.table.state()["ids"].tolist()) == [1, 3]
    train(model_of(network), batch([[9, 5, 2]]))
    assert sorted(network.shared.table.state()["ids"].tolist()) == [1, 2, 3, 9]


def test_as_many_rules_as_columns():
    with pytest.raises(ValueError, match="'shared': 3 admission rules for 2 columns"):
        train(model_of(TwoTowers(admission=[Always(), MinCount(2), Probability(0.5)])), batch([[1, 2, 3]]))


def test_labels_count_as_clicks():
    network = OneTable(admission=ShowClick(2.0, nonclk_coeff=0.0))
    model, table = model_of(network), network.deep.table
    train(model, batch([[1, 2, 2], [1, 3, 3]], label=1.0), batch([[4, 4, 4]], label=0.0))
    assert len(table) == 0, "what a batch's own labels say comes too late for it"
    train(model, batch([[1, 2, 4]], label=0.0))
    assert sorted(table.state()["ids"].tolist()) == [1, 2]
    found = table.explain(2)
    assert (found.show, found.click) == (3.0, 2.0)


def test_delta_scores_grow_by_shows_and_labels():
    network = OneTable(delta_score=DeltaScore(nonclk_coeff=0.25, click_coeff=2.0))
    train(model_of(network), batch([[1, 2, 2]], label=1.0), batch([[1, 3, 3]], label=0.0))
    rows = network.deep.table.export_delta(ExportRule(delta_threshold=1.0, base_threshold=0.0))
    assert dict(zip(rows.ids.tolist(), rows.slots["delta_score"][:, 0].tolist())) == {1: 2.25, 2: 4.0}


class Dated:
    """A data set whose batches say when their rows were."""

    batch_size = 1

    def __init__(self, *days):
        self._days = days
        self._told = iter(days)

    def get_dataset_size(self):
        return len(self._days)

    def create_tuple_iterator(self, **_):
        return iter([batch([[1, 2, 3 + k]], label=0.0) for k in range(len(self._days))])

    def next_info(self):
        milliseconds = int(next(self._told) * DAY * 1000) if self._days[0] >= 0 else -1
        return types.SimpleNamespace(event_time_max=milliseconds, rejected=0, position=None)


def test_days_end_at_midnight_of_the_event_time(caplog):
    caplog.set_level("INFO")
    network = OneTable(eviction=[ShowClickDecay(decay=0.5, delete_threshold=0.04, nonclk_coeff=0.1)])
    table = network.deep.table
    model_of(network).online_train(Dated(10.2, 10.9, 11.1, 11.05, 13.5))
    # Two shows, a day, two shows, two days, a show. The ids seen once fell below 0.4 shows after two days each.
    assert table.explain(1).show == pytest.approx(((2 / 2 + 2) / 4) + 1)
    assert sorted(table.state()["ids"].tolist()) == [1, 2, 7]
    assert table.last_seconds == pytest.approx(13.5 * DAY)
    assert "end of day, 2 ids evicted, 4 left" in caplog.text
    assert "end of day, 2 ids evicted, 2 left" in caplog.text


def test_batches_without_event_time_are_dated_by_the_clock():
    network = OneTable(eviction=[Unseen(seconds=50, every_steps=1)])
    times = iter([1000.0, 1040.0, 1060.0])
    model_of(network, clock=lambda: next(times)).online_train(Dated(-1, -1, -1))
    assert sorted(network.deep.table.state()["ids"].tolist()) == [1, 2, 4, 5], "3 was seen 60 s ago, 4 20 s ago"


def test_a_restart_goes_on_with_statistics_and_waiting_ids(tmp_path):
    options = {"admission": MinCount(3), "eviction": [Unseen(steps=8, every_steps=2)], "row_type": "bfloat16"}
    options["delta_score"] = DeltaScore()
    data = [rows(16, seed=k, vocabulary=300) for k in range(12)]

    def fresh():
        return model_of(seeded(**options))

    whole = fresh()
    train(whole, *data)
    first = fresh()
    train(first, *data[:6])
    path = CheckpointStore(tmp_path).write(6, TrainerState(first).checkpoint({}))
    second = fresh()
    TrainerState(second).restore(read_checkpoint(path))
    train(second, *data[6:])
    states = [model._network.deep.table.state() for model in (whole, second)]
    assert 0 < states[0]["ids"].size < 300
    assert states[0]["counters"][2] > 0, "some were evicted"
    for prefix in ("", "waiting.0."):
        order = [np.argsort(state[f"{prefix}ids"]) for state in states]
        for key in states[0]:
            if key.startswith(prefix) and key.count(".") == prefix.count("."):
                one, other = (state[key] for state in states)
                if one.shape[:1] == states[0][f"{prefix}ids"].shape and key != "timeline":
                    one, other = one[order[0]], other[order[1]]
                if key != "timeline":
                    np.testing.assert_array_equal(one, other, err_msg=key)
