"""docs/models.md: every model and every key is in it, and its own model trains."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Dict, List, Set

import numpy as np
import pytest

from mindspore_rec.cli.job import load_job
from mindspore_rec.cli.model_folder import MODELS, builtin_models
from mindspore_rec.config import Section
from mindspore_rec.data.part_folder import list_part
from mindspore_rec.data.part_reader import PartReader, part_data
from mindspore_rec.models.model_file import load_model_file
from mindspore_rec.models.slot_network import HyperParameters
from mindspore_rec.train.job_model import JobModel
from mindspore_rec.train.part_dataset import PartDataset
from tests.models.test_model_contract import model_of_job
from tests.source_tree import REPOSITORY

PAGE = (REPOSITORY / "docs/models.md").read_text("utf-8")


def block(language: str) -> str:
    (found,) = re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    return str(found)


def rows_of_table(heading: str) -> List[List[str]]:
    lines = PAGE.split(f"{heading}\n", 1)[1].splitlines()
    table = [line for line in lines if line.startswith("|")]
    end = next((k for k, line in enumerate(lines) if k and line.startswith("#")), len(lines))
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table if lines.index(line) < end][2:]


def names_in(cell: str) -> Set[str]:
    return set(re.findall(r"`([^`]+)`", cell))


def test_every_model_is_listed_with_its_tables() -> None:
    listed = {next(iter(names_in(row[0]))): names_in(row[-1]) for row in rows_of_table("# Models")}
    tables = {}
    for name in builtin_models():
        network = model_of_job(MODELS / name / "config.yaml")[0].network()
        tables[name] = {cell.table_name for _, cell in network.cells_and_names() if hasattr(cell, "has_vector")}
    assert listed == tables


def values_of(section: HyperParameters) -> Dict[str, str]:
    """Keys as a user writes them, and their defaults as the page does."""
    found: Dict[str, str] = {}
    for key, field in type(section).model_fields.items():
        value = getattr(section, key)
        if isinstance(value, Section):
            found.update({f"{key}.{inner}": text for inner, text in values_of(value).items()})
        elif field.is_required():
            found[key] = ""
        else:
            found[field.alias or key] = ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
    return found


@pytest.mark.parametrize("name", builtin_models())
def test_every_key_is_listed_with_its_models_and_default(name: str) -> None:
    settings, short = load_model_file(MODELS / name / "model.py").settings, name.split("/")[1]
    required = {key: "x" for key, field in settings.model_fields.items() if field.is_required()}
    listed = {}
    for cell, models, defaults, _ in rows_of_table("## hyper_parameters"):
        (key,) = names_in(cell)
        every = models.startswith("all")
        if (short in re.findall(r"\w+", models)) != every:
            general, *others = defaults.replace("`", "").split("; ")
            listed[key] = dict(other.split(": ") for other in others).get(short, general)
    assert listed == values_of(settings(**required))


def test_the_model_of_the_page_trains(tmp_path: Path) -> None:
    assert len(block("python").splitlines()) <= 30
    (tmp_path / "model.py").write_text(block("python"), "utf-8")
    (tmp_path / "config.yaml").write_text(block("yaml"), "utf-8")
    values = np.random.default_rng(0).integers(0, 2, (640, 2))
    lines = [f"click:{int(a == b)} 1:{10 + a} 2:{20 + b}\n" for a, b in values]
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "part-0").write_text("".join(lines), "utf-8")
    assert load_job(str(tmp_path)).hyper_parameters["dim"] == 4
    model, _ = model_of_job(tmp_path / "config.yaml")
    (runner,) = load_job(str(tmp_path)).runners
    rows = PartReader(part_data(runner.phases[0].dataset), 1).load(list_part(str(tmp_path / "data")))
    job = JobModel(model, clock=lambda: 0.0)
    epochs = [
        job.train(PartDataset(lambda: iter([rows]), model.schema, runner.phases[0].dataset.batch_size)).summary()
        for _ in range(runner.config.epochs)
    ]
    assert (epochs[0].rows, epochs[0].auc < 0.99, epochs[-1].auc) == (640, True, 1.0)
