"""Progressive metrics: AUC, log loss and calibration of a stream that is predicted before it is trained on."""

from __future__ import annotations

from mindspore_rec.metrics.auc import auc
from mindspore_rec.metrics.bucket_auc import BucketAUC
from mindspore_rec.metrics.pointwise import calibration, log_loss, mae, rmse
from mindspore_rec.metrics.progressive import ProgressiveWindow, WindowMetrics

__all__ = ["BucketAUC", "ProgressiveWindow", "WindowMetrics", "auc", "calibration", "log_loss", "mae", "rmse"]
