"""A YAML file of keys, read as data: size limited, no aliases, no key twice."""

from __future__ import annotations

import datetime
import reprlib
from pathlib import Path
from typing import Any, Dict, Optional

import yaml

from mindspore_rec.config import ConfigError

MAX_BYTES = 1 << 16
MAX_DEPTH = 20
#: What PyYAML raises for values such as 2024-99-99, 1:00:...:00.0, !!int "" and !!timestamp x, beside its own errors.
_NO_VALUE = (ValueError, ArithmeticError, LookupError, AttributeError, TypeError)


def read_mapping(path: Path) -> Dict[str, Any]:
    """The keys and values of a YAML file, empty for an empty file.

    Raises:
        ConfigError: the file cannot be read, is longer than 64 KiB, or is anything but one mapping of distinct keys.
    """
    content = read_value(_read(path), str(path))
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: expected one mapping, lines of 'key: value'")
    return content


def read_value(text: str, place: str) -> Any:
    """The value of YAML text: mappings with text as keys, lists, text, numbers, truth values and null.

    Dates are text in ISO form, as keys that take a time take it.

    Args:
        text: at most a few dozen KiB.
        place: where it stands, the beginning of an error message.

    Raises:
        ConfigError: it is no YAML, has an alias, a key twice, a whole number of more than 64 bits or another kind of
            value, or is nested too deep.

    >>> read_value("{days: [2019-07-20], 1: 0x10}", "a.yaml")
    {'days': ['2019-07-20'], '1': 16}
    """
    try:
        _check_events(text, place)
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        content = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        where = f" in line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ConfigError(f"{place}: not valid YAML{where}: {error.problem or error.context}") from None
    except (yaml.YAMLError, *_NO_VALUE) as error:
        raise ConfigError(f"{place}: not valid YAML: {type(error).__name__}") from None
    _check_keys(node, place)
    return _plain(content, place)


def _check_keys(node: Optional[yaml.Node], place: str) -> None:
    """Refuse a mapping, at any depth, that has a key twice: YAML would take the last."""
    if isinstance(node, yaml.MappingNode):
        seen = set()
        for key_node, value_node in node.value:
            if key_node.value in seen:
                raise ConfigError(f"{place}: key {reprlib.repr(key_node.value)} is given twice")
            seen.add(key_node.value)
            _check_keys(value_node, place)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _check_keys(item, place)


def _check_events(text: str, place: str) -> None:
    """Refuse what makes a small file a large object: aliases, and nesting, before anything is built."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        if isinstance(event, yaml.AliasEvent):
            raise ConfigError(f"{place}: YAML aliases (*name) are not supported")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > MAX_DEPTH:
            raise ConfigError(f"{place}: nested more than {MAX_DEPTH} deep")


def _plain(value: Any, place: str) -> Any:
    if isinstance(value, dict):
        return {str(_plain(key, place)): _plain(inner, place) for key, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner, place) for inner in value]
    if isinstance(value, (datetime.date, datetime.datetime)):
        return value.isoformat()
    if isinstance(value, int) and not -(1 << 63) <= value < 1 << 64:  # to show one of thousands of digits is an error
        raise ConfigError(f"{place}: has a whole number of more than 64 bits")
    if value is not None and not isinstance(value, (str, int, float)):
        raise ConfigError(f"{place}: has a {type(value).__name__}; expected mappings, lists, text and numbers")
    return value


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"cannot read the configuration file {path}: {error.strerror}") from None
    if len(content) > MAX_BYTES:
        raise ConfigError(f"{path}: a configuration file has at most {MAX_BYTES} bytes")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: not UTF-8 text") from None
