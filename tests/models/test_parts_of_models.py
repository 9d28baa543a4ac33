"""The parts models are built from, against the formulas of their papers in plain NumPy."""

from __future__ import annotations

from itertools import combinations

import mindspore as ms
import numpy as np
import pytest
from mindspore import Tensor

from mindspore_rec.models.cross_layers import CrossLayers
from mindspore_rec.models.deep import Deep, SideBySide
from mindspore_rec.models.first_order import FirstOrder
from mindspore_rec.models.layers import MLP
from mindspore_rec.models.pair_products import PairProducts

ms.set_context(mode=ms.GRAPH_MODE, device_target="CPU")

RNG = np.random.default_rng(0)
NUMBERS = RNG.standard_normal((5, 3)).astype(np.float32)
VECTORS = RNG.standard_normal((5, 4, 2)).astype(np.float32)


@pytest.mark.parametrize("slots", [1, 2, 4])
def test_products_of_all_pairs(slots: int) -> None:
    vectors = VECTORS[:, :slots]
    expected = sum(((vectors[:, i] * vectors[:, j]).sum(1) for i, j in combinations(range(slots), 2)), np.zeros(5))
    np.testing.assert_allclose(PairProducts()(Tensor(vectors)).asnumpy()[:, 0], expected, atol=1e-5)


def test_cross_layers() -> None:
    cell = CrossLayers(3, 2, np.random.default_rng(1))
    x = NUMBERS.astype(np.float64)
    crossed = x
    for number, layer in enumerate(cell.layers):
        layer.bias.set_data(Tensor(np.full(3, 0.5 + number, np.float32)))
        crossed = x * (crossed @ layer.weight.asnumpy() + layer.bias.asnumpy()) + crossed
    np.testing.assert_allclose(cell(Tensor(NUMBERS)).asnumpy(), crossed, rtol=1e-4)
    assert len({layer.weight.asnumpy().tobytes() for layer in cell.layers}) == 2


def test_the_first_order() -> None:
    weights = VECTORS[:, :, :1]
    cell = FirstOrder(3)
    assert (
        cell(Tensor(weights), Tensor(NUMBERS)).asnumpy() == cell(Tensor(weights), Tensor(0 * NUMBERS)).asnumpy()
    ).all()
    cell.bias.set_data(Tensor(np.array([2.0], np.float32)))
    cell.dense_weight.set_data(Tensor(np.array([[1.0], [10.0], [100.0]], np.float32)))
    found = cell(Tensor(weights), Tensor(NUMBERS)).asnumpy()
    np.testing.assert_allclose(found, weights.sum(axis=1) + 2 + NUMBERS @ [[1], [10], [100]], rtol=1e-5)
    np.testing.assert_allclose(FirstOrder(0)(Tensor(weights)).asnumpy(), weights.sum(axis=1), rtol=1e-5)


@pytest.mark.parametrize("numbers", [0, 3])
def test_side_by_side_and_through_an_mlp(numbers: int) -> None:
    dense = (NUMBERS,) if numbers else ()
    expected = np.concatenate((VECTORS.reshape(5, 8), *dense), axis=1)
    given = [Tensor(VECTORS), *map(Tensor, dense)]
    side_by_side = SideBySide(4, 2, numbers)
    assert side_by_side.width == expected.shape[1]
    np.testing.assert_array_equal(side_by_side(*given).asnumpy(), expected)
    deep = Deep(4, 2, numbers, (6,), np.random.default_rng(3))
    first, last = (layer.weight.asnumpy() for layer in deep.mlp.layers)
    np.testing.assert_allclose(deep(*given).asnumpy(), np.maximum(expected @ first, 0) @ last, atol=1e-5)


def test_an_mlp_with_several_outputs_is_linear_at_its_end() -> None:
    cell = MLP(3, (), np.random.default_rng(0), outputs=4)
    found = cell(Tensor(NUMBERS)).asnumpy()
    assert found.shape == (5, 4) and found.min() < 0
    np.testing.assert_allclose(found, NUMBERS @ cell.layers[0].weight.asnumpy(), atol=1e-6)
