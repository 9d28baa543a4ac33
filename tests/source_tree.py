"""The project's files, and what the modules of the package import, read from their source without running it."""

from __future__ import annotations

import ast
import subprocess
from functools import cache
from pathlib import Path
from typing import Dict, FrozenSet, Iterator, List, Set, Tuple

REPOSITORY = Path(__file__).resolve().parents[1]
PACKAGE = "mindspore_rec"
GENERATED = {"__pycache__", "run", "log", "checkpoints", "build", "dist", "kernel_meta"}

MINDSPORE_ROOMS = ("models", "train", "serving")
MINDSPORE_MODULES = tuple(
    f"{PACKAGE}.{name}"
    for name in (
        *("embedding.lookup", "stream.dataset", "data.mindrecord", "distributed.framework_exchange"),
        *("monitor.trainer_monitor", "monitor.callbacks"),  # callbacks of the framework
    )
)


@cache
def project_files() -> Tuple[Path, ...]:
    """Files that git tracks or would track; where this is no git checkout, all but the generated ones."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=REPOSITORY, capture_output=True, check=False)
    if listed.returncode == 0:
        paths = [REPOSITORY / name for name in listed.stdout.decode().split("\0") if name]
    else:
        paths = [path for path in REPOSITORY.rglob("*") if not _is_generated(path.relative_to(REPOSITORY))]
    return tuple(sorted(path for path in paths if path.is_file()))


def _is_generated(path: Path) -> bool:
    folders = path.parts[:-1]
    hidden = any(name.startswith(".") and name != ".ci" for name in folders)
    return hidden or any(name in GENERATED or name.endswith(".egg-info") for name in folders)


def python_files() -> List[Path]:
    """The Python files of the project."""
    return [path for path in project_files() if path.suffix == ".py"]


@cache
def modules() -> Dict[str, Path]:
    """The modules of the package by dotted name."""
    found = {}
    for path in python_files():
        parts = path.relative_to(REPOSITORY).with_suffix("").parts
        if parts[0] == PACKAGE:
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def room(module: str) -> str:
    """The room a module is in; empty for the modules beside the rooms, such as ``mindspore_rec.config``."""
    parts = module.split(".")
    is_room = len(parts) > 2 or modules()[module].name == "__init__.py"
    return parts[1] if is_room and len(parts) > 1 else ""


def may_import_mindspore(module: str) -> bool:
    """Whether the design lets a module import MindSpore."""
    return room(module) in MINDSPORE_ROOMS or module in MINDSPORE_MODULES


@cache
def imports(module: str, at_import_only: bool = False) -> FrozenSet[str]:
    """Dotted names a module imports: modules of the package in full, others by their first part.

    Args:
        module: one of ``modules()``.
        at_import_only: leave out imports inside functions and those for type checking alone.
    """
    path = modules()[module]
    tree = ast.parse(path.read_text("utf-8"), str(path))
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    return frozenset(
        name for node in _statements(tree, at_import_only) for name in _names(node, package) if name != module
    )


def reached(module: str) -> Set[str]:
    """All a module imports when it is imported, through other modules of the package too."""
    seen: Set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        parents = [name.rsplit(".", cut)[0] for cut in range(1, name.count(".") + 1)]
        for found in (name, *(parent for parent in parents if parent in modules())):
            if found not in seen:
                seen.add(found)
                waiting.extend(imports(found, at_import_only=True) if found in modules() else ())
    return seen


def _statements(tree: ast.AST, at_import_only: bool) -> Iterator[ast.stmt]:
    for node in ast.iter_child_nodes(tree):
        if at_import_only and isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        if at_import_only and isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            continue
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            yield node
        yield from _statements(node, at_import_only)


def _names(node: ast.stmt, package: str) -> Iterator[str]:
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield alias.name if alias.name in modules() else alias.name.split(".")[0]
    elif isinstance(node, ast.ImportFrom):
        base = node.module or ""
        if node.level:
            parent = package.rsplit(".", node.level - 1)[0] if node.level > 1 else package
            base = f"{parent}.{base}" if base else parent
        for alias in node.names:
            inner = f"{base}.{alias.name}"
            yield inner if inner in modules() else base if base in modules() else base.split(".")[0]
