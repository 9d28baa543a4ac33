"""What a runner saves after its epochs: checkpoints to go on from, and models that answer requests."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Callable, Optional

from mindspore_rec.config import ConfigError
from mindspore_rec.job_config import EpochRunner
from mindspore_rec.train.job_model import JobModel
from mindspore_rec.train.pass_saver import PassExporter
from mindspore_rec.train.saved_state import published_folder, remove_unpublished, write_state

logger = logging.getLogger(__name__)


class EpochSaves:
    """Writes ``save_checkpoint_path/EPOCH`` and ``save_inference_path/EPOCH`` when they are due.

    Args:
        config: of the runner.
        phase: folder between the two, where the runner has several phases; empty: none.
        job: the model at work.
        exporter: makes what writes inference models.

    Attributes:
        newest: the last checkpoint written.

    Raises:
        ConfigError: a folder cannot be written.
    """

    def __init__(
        self, config: EpochRunner, phase: str, job: JobModel, exporter: Callable[[JobModel], PassExporter]
    ) -> None:
        self.newest: Optional[Path] = None
        self._config, self._job, self._exchange = config, job, job.place.exchange
        self._checkpoints = self._folder("save_checkpoint_path", phase) if config.save_checkpoint_interval > 0 else None
        self._inference = self._folder("save_inference_path", phase) if config.save_inference_interval > 0 else None
        self._exporter = exporter(job) if self._inference is not None else None

    def after(self, epoch: int) -> None:
        """Write what is due after an epoch. Collective.

        Raises:
            CheckpointError: it cannot be written.
        """
        begin = time.monotonic()
        if self._checkpoints is not None and not epoch % self._config.save_checkpoint_interval:
            self._job.state.about["epoch"] = epoch
            self.newest = self._checkpoints / str(epoch)
            with published_folder(self.newest, self._exchange) as folder:
                write_state(self._job.state, folder)
            logger.info("checkpoint %s (%.2f s)", self.newest, time.monotonic() - begin)
        begin = time.monotonic()
        if self._inference is not None and self._exporter and not epoch % self._config.save_inference_interval:
            with published_folder(self._inference / str(epoch), self._exchange) as folder:
                self._exporter.inference(folder)
            logger.info("inference model %s (%.2f s)", self._inference / str(epoch), time.monotonic() - begin)

    def _folder(self, key: str, phase: str) -> Path:
        folder = Path(getattr(self._config, key)) / phase
        if self._exchange.rank == 0:
            try:
                folder.mkdir(parents=True, exist_ok=True)
                remove_unpublished(folder)
                (folder / ".writable").touch()
                (folder / ".writable").unlink()
            except OSError as error:
                raise ConfigError(
                    f"{key} = {str(folder)!r}: expected a folder that can be written: {error.strerror}"
                ) from None
        return folder
