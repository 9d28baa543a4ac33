"""The sample data of the models: as drawn, and part of what is installed."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from mindspore_rec.models.model_file import PACKAGE
from tests.models.sample_rows import files
from tests.source_tree import REPOSITORY, project_files

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


@pytest.mark.parametrize("path", list(files()), ids=lambda path: "/".join(path.parts[-5:]))
def test_files_are_as_they_were_drawn(path: Path) -> None:
    assert path.read_bytes() == files()[path], "python -m tests.models.sample_rows writes them again"


def test_nothing_else_is_beside_them() -> None:
    found = {path for path in project_files() if "sample_data" in path.parts and PACKAGE in path.parents}
    assert found == set(files())


def test_all_that_is_no_module_is_installed_with_the_package() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))
    patterns = project["tool"]["setuptools"]["package-data"]["mindspore_rec"]
    installed = {path for pattern in patterns for path in PACKAGE.parent.glob(pattern)}
    others = {path for path in project_files() if PACKAGE in path.parents and path.suffix != ".py"}
    assert others and others <= installed
