"""Which slots a graph is given: names that there are, and all that the fetched variables depend on."""

import numpy as np
import pytest
from mindspore import Tensor

from mindspore_rec.config import ConfigError
from mindspore_rec.serving.feeds import choose_feeds
from mindspore_rec.serving.network_inputs import NetworkInputs
from mindspore_rec.serving.packed_network import PackedNetwork
from tests.serving.trained_models import slot_dnn, two_heads


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    model = two_heads(tmp_path_factory.mktemp("model"))
    return PackedNetwork(model.network(), NetworkInputs.of_schema(model.schema))


def test_columns_in_the_order_of_the_network(packed):
    feeds = choose_feeds(packed, ("age", "item", "user"), ("probability", "logit"))
    assert (feeds.names, feeds.slots, feeds.numbers) == (("user", "item", "age"), (0, 1), (1,))
    assert feeds.targets == (2, 1)


def test_nothing_named_is_all(packed):
    feeds = choose_feeds(packed, (), ("logit",))
    assert (feeds.slots, feeds.numbers) == ((0, 1, 2), (0, 1))


def test_one_slot_may_be_enough(packed):
    feeds = choose_feeds(packed, ("2",), ("interest",))
    assert (feeds.slots, feeds.numbers) == ((2,), ())


@pytest.mark.parametrize(
    ("feed", "fetch", "missing"),
    [
        (("user", "age"), "logit", "'item'"),
        (("user", "item"), "logit", "'age'"),
        (("2",), "logit", "'user', 'item', 'age'"),
        (("user", "item", "age"), "interest", "'2'"),
    ],
)
def test_a_slot_that_matters_is_named(packed, feed, fetch, missing):
    with pytest.raises(
        ConfigError, match=f"^inference model: {fetch} depends on slot {missing}, expected among"
    ) as error:
        choose_feeds(packed, feed, (fetch,))
    assert "\n" not in str(error.value)


def test_a_slot_whose_weights_are_zero_matters_all_the_same():
    """Training would change them, and the graph with them."""
    model = slot_dnn(dense=())
    network = model.network()
    first = network.mlp.layers[0].weight
    first.set_data(Tensor(np.where(np.arange(12)[:, None] < 3, 0.0, first.asnumpy()).astype(np.float32)))
    packed = PackedNetwork(network, NetworkInputs.of_schema(model.schema))
    with pytest.raises(ConfigError, match="depends on slot 'user', expected"):
        choose_feeds(packed, ("item", "2", "page"), ("logit",))


@pytest.mark.parametrize(
    ("feed", "fetch", "message"),
    [
        (("age", "items"), ("logit",), "slot 'items' is none of the model's, which are user, item, 2, height, age"),
        ((), ("prediction",), "variable 'prediction' is none of the model's, which are interest, logit, probability"),
        ((), (), "no variable is fetched"),
    ],
)
def test_unknown_names_are_refused(packed, feed, fetch, message):
    with pytest.raises(ConfigError, match=f"^inference model: {message}"):
        choose_feeds(packed, feed, fetch)
