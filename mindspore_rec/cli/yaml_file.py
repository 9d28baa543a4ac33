"""A YAML file of keys, read as data: size limited, no aliases, no key twice."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any, Dict

import yaml

from mindspore_rec.config import ConfigError

MAX_BYTES = 1 << 16
MAX_DEPTH = 20


def read_mapping(path: Path) -> Dict[str, Any]:
    """The keys and values of a YAML file, empty for an empty file.

    Raises:
        ConfigError: the file cannot be read, is longer than 64 KiB, or is anything but one mapping of distinct keys.
    """
    text = _read(path)
    try:
        _check_events(text, path)
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        content = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        where = f" in line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ConfigError(f"{path}: not valid YAML{where}: {error.problem or error.context}") from None
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError(f"{path}: not valid YAML: {type(error).__name__}") from None
    if content is None:
        return {}
    if not isinstance(content, dict) or not isinstance(node, yaml.MappingNode):
        raise ConfigError(f"{path}: expected one mapping, lines of 'key: value'")
    _check_keys(node, path)
    return {str(key): plain(value) for key, value in content.items()}


def _check_keys(node: yaml.Node, path: Path) -> None:
    """Refuse a mapping, at any depth, that has a key twice: YAML would take the last."""
    if isinstance(node, yaml.MappingNode):
        seen = set()
        for key_node, value_node in node.value:
            if key_node.value in seen:
                raise ConfigError(f"{path}: key {key_node.value!r} is given twice")
            seen.add(key_node.value)
            _check_keys(value_node, path)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _check_keys(item, path)


def _check_events(text: str, path: Path) -> None:
    """Refuse what makes a small file a large object: aliases, and nesting, before anything is built."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        if isinstance(event, yaml.AliasEvent):
            raise ConfigError(f"{path}: YAML aliases (*name) are not supported")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > MAX_DEPTH:
            raise ConfigError(f"{path}: nested more than {MAX_DEPTH} deep")


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


def plain(value: Any) -> Any:
    """A date, at any depth, as the text it was written as: keys that take a time take ISO text.

    >>> plain({"days": [datetime.date(2019, 7, 20)]})
    {'days': ['2019-07-20']}
    """
    if isinstance(value, dict):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [plain(inner) for inner in value]
    return value.isoformat() if isinstance(value, (datetime.date, datetime.datetime)) else value
