"""dssm: two towers and the cosine of their vectors (Huang et al. 2013, "Learning Deep Structured Semantic Models for
Web Search using Clickthrough Data", equations 3 and 4).

The paper compares the documents of a query by a softmax over them (equation 5). Here a pair is a row with a label, and
the sigmoid takes its place.
"""

from __future__ import annotations

from typing import ClassVar, List, Optional, Tuple

import numpy as np
from mindspore import Tensor, ops
from pydantic import Field, PositiveInt

from mindspore_rec.data.slot_schema import SlotSchema
from mindspore_rec.models.layers import MLP
from mindspore_rec.models.slot_embedding import SlotEmbedding
from mindspore_rec.models.slot_network import HyperParameters, SlotNetwork, Tables, expect_no_numbers

LEAST_SQUARE = 1e-6  # a vector of zeros has no direction


class Settings(HyperParameters):
    """Hyper-parameters."""

    query_slots: str = Field(..., min_length=1, description="names of the slots of a query, split by spaces")
    doc_slots: str = Field(..., min_length=1, description="names of the slots of a document, split by spaces")
    sparse_feature_dim: int = Field(9, ge=2, le=1024, description="values of an embedding: a weight and a vector")
    fc_sizes: Tuple[PositiveInt, ...] = Field((300, 300), description="hidden layers of a tower")
    vector_dim: int = Field(128, ge=1, le=4096, description="values of the vector a tower makes")
    temperature: float = Field(10.0, gt=0, description="factor of the cosine")


class Network(SlotNetwork):
    """Slots of queries and documents share a table; slots that are neither are not used. Inputs and outputs as of
    `SlotNetwork`.
    """

    all_vars: ClassVar[Tuple[str, ...]] = ("query_vector", "doc_vector", "logit", "probability")
    infer_dump_fields: ClassVar[Tuple[str, ...]] = ("query_vector", "doc_vector")

    def __init__(self, settings: Settings, schema: SlotSchema, padding_id: Optional[int], tables: Tables) -> None:
        super().__init__(settings, schema, padding_id, tables)
        expect_no_numbers(schema)
        query = _places("query_slots", settings.query_slots, schema)
        doc = _places("doc_slots", settings.doc_slots, schema)
        dim, rng = settings.sparse_feature_dim, np.random.default_rng(settings.seed)
        self.embedding = SlotEmbedding(dim, tables, padding_id=padding_id, seed=settings.seed)
        self.columns = Tensor(np.array(query + doc, np.int64))
        self.query_slots, self.query_width, self.doc_width = len(query), len(query) * dim, len(doc) * dim
        self.query_tower = MLP(self.query_width, settings.fc_sizes, rng, settings.vector_dim)
        self.doc_tower = MLP(self.doc_width, settings.fc_sizes, rng, settings.vector_dim)
        self.temperature = settings.temperature

    def variables(self, ids: Tensor, *dense: Tensor) -> Tuple[Tensor, ...]:
        """Return both vectors [batch, vector_dim], of length 1, logit [batch, 1] and probability [batch, 1]."""
        embeddings = self.embedding(ops.gather(ids, self.columns, 1))
        query = _unit(self.query_tower(embeddings[:, : self.query_slots].reshape((-1, self.query_width))))
        doc = _unit(self.doc_tower(embeddings[:, self.query_slots :].reshape((-1, self.doc_width))))
        logit = self.temperature * (query * doc).sum(axis=1, keepdims=True)
        return query, doc, logit, ops.sigmoid(logit)


def _unit(vectors: Tensor) -> Tensor:
    return vectors * ops.rsqrt(ops.square(vectors).sum(axis=1, keepdims=True) + LEAST_SQUARE)


def _places(key: str, names: str, schema: SlotSchema) -> List[int]:
    if not names.split():
        raise ValueError(f"{key} = {names!r}: expected names of slots, split by spaces")
    for name in names.split():
        if name not in schema.places:
            raise ValueError(f"{key} = {names!r}: slot {name!r} is not among sparse_slots")
    return [schema.places[name] for name in names.split()]
