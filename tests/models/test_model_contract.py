"""What every folder of a built-in model holds: discovered, so that a new one is tested by being there."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Iterator, List, Tuple

import numpy as np
import pytest
import yaml
from mindspore import nn

from mindspore_rec.cli.job import dump_job, load_job
from mindspore_rec.cli.model_folder import MODELS, builtin_models
from mindspore_rec.cli.section_values import section_of
from mindspore_rec.config import Section
from mindspore_rec.data.part_folder import list_part
from mindspore_rec.data.part_reader import PartReader, part_data
from mindspore_rec.job_config import Job, OnlineRunner, Phase
from mindspore_rec.models.model_file import Model, described, load_model_file
from mindspore_rec.stream.pass_schedule import PassSchedule
from mindspore_rec.train.part_dataset import columns_of
from tests.models.small_tasks import Rows, variables

CONFIGS = [path for name in builtin_models() for path in sorted((MODELS / name).glob("config*.yaml"))]
configs = pytest.mark.parametrize("path", CONFIGS, ids=lambda path: "/".join(path.parts[-3:]))
names = pytest.mark.parametrize("name", builtin_models())


def phases(job: Job) -> Iterator[Tuple[Phase, List[str]]]:
    """The phases of a job, each with the folders its rows are in."""
    for runner in job.runners:
        for phase in runner.phases:
            folders = [phase.dataset.data_path]
            if isinstance(runner.config, OnlineRunner):
                given = runner.config
                schedule = PassSchedule(given.start_day, given.end_day, given.split_interval, given.split_per_pass)
                folders = [f"{folders[0]}/{split}" for key in schedule.passes() for split in schedule.folders(key)]
            yield phase, folders


def model_of_job(path: Path, **changed: object) -> Tuple[Model, Rows]:
    """The model of a configuration, with its settings, and the columns of its sample rows."""
    job = load_job(str(path))
    phase, folders = next(phases(job))
    file, data = load_model_file(Path(phase.model)), part_data(phase.dataset)
    settings = section_of(file.settings, {**job.hyper_parameters, **changed}, "hyper_parameters", lambda key: path.name)
    rows = PartReader(data, 1).load(list_part(folders[0])).rows
    return Model(file, settings, data.schema, data.padding_id, job.table_parameters), columns_of(rows)


def settings_of(section: type) -> Iterator[Tuple[type, str]]:
    for key, field in section.model_fields.items():
        yield section, key
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
            yield from settings_of(field.annotation)


@names
def test_a_folder_is_complete_and_says_what_it_is(name: str) -> None:
    folder = MODELS / name
    assert (folder / "__init__.py").is_file() and (folder / "config.yaml").is_file()
    file = load_model_file(folder / "model.py")
    assert file.name == name
    module = inspect.getmodule(file.network)
    assert module is not None and (module.__doc__ or "").startswith(f"{folder.name}: ")
    for documented in (file.settings, file.network, file.network.variables):
        assert inspect.getdoc(documented) and "NotImplemented" not in str(inspect.getsource(documented))
    for section, key in settings_of(file.settings):
        assert section.model_fields[key].description, f"{key} has no description"


@names
def test_the_names_of_variables_go_together(name: str) -> None:
    network = load_model_file(MODELS / name / "model.py").network
    assert len(set(network.all_vars)) == len(network.all_vars)
    dumped = (*network.train_dump_fields, *network.infer_dump_fields, network.inference_target_var)
    assert {"logit", "probability", *dumped} <= set(network.all_vars)


@configs
def test_a_configuration_loads_and_dumps_to_the_same_job(path: Path, tmp_path: Path) -> None:
    job = load_job(str(path))
    again = tmp_path / "config.yaml"
    again.write_text(dump_job(job), "utf-8")
    assert load_job(str(again)) == job
    comments = [line for line in path.read_text("utf-8").splitlines() if "#" in line]
    assert 1 <= len(comments) <= 2 and path.read_text("utf-8").startswith("# ")
    for phase, folders in phases(job):
        assert Path(phase.model) == path.parent / "model.py"
        for folder in folders:
            files = list_part(folder)
            found = PartReader(part_data(phase.dataset), 1).load(files)
            assert len(found.rows) and found.rejected == 0 and "sample_data" in folder


@configs
def test_what_a_run_writes_stays_out_of_the_package(path: Path) -> None:
    for runner in load_job(str(path)).runners:
        for key, value in runner.config.model_dump().items():
            if key.endswith("_path") and value:
                assert value.startswith(f"run/{path.parent.name}/"), key


@configs
def test_every_runner_of_a_configuration_resolves(path: Path) -> None:
    listed = yaml.safe_load(path.read_text("utf-8"))["runner"]
    named = [runner["name"] for runner in listed] if isinstance(listed, list) else ["runner"]
    assert [load_job(str(path), [f"mode={name}"]).runners[0].config.name for name in named] == named


@configs
def test_variables_have_the_names_and_shapes_they_are_declared_with(path: Path) -> None:
    model, (*inputs, labels) = model_of_job(path)
    network = model.network()
    found = variables(network, tuple(inputs))
    for name, value in found.items():
        assert (value.dtype, value.shape[0], value.ndim) == (np.float32, len(labels), 2), name
        assert np.isfinite(value).all(), name
    assert found["logit"].shape == found["probability"].shape == (len(labels), 1)
    np.testing.assert_allclose(found["probability"], 1 / (1 + np.exp(-found["logit"])), atol=1e-6)
    parameters = [parameter.name for parameter in network.trainable_params()]
    assert set(network.train_dump_params) <= set(parameters)


def first_values(network: nn.Cell) -> List[np.ndarray]:
    dense = [parameter.asnumpy() for parameter in network.trainable_params()]
    embeddings = [cell.table for _, cell in network.cells_and_names() if hasattr(cell, "table")]
    for table in embeddings:
        table.prepare(np.arange(1, 50))
    return dense + [table.lookup(np.arange(1, 50)) for table in embeddings]


@names
def test_a_model_is_made_again_of_what_a_checkpoint_keeps_of_it(name: str) -> None:
    model, _ = model_of_job(MODELS / name / "config.yaml", seed=3)
    kept = json.loads(json.dumps(model.describe()))
    again = described(kept, model.file)
    assert again == model
    for one, other in zip(first_values(model.network()), first_values(again.network())):
        np.testing.assert_array_equal(one, other)
    other_seed = first_values(model_of_job(MODELS / name / "config.yaml", seed=4)[0].network())
    for one, other in zip(first_values(model.network()), other_seed):
        assert np.ptp(one) == 0 or not np.array_equal(one, other), "only what is constant begins the same"
