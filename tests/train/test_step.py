"""One step against the same arithmetic in NumPy, float64."""

import gc
import weakref

import mindspore as ms
import numpy as np
import pytest
from mindspore import nn

from mindspore_rec.embedding.lookup import HashEmbeddingLookup
from mindspore_rec.train.eval_step import EvalStep, PredictStep
from mindspore_rec.train.losses import LogLoss
from mindspore_rec.train.step import TrainStep
from tests.train.small_networks import OneTable, Plain, TwoTowers, rows


def new_step(network=None, loss_fn=None, rate=0.25, **options):
    network = network or OneTable()
    optimizer = nn.SGD(network.trainable_params(), learning_rate=rate)
    return network, TrainStep(network, loss_fn or LogLoss(), optimizer, **options)


def expected_step(network, ids, weights, labels, rate):
    """Logits before the step; table rows, weight and bias after it (SGD 0.5 on the table, `rate` on the rest)."""
    out, bias = network.out.weight.asnumpy().astype(float), network.out.bias.asnumpy().astype(float)
    network.deep.table.prepare(ids)  # initial values are a function of the id alone
    emb = network.deep.table.lookup(ids).reshape(*ids.shape, -1).astype(float)
    pooled = (emb * weights[..., None]).sum(1)
    logits = pooled @ out.T + bias
    error = 1 / (1 + np.exp(-logits)) - labels  # d loss / d logit, summed loss
    table = {}
    for i, row in enumerate(ids):
        for j, value in enumerate(row):
            gradient = error[i, 0] * weights[i, j] * out[0]
            table[value] = table.get(value, emb[i, j]) - 0.5 * gradient
    mean = error / len(ids)
    return logits, table, out - rate * mean.T @ pooled, bias - rate * mean.sum(0)


@pytest.mark.parametrize("exact_rows", [0, 16, 24, 100])
def test_one_step_equals_numpy(exact_rows):
    network, step = new_step(exact_rows=exact_rows)
    ids, weights, labels = rows(64, vocabulary=10)
    logits, table, weight, bias = expected_step(network, ids, weights, labels, 0.25)
    step(ids, weights, labels)
    np.testing.assert_allclose(step.result.logits, logits, atol=1e-5)
    for value, row in table.items():
        np.testing.assert_allclose(network.deep.table.lookup(np.array([value]))[0], row, atol=1e-5)
    np.testing.assert_allclose(network.out.weight.asnumpy(), weight, atol=1e-6)
    np.testing.assert_allclose(network.out.bias.asnumpy(), bias, atol=1e-6)


@pytest.mark.parametrize("exact_rows", [8, 12])
def test_blocks_of_rows_of_a_table_that_is_looked_up_twice(exact_rows):
    """Calls of one table are told apart by their ids, which are those of the block."""
    results = []
    for size in (0, exact_rows):
        ms.set_seed(1)
        network, step = new_step(TwoTowers(), exact_rows=size)
        network.scale.weight.set_data(ms.Tensor(np.array([[0.5]], np.float32)))
        for seed in range(3):
            step(*rows(32, seed=seed))
        state = network.shared.table.state()
        order = np.argsort(state["ids"])
        results.append((state["ids"][order], state["rows"][order], step.result.logits))
    np.testing.assert_array_equal(results[0][0], results[1][0])
    np.testing.assert_allclose(results[0][1], results[1][1], atol=1e-5)
    np.testing.assert_allclose(results[0][2], results[1][2], atol=1e-5)


def test_exact_rows_is_refused_where_it_does_nothing():
    with pytest.raises(ValueError, match=r"^exact_rows = 8: expected 0 where there is no lookup"):
        new_step(Plain(), exact_rows=8)


def test_a_short_batch_is_padded_and_masked():
    batch = rows(20, seed=1)
    weights = np.array([[0.5, -0.25, 1.0, 0.75]], np.float32)
    results = []
    for capacity in (20, 32):
        network, step = new_step()
        network.out.weight.set_data(ms.Tensor(weights))
        network.out.bias.set_data(ms.Tensor(np.zeros(1, np.float32)))
        step.expect_rows(capacity)
        for _ in range(3):
            step(*batch)
        assert step.result.logits.shape == (20, 1)
        results.append((step.result, network.deep.table.state()["rows"].copy(), network.out.weight.asnumpy()))
    assert results[0][0].loss == pytest.approx(results[1][0].loss, rel=1e-6)
    np.testing.assert_allclose(results[0][1], results[1][1], atol=1e-6)
    np.testing.assert_allclose(results[0][2], results[1][2], atol=1e-6)


@pytest.mark.parametrize(
    "loss_fn", [nn.BCEWithLogitsLoss(), nn.MSELoss(), nn.L1Loss()], ids=lambda loss: type(loss).__name__
)
def test_framework_losses_are_masked_too(loss_fn):
    _, step = new_step(loss_fn=loss_fn)
    step.expect_rows(32)
    batch = rows(20, seed=2)
    step(*batch)
    plain = loss_fn(ms.Tensor(step.result.logits), ms.Tensor(batch[2]))
    assert step.result.loss == pytest.approx(float(plain), rel=1e-5)


