"""The source stays valid Python 3.9: the lane of MindSpore 2.9 and the real mindpandas."""

from __future__ import annotations

import ast
import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import List, Optional

import pytest

from tests.source_tree import REPOSITORY, may_import_mindspore, modules, python_files, reached

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

VENV = REPOSITORY / ".cache" / "py39-imports"
NOT_NEEDED = ("mindspore",)
COMPILE = """
import sys
for path in sys.stdin.read().split("\\n"):
    with open(path, "rb") as file:
        compile(file.read(), path, "exec", dont_inherit=True)
"""
IMPORT = """
import importlib, json, sys, traceback
failed = {}
for name in json.load(sys.stdin):
    try:
        importlib.import_module(name)
    except BaseException:
        failed[name] = traceback.format_exc(limit=-3)
print(json.dumps({"failed": failed, "mindspore": "mindspore" in sys.modules}))
"""


def find_python39() -> Optional[str]:
    """A Python 3.9 that runs, from PATH or under pyenv."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    candidates = [shutil.which("python3.9"), *map(str, sorted(pyenv.glob("versions/3.9.*/bin/python3.9")))]
    code = "import sys; sys.exit(sys.version_info[:2] != (3, 9))"
    for candidate in filter(None, candidates):
        if subprocess.run([candidate, "-c", code], capture_output=True, check=False).returncode == 0:
            return candidate
    return None


@pytest.fixture(scope="module")
def python39() -> str:
    found = find_python39()
    if found is None:
        pytest.skip("no python3.9 on PATH or under pyenv")
    return found


@pytest.fixture(scope="module")
def python39_with_dependencies(python39: str) -> Path:
    """Python of a virtual environment with what the package needs, MindSpore left out; kept between runs."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))["project"]
    wanted = [line for line in project["dependencies"] if not line.startswith(NOT_NEEDED)]
    stamp = VENV / "stamp"
    expected = hashlib.sha256("\n".join([python39, *wanted]).encode()).hexdigest()
    program = VENV / "bin" / "python"
    if not stamp.is_file() or stamp.read_text("utf-8") != expected:
        run([python39, "-m", "venv", "--clear", str(VENV)])
        run([str(program), "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-input", *wanted])
        stamp.write_text(expected, "utf-8")
    return program


def run(command: List[str]) -> None:
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", python_files(), ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_syntax(path: Path) -> None:
    ast.parse(path.read_text("utf-8"), str(path), feature_version=(3, 9))


def test_python39_compiles_every_file(python39: str) -> None:
    paths = "\n".join(map(str, python_files()))
    done = subprocess.run([python39, "-c", COMPILE], input=paths, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_python39_imports_every_module_that_needs_no_mindspore(python39_with_dependencies: Path) -> None:
    names = [name for name in modules() if not may_import_mindspore(name) and "mindspore" not in reached(name)]
    assert "mindspore_rec.config" in names
    environ = {**os.environ, "PYTHONPATH": str(REPOSITORY), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [str(python39_with_dependencies), "-c", IMPORT],
        input=json.dumps(names),
        cwd=REPOSITORY,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["failed"] == {}, "\n".join(result["failed"].values())
    assert not result["mindspore"]
