"""The one place where runners get what writes their exports."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Union

from mindspore_rec.job_config import EpochRunner, OnlineRunner

if TYPE_CHECKING:
    from mindspore_rec.train.job_model import JobModel
    from mindspore_rec.train.pass_saver import PassExporter

logger = logging.getLogger(__name__)


def exporter_of(config: Union[EpochRunner, OnlineRunner], job: JobModel) -> PassExporter:
    """What writes the exports of a runner."""
    return _Nothing()  # EXPORT: serving/export.py goes here, once it is there


class _Nothing:
    """Writes no file."""

    def base(self, folder: Path) -> None:
        """See `PassExporter`."""
        logger.warning("%s: exports are not written yet", folder)

    delta = inference = text = base