def test_several_lookups_of_one_table():
    network, step = new_step(TwoTowers())
    ids, weights, labels = rows(40, vocabulary=4)
    ids[:10, 2] = ids[:10, 0]  # the same id in both lookups of a row
    network.shared.table.prepare(ids[:, [0, 2]])
    network.bias.table.prepare(ids[:, 1])
    user, item = network.shared.table.lookup(ids[:, 0]), network.shared.table.lookup(ids[:, 2])
    score = (user * item).sum(1, keepdims=True) + network.bias.table.lookup(ids[:, 1])
    scale, shift = network.scale.weight.asnumpy().item(), network.scale.bias.asnumpy().item()
    logits = score * scale + shift
    gradients = {}
    for i in range(40):
        error = (1 / (1 + np.exp(-logits[i, 0])) - labels[i, 0]) * scale
        for value, gradient in ((ids[i, 0], error * item[i]), (ids[i, 2], error * user[i])):
            gradients[value] = gradients.get(value, 0.0) + gradient
    before = {value: network.shared.table.lookup(np.array([value]))[0] for value in gradients}
    step(ids, weights, labels)
    np.testing.assert_allclose(step.result.logits, logits, atol=1e-5)
    for value, g in gradients.items():
        after = before[value] - 0.1 * g / np.sqrt(0.1 + g**2)
        np.testing.assert_allclose(network.shared.table.lookup(np.array([value]))[0], after, atol=1e-5)


def moves(network, table, ids, batch):
    """What one step, from the same dense parameters, adds to the rows of `ids`."""
    for name, parameter in network.parameters_and_names():
        if "table_stamp" not in name:
            parameter.set_data(ms.Tensor(np.full(parameter.shape, 0.5, np.float32)))
    table.prepare(ids)
    before = table.lookup(ids)
    _, step = new_step(network)
    step.expect_rows(50)  # more than the batch has
    step(*batch)
    return table.lookup(ids) - before


def test_each_field_has_its_learning_rate():
    batch = rows(40)
    batch[0][:] += np.arange(3) * 2**50  # disjoint fields
    ids = batch[0].ravel()
    plain, rated = OneTable(), OneTable(field_learning_rates=[1, 0.25, 3.0])
    expected = moves(plain, plain.deep.table, ids, batch).reshape(40, 3, 4) * np.array([[[1], [0.25], [3]]])
    assert np.abs(expected).min() > 0
    np.testing.assert_allclose(moves(rated, rated.deep.table, ids, batch).reshape(40, 3, 4), expected, atol=1e-6)


def test_learning_rates_of_several_lookups_follow_the_order_of_the_calls():
    batch = rows(20, seed=3)
    batch[0][:] += np.arange(3) * 2**50
    ids = batch[0][:, [0, 2]].ravel()
    plain, rated = TwoTowers(), TwoTowers(field_learning_rates=[0.5, 2.0])
    expected = moves(plain, plain.shared.table, ids, batch).reshape(20, 2, 4) * np.array([[[0.5], [2.0]]])
    np.testing.assert_allclose(moves(rated, rated.shared.table, ids, batch).reshape(20, 2, 4), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (lambda: OneTable(field_learning_rates=[1, 2]), "lookup 'deep': 2 field_learning_rates for 3 columns of ids"),
        (lambda: TwoTowers(field_learning_rates=[1]), "lookup 'shared': 1 field_learning_rates for 2 columns of ids"),
    ],
    ids=["one lookup", "several"],
)
def test_learning_rates_for_other_columns_are_refused_at_the_first_step(network, message):
    network, step = new_step(network())
    with pytest.raises(ValueError, match=f"^{message}$"):
        step(*rows(8))


@pytest.mark.parametrize("poison", [np.nan, 1e30], ids=["nan", "gradient whose square overflows"])
def test_a_batch_that_is_not_finite_changes_nothing(poison):
    network, step = new_step()
    ids, weights, labels = rows(16)
    step(ids, weights, labels)
    before = [p.asnumpy().copy() for p in step.get_parameters()], network.deep.table.state()["rows"].copy()
    bad = weights.copy()
    bad[:, 1] = poison
    step(ids, bad, labels)
    assert step.result.skipped in ("loss is nan", "a gradient is not finite")
    for parameter, value in zip(step.get_parameters(), before[0]):
        np.testing.assert_array_equal(parameter.asnumpy(), value)
    np.testing.assert_array_equal(network.deep.table.state()["rows"], before[1])
    step(ids, weights, labels)
    assert step.result.skipped == ""


def test_evaluation_and_prediction_agree_and_touch_nothing():
    network, step = new_step()
    ids, weights, labels = rows(64)
    step(ids, weights, labels)
    rows_before = len(network.deep.table)
    unknown = ids.copy()
    unknown[5] = 10**15 + np.arange(3)
    loss, logits, seen = EvalStep(network, LogLoss())(unknown, weights, labels)
    predict = PredictStep(network)
    np.testing.assert_allclose(predict(unknown, weights).asnumpy(), logits.asnumpy(), atol=1e-6)
    for k in (1, 3, 17):
        np.testing.assert_allclose(predict(unknown[:k], weights[:k]).asnumpy(), logits.asnumpy()[:k], atol=1e-6)
    assert logits.asnumpy()[5, 0] == pytest.approx(network.out.bias.asnumpy().item(), abs=1e-6)
    np.testing.assert_array_equal(seen.asnumpy(), labels)
    expected = np.maximum(logits.asnumpy(), 0) - logits.asnumpy() * labels + np.log1p(np.exp(-abs(logits.asnumpy())))
    assert float(loss) == pytest.approx(expected.mean(), rel=1e-5)
    assert len(network.deep.table) == rows_before


@pytest.mark.parametrize("make", [OneTable, TwoTowers])
def test_tables_go_with_their_network(make):
    """MindSpore keeps what it compiled, which must not keep the network."""

    def table_of_one_that_was_used():
        network, step = new_step(make())
        evaluation, prediction = EvalStep(network, LogLoss()), PredictStep(network)
        for seed in range(2):
            batch = rows(16, seed=seed)
            step(*batch), evaluation(*batch), prediction(*batch[:-1])
        return weakref.ref(next(cell for cell in network.cells() if isinstance(cell, HashEmbeddingLookup)).table)

    found = table_of_one_that_was_used()
    gc.collect()
    assert found() is None
