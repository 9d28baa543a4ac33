"""Losses by row, so that padding rows can be left out of the mean."""

from __future__ import annotations

from typing import Optional

from mindspore import Tensor, nn, ops


class LogLoss(nn.Cell):
    """Binary cross-entropy of logits: max(z, 0) - z y + log(1 + exp(-|z|)), the mean over the rows.

    Inputs: logits and labels, float32 [batch, 1]. Output: float32 scalar.
    """

    def construct(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the mean loss."""
        return ops.mean(self.by_row(logits, labels))

    def by_row(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of each row, float32 [batch, 1]."""
        return ops.relu(logits) - logits * labels + ops.log1p(ops.exp(-ops.abs(logits)))


class _UnreducedLoss(nn.Cell):
    """A framework loss that was told not to reduce; further dimensions are averaged."""

    def __init__(self, loss_fn: nn.Cell) -> None:
        super().__init__(auto_prefix=False)
        self.loss_fn = loss_fn

    def by_row(self, logits: Tensor, labels: Tensor) -> Tensor:
        loss = self.loss_fn(logits, labels)
        return loss.reshape((loss.shape[0], -1)).mean(axis=1, keep_dims=True)


def by_row(loss_fn: Optional[nn.Cell]) -> Optional[nn.Cell]:
    """Return a cell whose `by_row` gives the loss of each row, None where `loss_fn` is not known to be their mean."""
    if loss_fn is None or hasattr(loss_fn, "by_row"):
        return loss_fn
    if isinstance(loss_fn, nn.BCEWithLogitsLoss) and loss_fn.reduction == "mean":
        return _UnreducedLoss(nn.BCEWithLogitsLoss("none", loss_fn.weight, loss_fn.pos_weight))
    if isinstance(loss_fn, nn.SoftmaxCrossEntropyWithLogits) and loss_fn.reduction == "mean":
        return _UnreducedLoss(nn.SoftmaxCrossEntropyWithLogits(sparse=loss_fn.sparse, reduction="none"))
    if type(loss_fn) in (nn.MSELoss, nn.L1Loss) and loss_fn.reduce and loss_fn.average:
        return _UnreducedLoss(type(loss_fn)(reduction="none"))
    return None
