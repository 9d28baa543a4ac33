"""A section filled from a mapping of a YAML file, with nested sections; errors name the key by its dotted path."""

from __future__ import annotations

import math
from typing import Any, Callable, Iterable, Mapping, Type, TypeVar

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from mindspore_rec.cli.keys import expected, kind, nearest, shown
from mindspore_rec.config import ConfigError, Section

S = TypeVar("S", bound=Section)
Origin = Callable[[str], str]  # dotted path of a key -> where its value came from


def section_of(
    cls: Type[S],
    values: Any,
    path: str,
    origin: Origin,
    *,
    names: Mapping[str, str] = {},
    also: Iterable[str] = (),
    instead: Mapping[str, str] = {},
) -> S:
    """An object of ``cls``.

    Args:
        cls: the section.
        values: mapping of its keys; a null counts as not given.
        path: dotted path of the mapping in the file.
        origin: where the value of a key came from.
        names: for keys that users write in another way, how: the last part of the dotted path.
        also: keys that may stand beside those of the section, to be named where one is misspelt.
        instead: what to do in place of keys that are refused.

    Raises:
        ConfigError: a key is unknown or missing, or has a value it does not take.
    """
    if not isinstance(values, Mapping):
        raise ConfigError(f"{path} ({origin(path)}): expected a mapping of keys to values")
    fields = {field.alias or key: field for key, field in cls.model_fields.items()}
    given = {key: value for key, value in values.items() if value is not None}

    def named(key: str) -> str:
        return f"{path}.{names.get(key, key)}" if path else names.get(key, key)

    def wrong(key: str, value: Any, why: str = "") -> ConfigError:
        what = f"{named(key)} = {shown(key, fields[key], value)} ({origin(named(key))})"
        return ConfigError(f"{what}: expected {why or expected(fields[key])}")

    for key in given:
        if key not in fields:
            raise unknown_key(named(key), origin(named(key)), [*(names.get(k, k) for k in fields), *also], instead)
    for key, value in given.items():
        given[key] = _checked(fields[key], value, named(key), origin, wrong, key)
    try:
        filled = cls(**given)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        own_words = first["msg"].replace("Value error, ", "", 1) if first["type"] == "value_error" else ""
        if not first["loc"]:
            raise ConfigError(f"{path}.{own_words or first['msg']}") from None
        key = str(first["loc"][0])
        if first["type"] == "missing":
            raise ConfigError(
                f"{named(key)} is not given: expected {expected(fields[key])} ({fields[key].description})"
            ) from None
        raise wrong(key, given.get(key), own_words) from None
    return filled


def unknown_key(path: str, origin: str, known: Iterable[str], instead: Mapping[str, str]) -> ConfigError:
    """The error for a key that is not known: its nearest known neighbour, or all of them."""
    key = path.rpartition(".")[2]
    if key in instead:
        return ConfigError(f"unknown key {path!r} ({origin}): {instead[key]}")
    listed = sorted(set(known))
    meant = nearest(key, listed)
    return ConfigError(
        f"unknown key {path!r} ({origin})"
        + (f"; did you mean {meant!r}?" if meant else f": expected {', '.join(listed)}")
    )


def _checked(
    field: FieldInfo, value: Any, path: str, origin: Origin, wrong: Callable[..., ConfigError], key: str
) -> Any:
    bare = kind(field)[0]
    if isinstance(bare, type) and issubclass(bare, Section):
        return section_of(bare, value, path, origin)
    if isinstance(value, bool) and bare in (int, float):  # pydantic would take true for 1
        raise wrong(key, value)
    numbers = value if isinstance(value, (list, tuple)) else [value]
    if any(isinstance(number, float) and not math.isfinite(number) for number in numbers):
        raise wrong(key, value, "a finite number")
    if bare is float and isinstance(value, str):  # YAML 1.1 reads 5e-6, without a point, as text
        try:
            value = float(value)
        except ValueError:
            raise wrong(key, value) from None
        if not math.isfinite(value):
            raise wrong(key, value, "a finite number")
    return value
