"""docs/run.md has every key of a job, as the code takes it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Dict, Iterator, List, Tuple, Type

import pytest
from pydantic.fields import FieldInfo

from mindspore_rec.cli.job import load_job
from mindspore_rec.cli.keys import expected
from mindspore_rec.config import Section
from mindspore_rec.job_config import (
    AccessorConfig,
    DatasetConfig,
    EpochRunner,
    OnlineRunner,
    PhaseConfig,
    RunnerConfig,
    TableParameters,
)
from tests.cli.job_files import job_file
from tests.source_tree import REPOSITORY

TEXT = (REPOSITORY / "docs" / "run.md").read_text("utf-8")
Keys = Dict[str, FieldInfo]


def keys_of(section: Type[Section], without: Type[Section] = Section) -> Keys:
    return {field.alias or key: field for key, field in section.model_fields.items() if key not in without.model_fields}


def inner_keys(section: Type[Section], path: str = "") -> Iterator[Tuple[str, FieldInfo]]:
    """The keys of a section and of those in it, by dotted path."""
    for key, field in keys_of(section).items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, Section):
            yield from inner_keys(inner, f"{path}{key}.")
        else:
            yield f"{path}{key}", field


TABLES: Dict[str, Keys] = {
    "Every runner": keys_of(RunnerConfig),
    "train, infer and the cluster classes": keys_of(EpochRunner, RunnerConfig),
    "online_train": keys_of(OnlineRunner, RunnerConfig),
    "Phases": keys_of(PhaseConfig),
    "Datasets": keys_of(DatasetConfig),
    "Rules of a table": {
        key: field for key, field in inner_keys(TableParameters) if not key.startswith("accessor.embedx_sgd")
    },
}


def default_of(field: FieldInfo) -> str:
    value = field.get_default()
    if field.is_required():
        return "required"
    if isinstance(value, tuple):
        return f"`{list(value)}`"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`" if value != "" else "empty"


def table_of(keys: Keys) -> List[str]:
    """The rows of a table of the document."""
    return [
        f"| `{key}` | {expected(field)} | {default_of(field)} | {field.description} |" for key, field in keys.items()
    ]


@pytest.mark.parametrize("title", TABLES)
def test_a_table_has_the_keys_of_its_section(title: str) -> None:
    found = re.search(rf"^### {re.escape(title)}\n(?:[^#|].*\n|\n)*\| key .*\n\|.*\n((?:\|.*\n)*)", TEXT, re.MULTILINE)
    assert found is not None
    assert found[1].splitlines() == table_of(TABLES[title])


def test_the_rules_of_a_table_are_all_there() -> None:
    weights, vectors = (AccessorConfig.model_fields[key] for key in ("embed_sgd_param", "embedx_sgd_param"))
    assert weights.annotation == vectors.annotation


@pytest.mark.parametrize("number", [0, 1])
def test_the_examples_are_jobs(number: int, tmp_path: Path) -> None:
    example = re.findall(r"^```yaml\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)[number]
    job = load_job(str(job_file(tmp_path, f"workspace: .\n{example}")))
    assert [runner.config.runner_class for runner in job.runners] == [["train", "online_train"][number]]


def test_every_class_is_told() -> None:
    (kinds,) = (field.annotation for key, field in RunnerConfig.model_fields.items() if key == "runner_class")
    named = set(re.findall(r"^\| `(\w+)`(?:, `(\w+)`)? \|", TEXT.split("## Keys")[0], re.MULTILINE))
    assert set(kinds.__args__) <= {name for pair in named for name in pair}
