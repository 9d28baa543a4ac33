"""Where a job's configuration and its model.py are: a file, a folder, or a built-in model by name."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import NamedTuple, Optional, Tuple

import mindspore_rec.config
from mindspore_rec.config import ConfigError

MODELS = Path(mindspore_rec.config.__file__).parent / "models"
CATEGORIES = ("rank", "recall", "online_learning")
_SHOWN = 200  # characters of a path in a message
CONFIG_FILE, MODEL_FILE = "config.yaml", "model.py"
_BUILTIN = re.compile(r"(?:\./)?(?:mindspore_rec[./])?models[./](\w+)[./](\w+)/?")


class Workspace(NamedTuple):
    """The folders ``{workspace}`` stands for.

    Attributes:
        model: in the ``model`` of a phase: where model.py is.
        data: anywhere else: the folder ``workspace`` names, or that of the configuration.
    """

    model: Path
    data: Path


def builtin_models(models: Path = MODELS) -> Tuple[str, ...]:
    """The built-in models, as ``CATEGORY/NAME``."""
    found = (path.parent for category in CATEGORIES for path in (models / category).glob(f"*/{MODEL_FILE}"))
    return tuple(sorted(f"{folder.parent.name}/{folder.name}" for folder in found))


def config_path(text: str, models: Path = MODELS) -> Path:
    """The YAML file that ``-m`` names: its path, its folder, or a built-in (``mindspore_rec.models.rank.wide_deep``).

    Raises:
        ConfigError: there is none; the message lists the built-in models.
    """
    path = Path(text)
    if os.path.isfile(path):  # False too for a name that is too long, for which Path.is_file raises
        return path
    if os.path.isdir(path) and os.path.isfile(path / CONFIG_FILE):
        return path / CONFIG_FILE
    named = _BUILTIN.fullmatch(text)
    if named is not None and f"{named[1]}/{named[2]}" in builtin_models(models):
        found = models / named[1] / named[2] / CONFIG_FILE
        if found.is_file():
            return found
        raise ConfigError(f"-m {text}: this model has no {CONFIG_FILE}; expected the path of one")
    what = f"a folder without {CONFIG_FILE}" if os.path.isdir(path) else "neither a file nor a built-in model"
    raise ConfigError(
        f"-m {text[:_SHOWN]}: {what}; expected a YAML file, a folder with {CONFIG_FILE}, or {_listed(models)}"
    )


def workspace_of(config: Path, workspace: Optional[str], models: Path = MODELS) -> Workspace:
    """The folders of a configuration file.

    Without ``workspace``, model.py is that of the built-in model with the name of the file's last two folders; a
    built-in model may be named too. Any other ``workspace`` is a folder, with a model.py, from the file's own on.

    Raises:
        ConfigError: there is no such model.
    """
    here = config.resolve().parent
    builtin = builtin_models(models)
    if not workspace:
        name = f"{here.parent.name}/{here.name}"
        if name not in builtin:
            raise ConfigError(
                f"workspace is not given in {config}, and {name} is no built-in model: expected the folder of "
                f"{MODEL_FILE}, such as '.', or {_listed(models)}"
            )
        return Workspace(models / name, here)
    named = _BUILTIN.fullmatch(workspace)
    if named is not None and f"{named[1]}/{named[2]}" in builtin:
        return Workspace(models / named[1] / named[2], here)
    folder = here / workspace
    if not os.path.isdir(folder):
        raise ConfigError(
            f"workspace = {workspace[:_SHOWN]!r} ({config}): expected a folder with {MODEL_FILE}, or {_listed(models)}"
        )
    return Workspace(folder.resolve(), folder.resolve())


def _listed(models: Path) -> str:
    names = ", ".join(f"models/{name}" for name in builtin_models(models))
    return f"one of the built-in models: {names}" if names else "a built-in model, of which there are none"
