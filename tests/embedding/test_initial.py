"""First values of rows."""

import dataclasses
import math

import numpy as np
import pytest

from mindspore_rec.embedding.initial import Constant, Normal, Uniform, fill_initial
from mindspore_rec.embedding.optimizers import SGD, Adagrad
from mindspore_rec.embedding.table import HashTable

LAWS = [Uniform(0.5), Uniform(0.0), Constant(-1.25), Normal(0.5), Normal(0.25, 3.0), Normal(0.0, -2.0)]
every_law = pytest.mark.parametrize("law", LAWS, ids=repr)
WORD = 2**64 - 1


def first_values(law, ids, dim=4, seed=3):
    rows = np.empty((len(ids), dim), np.float32)
    kind, scale, mean = law.law
    for row, row_id in zip(rows, ids):
        fill_initial(row, dim, seed, np.int64(row_id), kind, scale, mean)
    return rows


def mixed(word):
    """Murmur3's 64-bit finalizer, in whole numbers."""
    word ^= word >> 33
    word = word * 0xFF51AFD7ED558CCD & WORD
    word ^= word >> 33
    word = word * 0xC4CEB9FE1A85EC53 & WORD
    return word ^ word >> 33


def by_hand(law, row_id, dim, seed):
    """SplitMix64 started at mixed(id) ^ seed, in whole numbers and float64."""
    state, drawn = mixed(row_id & WORD) ^ seed, []
    for _ in range(2 * dim):
        state = state + 0x9E3779B97F4A7C15 & WORD
        drawn.append(mixed(state))
    if isinstance(law, Normal):
        pairs = zip(drawn[::2], drawn[1::2])
        units = [(1 - (a >> 11) / 2**53, (b >> 11) / 2**53) for a, b in pairs]
        return [law.mean + law.sigma * math.sqrt(-2 * math.log(a)) * math.cos(2 * math.pi * b) for a, b in units]
    scale, mean = (law.bound, 0.0) if isinstance(law, Uniform) else (0.0, law.value)
    return [mean + scale * ((word >> 40) / 2**23 - 1) for word in drawn[:dim]]


@every_law
@pytest.mark.parametrize("row_id", [0, 1, -1, 2**63 - 1, -(2**63), 0x123456789ABCDEF])
def test_values_are_those_of_the_published_generator(law, row_id):
    for seed in (0, 3, 2**40 + 1):
        found = first_values(law, [row_id], dim=5, seed=seed)[0]
        np.testing.assert_allclose(found, by_hand(law, row_id, 5, seed), rtol=2e-6, atol=1e-7)


@every_law
@pytest.mark.parametrize("row_type", ["float32", "bfloat16", "float16"])
def test_a_table_begins_with_them_whatever_the_order_and_the_steps_before(law, row_type):
    ids = np.random.default_rng(1).integers(-(2**63), 2**63 - 1, 200)
    one, other = (HashTable(3, Adagrad(0.1), init=law, seed=3, row_type=row_type) for _ in range(2))
    one.prepare(ids)
    for part in np.split(np.random.default_rng(2).permutation(ids), 4):
        other.apply(other.prepare(np.array([-7])), np.ones((1, 3), np.float32))
        other.prepare(part)
    np.testing.assert_array_equal(one.lookup(ids), other.lookup(ids))
    if row_type == "float32":
        np.testing.assert_array_equal(one.lookup(ids), first_values(law, ids, dim=3))


def test_uniform_is_uniform_within_its_bound():
    values = first_values(Uniform(0.5), range(20_000), dim=2)
    assert values.min() >= -0.5 and values.max() < 0.5
    shares = np.histogram(values, bins=20, range=(-0.5, 0.5))[0] / values.size
    np.testing.assert_allclose(shares, 0.05, atol=4.5 * np.sqrt(0.05 * 0.95 / values.size))


def test_normal_is_normal():
    values = first_values(Normal(0.25, 3.0), range(20_000), dim=2).astype(np.float64)
    deviates = (values - 3.0) / 0.25
    for limit in (-2.5, -1.0, -0.3, 0.0, 0.7, 1.5, 2.2):
        expected = 0.5 * (1 + math.erf(limit / math.sqrt(2)))
        error = 4.5 * math.sqrt(expected * (1 - expected) / deviates.size)
        assert (deviates <= limit).mean() == pytest.approx(expected, abs=error)
    assert np.isfinite(values).all()


@pytest.mark.parametrize("law", [Uniform(0.5), Normal(0.5)], ids=repr)
def test_neighbouring_ids_weights_and_seeds_have_nothing_in_common(law):
    values = first_values(law, range(5000), dim=3)
    other = first_values(law, range(5000), dim=3, seed=4)
    pairs = ((values[1:], values[:-1]), (values[:, 0], values[:, 1]), (values[:, 1], values[:, 2]), (values, other))
    for one, two in pairs:
        assert abs(np.corrcoef(one.ravel(), two.ravel())[0, 1]) < 5 / np.sqrt(5000)


@every_law
def test_a_longer_row_begins_as_a_shorter_one(law):
    np.testing.assert_array_equal(first_values(law, range(9), dim=7)[:, :3], first_values(law, range(9), dim=3))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e39])
@pytest.mark.parametrize(
    ("kind", "name"), [(Uniform, "bound"), (Constant, "value"), (Normal, "sigma"), (Normal, "mean")]
)
def test_numbers_that_float32_cannot_hold_are_refused(kind, name, value):
    with pytest.raises(ValueError, match=rf"^{name} = .*: expected a finite number$"):
        HashTable(2, SGD(), init=kind(**{name: value}))


@every_law
def test_laws_cannot_change_behind_a_table(law):
    for field in dataclasses.fields(law):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(law, field.name, 1.0)
