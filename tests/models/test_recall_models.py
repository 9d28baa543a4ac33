"""What the recall models learn: which item a user likes, which words go together, which document answers a query."""

from __future__ import annotations

from typing import Tuple

import numpy as np
import pytest

from mindspore_rec.data.skip_grams import SkipGrams
from mindspore_rec.embedding.bags import Bags
from mindspore_rec.models.slot_network import SlotNetwork
from mindspore_rec.train.losses import LogLoss
from mindspore_rec.train.step import TrainStep
from tests.models.small_tasks import Rows, auc_of, logits, model_of, trained, variables, xor_rows

TOPICS, WORDS = 3, 6  # words of a topic


def test_ncf_learns_whose_taste_an_item_is() -> None:
    model = model_of("recall/ncf", "label user item", mf_dim=4, mlp_dim=4, fc_sizes=(8,))
    assert auc_of(trained(model, xor_rows(1024, 1), epochs=3), xor_rows(512, 2)) > 0.99


def test_both_halves_of_ncf_learn() -> None:
    network = trained(
        model_of("recall/ncf", "label user item", mf_dim=4, mlp_dim=4, fc_sizes=(8,)), xor_rows(1024, 1), epochs=3
    )
    for part in (network.last, network.mlp.layers[-1]):
        kept = part.weight.asnumpy().copy()
        part.weight.set_data(part.weight * 0)
        assert auc_of(network, xor_rows(512, 2)) > 0.9
        part.weight.set_data(type(part.weight)(kept))


@pytest.fixture(scope="module")
def words() -> SlotNetwork:
    rng = np.random.default_rng(0)
    text = [rng.integers(0, WORDS, 8) + WORDS * rng.integers(0, TOPICS) for _ in range(150)]
    counts = np.bincount(np.concatenate(text))
    labels, centers, contexts = SkipGrams(counts.tolist(), 3, 3, 0.0, rng).pairs(text)
    order = rng.permutation(len(labels))
    ids = np.stack((centers, contexts), axis=1)[order] + 1
    rows = ids, labels[order, None].astype(np.float32)
    return trained(model_of("recall/word2vec", "label center context", sparse_feature_dim=8), rows, 2, batch=256)


def test_words_of_a_topic_are_nearer_than_others(words: SlotNetwork) -> None:
    vectors = words.center.vector.table.lookup(np.arange(1, TOPICS * WORDS + 1))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    topic = np.arange(TOPICS * WORDS) // WORDS
    same = topic[:, None] == topic
    cosines = vectors @ vectors.T
    assert cosines[same].min() > 0.9
    assert cosines[~same].max() < 0.7


def test_word2vec_is_the_product_of_two_vectors(words: SlotNetwork) -> None:
    ids = np.array([[1, 2], [2, 1], [5, 9], [3, 999]])
    center, context = (
        side.vector.table.lookup(column) for side, column in zip((words.center, words.context), ids.T.copy())
    )
    expected = (center * context).sum(axis=1)
    np.testing.assert_allclose(logits(words, (ids, None)), expected, atol=1e-6)
    assert expected[0] != pytest.approx(expected[1], abs=1e-6), "a word has one vector as center, one as context"
    assert expected[3] == 0


@pytest.mark.parametrize(("name", "sides"), [("word2vec", ("center", "context")), ("ncf", ("user", "item"))])
def test_the_two_tables_begin_with_vectors_of_their_own(name: str, sides: Tuple[str, str]) -> None:
    network = model_of(f"recall/{name}", "label a b").network()
    tables = [getattr(network, side).vector.table for side in sides]
    ids = np.arange(1, 9)
    for table in tables:
        table.prepare(ids)
    assert (tables[0].lookup(ids) != tables[1].lookup(ids)).all()


def test_a_model_without_dense_parameters_trains() -> None:
    model = model_of("recall/word2vec", "label center context", sparse_feature_dim=2)
    network = model.network()
    assert network.trainable_params() == []
    step = TrainStep(network, LogLoss(), model.optimizer(network))
    step(*xor_rows(64, 1))
    assert (step.result.skipped, len(network.center.vector.table)) == ("", 8)


def searches(count: int, seed: int) -> Rows:
    """A query has two words and a document three, each of one of four topics; half of the pairs match."""
    rng = np.random.default_rng(seed)
    query = rng.integers(0, 4, count)
    doc = np.where(np.arange(count) % 2, query, (query + rng.integers(1, 4, count)) % 4)
    topics = np.repeat(np.stack((query, doc), axis=1), (2, 3), axis=1)
    ids = 1 + WORDS * topics + rng.integers(0, WORDS, topics.shape)
    ids[:, 2:] += 1000
    return ids, (query == doc).astype(np.float32)[:, None]


def test_dssm_puts_the_documents_of_a_topic_first() -> None:
    keys = {"query_slots": "q1 q2", "doc_slots": "d1 d2 d3", "fc_sizes": (32,), "vector_dim": 8, "temperature": 5}
    model = model_of("recall/dssm", "label q1 q2 d1 d2 d3", optimizer={"learning_rate": 0.02}, **keys)
    network = trained(model, searches(1024, 1), epochs=6)
    assert auc_of(network, searches(512, 2)) > 0.98
    queries, docs = (1 + WORDS * np.arange(4)[:, None] + np.arange(n) for n in (2, 3))
    pairs = np.concatenate((np.repeat(queries, 4, axis=0), np.tile(docs + 1000, (4, 1))), axis=1)
    scores = logits(network, (pairs, None)).reshape(4, 4)
    assert scores.argmax(axis=1).tolist() == [0, 1, 2, 3]


def test_dssm_is_a_cosine_of_towers_that_see_their_own_slots_alone() -> None:
    keys = {"query_slots": "q2 q1", "doc_slots": "d1", "fc_sizes": (4,), "vector_dim": 3, "temperature": 2.5}
    model = model_of("recall/dssm", "label d1 other q1 q2", **keys)
    ids = np.arange(1, 33).reshape(8, 4)
    labels = np.zeros((8, 1), np.float32)
    network = trained(model, (ids, labels), epochs=1, batch=8)
    found = variables(network, (ids,))
    query, doc = found["query_vector"], found["doc_vector"]
    for vectors in (query, doc):
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=0.05)
    np.testing.assert_allclose(found["logit"][:, 0], 2.5 * (query * doc).sum(axis=1), atol=1e-5)
    changed = ids.copy()
    changed[:, 0] = ids[::-1, 0]
    changed[:, 1] = 77
    after = variables(network, (changed,))
    np.testing.assert_array_equal(after["query_vector"], query)
    np.testing.assert_allclose(after["doc_vector"], doc[::-1], atol=1e-6)


def test_the_words_of_a_query_may_be_several_in_one_slot() -> None:
    model = model_of("recall/dssm", "label query doc", query_slots="query", doc_slots="doc", fc_sizes=(4,))
    labels = np.array([[0.0], [1.0], [1.0]], np.float32)
    bags = Bags(2, np.array([1, 2, 1001, 2, 1, 1001, 1002, 1002]), np.array([0, 2, 3, 5, 6, 6, 8]))
    network = model.network()
    TrainStep(network, LogLoss(), model.optimizer(network))(bags, labels)
    query = variables(network, (bags,))["query_vector"]
    np.testing.assert_allclose(query[0], query[1], atol=1e-6)
    assert np.abs(query[0] - query[2]).max() > 1e-3
