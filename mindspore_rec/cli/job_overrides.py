"""``-o KEY=VALUE``: a key of a job's YAML file by its dotted path, ``runner.epochs`` or, in a list, by name."""

from __future__ import annotations

import copy
from typing import Any, Dict, List, Mapping, Sequence, Tuple

from mindspore_rec.cli.keys import nearest
from mindspore_rec.cli.yaml_file import MAX_DEPTH, read_value
from mindspore_rec.config import ConfigError

MAX_CHARACTERS = 1 << 14
_SHOWN = 200  # characters of an override in a message


def overridden(document: Mapping[str, Any], overrides: Sequence[str]) -> Tuple[Dict[str, Any], Dict[str, str]]:
    """The document with keys replaced, and where each of them came from, by its dotted path.

    A list of entries with names is entered by a name: ``runner.single_cpu_train.epochs=3``. Values are YAML; later
    ones win.

    Raises:
        ConfigError: an override is not KEY=VALUE, its value is none that a file may have, or its path is too long or
            ends in an entry that is not there.

    >>> overridden({"runner": [{"name": "a", "epochs": 1}]}, ["runner.a.epochs=3", "mode=[a]"])
    ({'runner': [{'name': 'a', 'epochs': 3}], 'mode': ['a']}, {'runner.a.epochs': '-o', 'mode': '-o'})
    """
    changed = copy.deepcopy(dict(document))
    origins: Dict[str, str] = {}
    for given in overrides:
        key, equals, value = given.partition("=")
        text = given if len(given) <= _SHOWN else f"{given[:_SHOWN]}..."
        parts = key.strip().split(".")
        if not equals or not all(parts):
            raise ConfigError(f"-o {text}: expected KEY=VALUE, such as runner.epochs=3")
        if len(parts) > MAX_DEPTH:
            raise ConfigError(f"-o {text}: nested more than {MAX_DEPTH} deep")
        entry: Any = changed
        for number, part in enumerate(parts[:-1], 1):
            entry = _enter(entry, part, text, ".".join(parts[: number - 1]))
        if not isinstance(entry, dict):
            raise ConfigError(f"-o {text}: {'.'.join(parts[:-1])} has no keys; {_names(entry)}")
        entry[parts[-1]] = _value(value, text)
        origins[".".join(parts)] = "-o"
    return changed, origins


def _enter(entry: Any, part: str, text: str, path: str) -> Any:
    if isinstance(entry, list):
        for item in entry:
            if isinstance(item, dict) and item.get("name") == part:
                return item
        near = nearest(part, _listed(entry))
        raise ConfigError(
            f"-o {text}: {path} has no {part!r}; " + (f"did you mean {near!r}?" if near else _names(entry))
        )
    if not isinstance(entry, dict):
        raise ConfigError(f"-o {text}: {path} has no keys")
    if entry.get(part) is None:
        entry[part] = {}
    return entry[part]


def _listed(entry: List[Any]) -> List[str]:
    return [str(item["name"]) for item in entry if isinstance(item, dict) and "name" in item]


def _names(entry: Any) -> str:
    names = _listed(entry) if isinstance(entry, list) else []
    return f"expected one of {', '.join(names)}" if names else "expected a mapping there"


def _value(value: str, text: str) -> Any:
    if len(value) > MAX_CHARACTERS:
        raise ConfigError(f"-o {text}: a value has at most {MAX_CHARACTERS} characters")
    return read_value(value, f"-o {text}")
