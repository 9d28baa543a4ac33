"""The callbacks that a trainer's configuration asks for, to be seen from outside."""

from __future__ import annotations

from pathlib import Path
from typing import Callable, List, Mapping, Optional

from mindspore.train import Callback

from mindspore_rec.config import TrainConfig
from mindspore_rec.embedding.table import HashTable
from mindspore_rec.metrics.progressive import ProgressiveWindow
from mindspore_rec.monitor.tensorboard import TensorBoardScalars
from mindspore_rec.monitor.trainer_figures import FigureSink
from mindspore_rec.monitor.trainer_metrics import TrainerMetrics
from mindspore_rec.monitor.trainer_monitor import TrainerMonitor
from mindspore_rec.train.online_checkpoint import OnlineCheckpoint


def monitors(
    config: TrainConfig,
    window: ProgressiveWindow,
    tables: Mapping[str, HashTable],
    checkpoint: Optional[OnlineCheckpoint] = None,
    publications: Optional[Callable[[], Mapping[str, float]]] = None,
) -> List[Callback]:
    """Prometheus and TensorBoard, where they are configured; on rank 0 only, which knows what all ranks did.

    Put them after the callbacks whose figures they show.

    Args:
        config: of the trainer.
        window: progressive metrics.
        tables: by name; of several ranks the shares that this one owns.
        checkpoint: see `TrainerMonitor`.
        publications: likewise.

    Raises:
        ConfigError: a port cannot be had, a folder not be written, or a package is missing.
    """
    sinks: List[FigureSink] = []
    if config.tensorboard_path is not None:
        sinks.append(TensorBoardScalars(Path(config.tensorboard_path)))
    if config.metrics_port:
        sinks.append(TrainerMetrics(config.metrics_host, config.metrics_port))
    if not sinks:
        return []
    return [
        TrainerMonitor(
            sinks,
            window,
            tables,
            checkpoint=checkpoint,
            publications=publications,
            every_seconds=config.report_seconds,
        )
    ]
