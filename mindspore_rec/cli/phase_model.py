"""The model of a phase, from the keys of its job."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mindspore_rec.cli.section_values import section_of
from mindspore_rec.config import ConfigError
from mindspore_rec.data.part_reader import part_data
from mindspore_rec.job_config import Job, Phase

if TYPE_CHECKING:
    from mindspore_rec.models.model_file import Model


def model_of(job: Job, phase: Phase) -> Model:
    """The model of a phase. MindSpore is imported.

    Raises:
        ConfigError: model.py cannot be loaded, or a key is none of its hyper-parameters, or the slots of the data are
            none it can have.
    """
    from mindspore_rec.models.model_file import Model, load_model_file

    file = load_model_file(Path(phase.model))
    settings = section_of(file.settings, job.hyper_parameters, "hyper_parameters", lambda key: f"of {file.name}")
    try:
        data = part_data(phase.dataset)
    except ConfigError as error:
        raise ConfigError(f"dataset {phase.dataset.name}: {error}") from None
    return Model(file, settings, data.schema, data.padding_id, job.table_parameters)
