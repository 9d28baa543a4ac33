"""A job from its YAML file: both styles of PaddleRec, ``-o KEY=VALUE`` and ``{workspace}`` resolved, and printed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple, Type, Union

import yaml

from mindspore_rec.cli.job_overrides import overridden
from mindspore_rec.cli.job_styles import INSTEAD, ONLINE_INSTEAD, Entry, entries_of
from mindspore_rec.cli.keys import masked, nearest
from mindspore_rec.cli.model_folder import MODELS, Workspace, config_path, workspace_of
from mindspore_rec.cli.section_values import Origin, S, section_of
from mindspore_rec.cli.yaml_file import read_mapping
from mindspore_rec.config import ConfigError
from mindspore_rec.data.slot_schema import SlotSchema
from mindspore_rec.job_config import (
    DatasetConfig,
    EpochRunner,
    Job,
    OnlineRunner,
    Phase,
    PhaseConfig,
    Runner,
    RunnerConfig,
    TableParameters,
    runner_section,
)
from mindspore_rec.stream.pass_schedule import PassSchedule

PLACEHOLDER = "{workspace}"


def load_job(config: str, overrides: Sequence[str] = (), models: Path = MODELS) -> Job:
    """The job of a configuration.

    Args:
        config: what ``-m`` was given: see `config_path`.
        overrides: what each ``-o`` was given: see `overridden`.
        models: folder of the built-in models.

    Raises:
        ConfigError: a key is unknown or missing or has a value it does not take, a name refers to nothing, there is no
            model.py, or a schedule is impossible.
    """
    path = config_path(config, models)
    document, changed = overridden(read_mapping(path), overrides)

    def origin(key: str) -> str:
        return changed.get(key, path.name)

    given = entries_of(document, origin)
    workspace = document.get("workspace")
    if workspace is not None and not isinstance(workspace, str):
        raise ConfigError(f"workspace = {workspace!r} ({origin('workspace')}): expected a folder or a built-in model")
    folders = workspace_of(path, workspace, models)

    def filled(cls: Type[S], entry: Entry, instead: Mapping[str, str] = INSTEAD) -> S:
        values = _expanded(entry.values, folders.data)
        return section_of(cls, values, entry.path, origin, names=entry.names, also=entry.also, instead=instead)

    for entry in given.runner.values():  # first of all what it is, which says the keys it may have
        kind = {key: value for key, value in entry.values.items() if key in ("name", "class")}
        section_of(RunnerConfig, kind, entry.path, origin)
    runners = {name: filled(*_section(entry)) for name, entry in given.runner.items()}
    datasets = {name: _with_slots(filled(DatasetConfig, entry), entry, origin) for name, entry in given.dataset.items()}
    phases: Dict[str, Phase] = {}
    for name, entry in given.phase.items():
        phase = section_of(PhaseConfig, entry.values, entry.path, origin, instead=INSTEAD)
        dataset = _known(f"{entry.path}.dataset_name", phase.dataset_name, datasets, origin)
        phases[name] = Phase(name, _model_file(phase, entry.path, folders, origin), datasets[dataset])
    chosen = tuple(
        _with_phases(runners[name], given.runner[name].path, phases, origin)
        for name in _mode(document.get("mode"), runners, origin)
    )
    for runner in chosen:
        if isinstance(runner.config, OnlineRunner):
            schedule_of(runner.config)
    return Job(
        workspace=str(folders.data),
        runners=chosen,
        hyper_parameters=_expanded(_mapping(document, "hyper_parameters", origin), folders.data),
        table_parameters={
            str(name): section_of(TableParameters, values, f"table_parameters.{name}", origin)
            for name, values in _mapping(document, "table_parameters", origin).items()
        },
    )


def schedule_of(runner: OnlineRunner) -> PassSchedule:
    """The passes of a runner.

    Raises:
        ConfigError: the schedule is impossible.
    """
    return PassSchedule(runner.start_day, runner.end_day, runner.split_interval, runner.split_per_pass)


def dump_job(job: Job) -> str:
    """The resolved configuration as YAML text in the list style, secrets masked; loading it gives the same job."""
    phases = {phase.name: phase for runner in job.runners for phase in runner.phases}
    datasets = {phase.dataset.name: phase.dataset for phase in phases.values()}
    document = {
        "workspace": job.workspace,
        "mode": [runner.config.name for runner in job.runners],
        "runner": [_plain(runner.config) for runner in job.runners],
        "phase": [
            {"name": phase.name, "model": phase.model, "dataset_name": phase.dataset.name} for phase in phases.values()
        ],
        "dataset": [_plain(dataset) for dataset in datasets.values()],
        "hyper_parameters": dict(job.hyper_parameters),
        "table_parameters": {name: _plain(table) for name, table in job.table_parameters.items()},
    }
    text: str = yaml.safe_dump(
        masked(document), sort_keys=False, default_flow_style=None, allow_unicode=True, width=120
    )
    return text


def _plain(section: Union[EpochRunner, OnlineRunner, DatasetConfig, TableParameters]) -> Dict[str, Any]:
    return section.model_dump(mode="json", by_alias=True)


def _section(entry: Entry) -> Tuple[Type[Union[EpochRunner, OnlineRunner]], Entry, Mapping[str, str]]:
    cls = runner_section(str(entry.values.get("class")))
    return cls, entry, ONLINE_INSTEAD if cls is OnlineRunner else INSTEAD


def _mode(mode: Any, runners: Mapping[str, Any], origin: Origin) -> List[str]:
    if mode is None and len(runners) == 1:
        return list(runners)
    names = [mode] if isinstance(mode, str) else mode
    if not isinstance(names, list) or not names or len({str(name) for name in names}) != len(names):
        raise ConfigError(f"mode = {mode!r} ({origin('mode')}): expected one or several of {', '.join(runners)}")
    return [_known("mode", name, runners, origin) for name in names]


def _known(path: str, name: Any, there: Mapping[str, Any], origin: Origin) -> str:
    """``name``, where it is there."""
    if isinstance(name, str) and name in there:
        return name
    near = nearest(str(name), there)
    wanted = f"; did you mean {near!r}?" if near else f": expected one of {', '.join(there)}"
    raise ConfigError(f"{path} = {name!r} ({origin(path)}) is not there{wanted}")


def _with_phases(
    runner: Union[EpochRunner, OnlineRunner], path: str, phases: Mapping[str, Phase], origin: Origin
) -> Runner:
    names = tuple(_known(f"{path}.phases", name, phases, origin) for name in runner.phases or phases)
    return Runner(runner.model_copy(update={"phases": names}), tuple(phases[name] for name in names))


def _with_slots(dataset: DatasetConfig, entry: Entry, origin: Origin) -> DatasetConfig:
    """The dataset, where its keys name slots as `SlotSchema` has them, or name none: a model may know its own."""
    if dataset.sparse_slots.strip() or dataset.dense_slots.strip():
        try:
            SlotSchema.from_keys(dataset.sparse_slots, dataset.dense_slots)
        except ConfigError as error:
            keys = [f"{entry.path}.{key}" for key in ("sparse_slots", "dense_slots") if entry.values.get(key)]
            given = ", ".join(f"{key} ({origin(key)})" for key in keys)
            raise ConfigError(f"{given}: {error}") from None
    return dataset


def _model_file(phase: PhaseConfig, path: str, folders: Workspace, origin: Origin) -> str:
    file = folders.data / phase.model.replace(PLACEHOLDER, str(folders.model))
    if not os.path.isfile(file):  # False too for a name that is too long, for which Path.is_file raises
        key = f"{path}.model"
        raise ConfigError(
            f"{key} = {phase.model[:200]!r} ({origin(key)}): expected a file; {str(file)[:200]} is not there"
        )
    return str(file)


def _mapping(document: Mapping[str, Any], key: str, origin: Origin) -> Mapping[str, Any]:
    found: Optional[Any] = document.get(key)
    if found is not None and not isinstance(found, Mapping):
        raise ConfigError(f"{key} = {found!r} ({origin(key)}): expected a mapping")
    return found or {}


def _expanded(value: Any, workspace: Path) -> Any:
    """``value`` with every ``{workspace}`` in it replaced."""
    if isinstance(value, str):
        return value.replace(PLACEHOLDER, str(workspace))
    if isinstance(value, Mapping):
        return {key: _expanded(inner, workspace) for key, inner in value.items()}
    if isinstance(value, list):
        return [_expanded(inner, workspace) for inner in value]
    return value
