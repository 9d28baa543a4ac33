"""Embeddings of slots under PaddleRec's table rules: a weight for every id, a vector once it is worth one."""

from __future__ import annotations

from typing import Any, Dict, Mapping, Optional, Tuple

from mindspore import Tensor, nn, ops
from mindspore.common.initializer import Uniform

from mindspore_rec.embedding.admission import Always, ShowClick
from mindspore_rec.embedding.delta_score import DeltaScore
from mindspore_rec.embedding.eviction import ShowClickDecay
from mindspore_rec.embedding.lookup import HashEmbeddingLookup
from mindspore_rec.embedding.optimizers import SharedAdagrad
from mindspore_rec.job_config import AccessorConfig, AdagradConfig, TableParameters


class SlotEmbedding(nn.Cell):
    """A table of rows of `dim` values: a weight, trained from the first time an id is seen, and a vector of dim - 1,
    zeros until the score of the id reaches `embedx_threshold` (Paddle's CtrCommonAccessor).

    Both are tables of their own, ``NAME_w`` and ``NAME_x``, with their own optimizers.

    Args:
        dim: values of a row, at least 1.
        tables: rules by name of the table; default rules where it is not among them.
        weighted: False: rows are vectors of dim, without a weight.
        name: of the table.
        padding_id: an id that reads as zeros and is never trained.
        seed: of first values.

    Inputs:
        ids, int64 [batch, slots]. Outputs: float32 [batch, slots, dim].
    """

    def __init__(
        self,
        dim: int,
        tables: Mapping[str, TableParameters],
        *,
        weighted: bool = True,
        name: str = "embedding",
        padding_id: Optional[int] = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        given = tables.get(name, TableParameters())
        accessor = given.accessor
        rules = {**_rules(accessor), "padding_id": padding_id, "pooling": given.pooling, "seed": seed}
        self.dim = dim
        self.table_name = name
        self.has_weight = weighted
        self.has_vector = dim > weighted
        if self.has_weight:  # begins at zero: only vectors need to differ for their gradients to
            self.weight = HashEmbeddingLookup(
                1,
                param_init=0.0,
                name=f"{name}_w",
                optimizer=_optimizer(accessor.embed_sgd_param.adagrad),
                admission=Always(),
                **rules,
            )
        if self.has_vector:
            adagrad, rule = accessor.embedx_sgd_param.adagrad, accessor.ctr_accessor_param
            threshold = accessor.embedx_threshold
            self.vector = HashEmbeddingLookup(
                dim - weighted,
                param_init=Uniform(adagrad.initial_range),
                name=f"{name}_x",
                optimizer=_optimizer(adagrad),
                admission=ShowClick(threshold, rule.nonclk_coeff, rule.click_coeff) if threshold else Always(),
                **rules,
            )
        self.join = ops.Concat(axis=-1)

    def construct(self, ids: Tensor) -> Tensor:
        """Return the rows of ids."""
        if not self.has_vector:
            return self.weight(ids)
        if not self.has_weight:
            return self.vector(ids)
        return self.join((self.weight(ids), self.vector(ids)))

    def parts(self, ids: Tensor) -> Tuple[Tensor, Tensor]:
        """Return weights [batch, slots, 1] and vectors [batch, slots, dim - 1] of ids; of rows that have both."""
        return self.weight(ids), self.vector(ids)


def _rules(accessor: AccessorConfig) -> Dict[str, Any]:
    given = accessor.ctr_accessor_param
    decay = ShowClickDecay(
        given.show_click_decay_rate,
        given.delete_threshold,
        given.delete_after_unseen_days,
        given.nonclk_coeff,
        given.click_coeff,
    )
    grown = DeltaScore(given.nonclk_coeff, given.click_coeff)  # exports of what changed choose by it
    return {"eviction": decay, "delta_score": grown}


def _optimizer(config: AdagradConfig) -> SharedAdagrad:
    return SharedAdagrad(config.learning_rate, config.initial_g2sum, config.weight_bounds)
