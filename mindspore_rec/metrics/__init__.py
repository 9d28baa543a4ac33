"""Progressive metrics: AUC, log loss and calibration of a stream that is predicted before it is trained on."""

from __future__ import annotations

from mindspore_rec.metrics.auc import auc
from mindspore_rec.metrics.bucket_auc import BucketAUC
from mindspore_rec.metrics.bucket_error import bucket_error
from mindspore_rec.metrics.group_auc import GroupAUC
from mindspore_rec.metrics.pass_metrics import PassMetrics, PassSummary
from mindspore_rec.metrics.pointwise import calibration, log_loss, mae, rmse
from mindspore_rec.metrics.progressive import ProgressiveWindow, WindowMetrics

__all__ = [
    "BucketAUC",
    "GroupAUC",
    "PassMetrics",
    "PassSummary",
    "ProgressiveWindow",
    "WindowMetrics",
    "auc",
    "bucket_error",
    "calibration",
    "log_loss",
    "mae",
    "rmse",
]
