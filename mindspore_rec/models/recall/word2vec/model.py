"""word2vec: skip-grams with negative sampling (Mikolov et al. 2013, "Distributed Representations of Words and Phrases
and their Compositionality", equation 4).

A row is a label, a center word and a context word: 1 for a pair seen in text, 0 for one with a drawn context. The log
loss of such rows is the paper's objective. ``python -m mindspore_rec skip-grams`` makes them of text.
"""

from __future__ import annotations

from typing import ClassVar, Optional, Tuple

from mindspore import Tensor, ops
from pydantic import Field

from mindspore_rec.data.slot_schema import SlotSchema
from mindspore_rec.models.slot_embedding import SlotEmbedding
from mindspore_rec.models.slot_network import HyperParameters, SlotNetwork, Tables, expect_slots


class Settings(HyperParameters):
    """Hyper-parameters."""

    sparse_feature_dim: int = Field(100, ge=1, le=4096, description="values of a vector")


class Network(SlotNetwork):
    """Two slots, the center word and the context word; inputs and outputs as of `SlotNetwork`.

    The tables are ``center`` and ``context``. The vectors of words are those of ``center``.
    """

    all_vars: ClassVar[Tuple[str, ...]] = ("center_vector", "context_vector", "logit", "probability")
    infer_dump_fields: ClassVar[Tuple[str, ...]] = ("center_vector",)

    def __init__(self, settings: Settings, schema: SlotSchema, padding_id: Optional[int], tables: Tables) -> None:
        super().__init__(settings, schema, padding_id, tables)
        expect_slots(schema, "center", "context")
        dim, seed = settings.sparse_feature_dim, settings.seed
        self.center = SlotEmbedding(dim, tables, weighted=False, name="center", padding_id=padding_id, seed=seed)
        self.context = SlotEmbedding(dim, tables, weighted=False, name="context", padding_id=padding_id, seed=seed + 1)
        self.dim = dim

    def variables(self, ids: Tensor, *dense: Tensor) -> Tuple[Tensor, ...]:
        """Return both vectors [batch, dim], logit (their product) [batch, 1] and probability [batch, 1]."""
        center = self.center(ids[:, 0:1]).reshape((-1, self.dim))
        context = self.context(ids[:, 1:2]).reshape((-1, self.dim))
        logit = (center * context).sum(axis=1, keepdims=True)
        return center, context, logit, ops.sigmoid(logit)
