"""The habits of the project: imports go one way, files are short, nothing of one machine gets in."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Iterator, Type

import pytest

from mindspore_rec import config
from mindspore_rec.cli.options import resolve
from mindspore_rec.config import Section, TrainConfig
from tests.source_tree import (
    PACKAGE,
    REPOSITORY,
    imports,
    may_import_mindspore,
    modules,
    project_files,
    reached,
    room,
)

ROOMS = (
    *("features", "stream", "data", "embedding", "metrics", "checkpoint", "distributed", "models", "train", "serving"),
    *("monitor", "launch", "cli"),
)
WITHOUT_KAFKA = ("features", "metrics", "embedding", "checkpoint")
KAFKA_CLIENTS = {"confluent_kafka", "kafka"}
ENTRIES = {f"{PACKAGE}.{name}" for name in ("__main__", "run")}
MAX_LINES = 320
MACHINE_PATHS = re.compile(r"(?<![\w./~}-])/(?:work|root|home)\b")

module_names = pytest.mark.parametrize("module", sorted(modules()))


def short(path: Path) -> str:
    return str(path.relative_to(REPOSITORY))


def sections(root: Type[Section] = Section) -> Iterator[Type[Section]]:
    for child in root.__subclasses__():
        yield child
        yield from sections(child)


@module_names
def test_a_room_imports_only_from_rooms_before_it(module: str) -> None:
    here = room(module)
    assert here in ("", *ROOMS), f"{here} is no room"
    if module == PACKAGE or module in ENTRIES:
        return
    before = {"", *ROOMS[: ROOMS.index(here) + 1]} if here else {""}
    for name in imports(module):
        assert name != PACKAGE, f"{module} imports from the package itself, which imports it"
        if name in modules():
            assert room(name) in before, f"{module} imports {name}"
            assert name not in ENTRIES, f"{module} imports {name}"


@module_names
def test_mindspore_is_imported_where_it_may_be(module: str) -> None:
    if not may_import_mindspore(module):
        assert "mindspore" not in imports(module)
        assert "mindspore" not in reached(module), f"importing {module} imports MindSpore"


@pytest.mark.parametrize("module", [name for name in sorted(modules()) if room(name) in WITHOUT_KAFKA])
def test_kafka_is_unknown_to(module: str) -> None:
    assert not KAFKA_CLIENTS & (imports(module) | reached(module))


def test_importing_the_package_does_not_import_mindspore() -> None:
    code = f"import sys, {PACKAGE}, {PACKAGE}.cli.options; sys.exit('mindspore' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, check=False).returncode == 0


@module_names
def test_a_module_is_short_and_says_what_it_is(module: str) -> None:
    text = modules()[module].read_text("utf-8")
    assert len(text.splitlines()) <= MAX_LINES
    assert not text or ast.get_docstring(ast.parse(text)), "no docstring"


@pytest.mark.parametrize("module", [name for name in sorted(modules()) if room(name) != "cli"])
def test_the_package_logs_and_does_not_print(module: str) -> None:
    for node in ast.walk(ast.parse(modules()[module].read_text("utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id != "print", f"line {node.lineno}"


def test_no_file_names_a_place_of_one_machine() -> None:
    found = [
        f"{short(path)}:{number}: {line.strip()}"
        for path in project_files()
        for number, line in enumerate(path.read_text("utf-8", "replace").splitlines(), 1)
        if MACHINE_PATHS.search(line)
    ]
    assert found == []


def test_machine_paths_are_recognised() -> None:
    slash = "/"
    for line in (f"cd {slash}work/main", f"'{slash}root'", f"x={slash}home/me"):
        assert MACHINE_PATHS.search(line)
    for line in ("rows/work", f"./{slash}root", f"https:{slash}{slash}a.org{slash}home", f"{slash}workers"):
        assert not MACHINE_PATHS.search(line)


@pytest.mark.parametrize("path", [path for path in project_files() if path.suffix == ".sh"], ids=short)
def test_a_script_is_valid_and_stops_at_errors(path: Path) -> None:
    assert subprocess.run(["bash", "-n", str(path)], check=False).returncode == 0
    text = path.read_text("utf-8")
    assert text.startswith("#!/usr/bin/env bash\n# ")
    assert "\nset -euo pipefail\n" in text


@pytest.mark.parametrize("section", sorted(set(sections()), key=lambda section: section.__name__))
def test_every_key_is_explained(section: Type[Section]) -> None:
    assert section.__doc__
    for key, field in section.model_fields.items():
        assert field.description, f"{section.__name__}.{key} has no description"


def test_a_key_means_the_same_in_every_section() -> None:
    """But `format`, which users know as that of messages in one program and as that of files in another."""
    own = [vars(config)[name] for name in vars(config)]
    classes = [found for found in own if isinstance(found, type) and issubclass(found, Section)]
    meanings = {(key, str(field)) for found in classes for key, field in found.model_fields.items()}
    counts = Counter(key for key, _ in meanings)
    assert [key for key, count in counts.items() if count > 1 and key != "format"] == []


def test_default_config_names_every_key_of_the_trainer() -> None:
    path = REPOSITORY / "examples" / "online_learning" / "default_config.yaml"
    resolve(TrainConfig, {}, {}, path)
    named = set(re.findall(r"^# ?(\w+):|^(\w+):", path.read_text("utf-8"), re.MULTILINE))
    assert set(TrainConfig.model_fields) <= {name for pair in named for name in pair}
