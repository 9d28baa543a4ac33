"""The one place where runners get what writes their exports."""

from __future__ import annotations

from typing import TYPE_CHECKING, Union

from mindspore_rec.job_config import EpochRunner, OnlineRunner

if TYPE_CHECKING:
    from mindspore_rec.train.job_model import JobModel
    from mindspore_rec.train.pass_saver import PassExporter


def exporter_of(config: Union[EpochRunner, OnlineRunner], job: JobModel) -> PassExporter:
    """What writes the exports of a runner.

    Raises:
        ConfigError: the model cannot be exported, or not what the runner wants of it.
    """
    from mindspore_rec.serving.job_exports import JobExports  # imports MindSpore

    if isinstance(config, EpochRunner):
        return JobExports(job, config.save_inference_feed_varnames, config.save_inference_fetch_varnames)
    return JobExports(job)
