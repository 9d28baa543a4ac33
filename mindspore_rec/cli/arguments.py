"""The command line of a configuration class: one ``--key value`` argument for each of its fields."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, Dict, NoReturn, Optional, Sequence, Tuple, Type

from pydantic import ByteSize
from pydantic.fields import FieldInfo

from mindspore_rec.cli.keys import PREFIX, choices, expected, hint, is_list, is_map, kind, masked
from mindspore_rec.config import ConfigError, Section

_LETTERS = {bool: "BOOL", int: "N", float: "X", str: "TEXT", ByteSize: "SIZE"}


class Parser(argparse.ArgumentParser):
    """argparse that raises ``ConfigError`` instead of printing the usage, and names the key nearest to a wrong one."""

    known: Tuple[str, ...] = ()

    def parse_args(self, args: Optional[Sequence[str]] = None, namespace: Any = None) -> Any:
        """As in argparse, only what was given is set: no defaults."""
        found, unknown = self.parse_known_args(args, namespace)
        if unknown and unknown[0].startswith("--"):
            name = unknown[0].split("=", 1)[0]
            self.error(f"unknown argument {name!r}{hint(name[2:], self.known, '--')}")
        if unknown:
            self.error(f"unexpected argument {unknown[0]!r}; options are written --key value")
        return found

    def error(self, message: str) -> NoReturn:
        """Refuse the command line."""
        raise ConfigError(message)


def parser(cls: Type[Section], description: str, default_config: Optional[Path]) -> Parser:
    """The parser of a program whose keys are the fields of ``cls``; keys are grouped by the section they come from."""
    built = Parser(
        usage="%(prog)s [-h] [--config FILE] [--print_config] [--KEY VALUE ...]",
        description=description,
        allow_abbrev=False,
        argument_default=argparse.SUPPRESS,
        epilog=f"Each key may also be set in the YAML file or by the environment variable {PREFIX}<KEY>: an argument "
        "wins over the environment, the environment over the file.",
    )
    built.known = ("config", "print_config", *cls.model_fields)
    named = f", default {default_config.name}" if default_config is not None else ""
    built.add_argument("--config", metavar="FILE", help=f"YAML file of keys{named}")
    built.add_argument("--print_config", action="store_true", help="print the configuration as YAML and exit")
    groups: Dict[Type[Any], Any] = {}
    for key, field in cls.model_fields.items():
        owner = [part for part in cls.__mro__ if key in getattr(part, "model_fields", {})][-1]
        if owner not in groups:
            groups[owner] = built.add_argument_group((owner.__doc__ or owner.__name__).split("\n")[0].rstrip("."))
        groups[owner].add_argument(
            f"--{key}",
            metavar=_metavar(field),
            help=f"{field.description} ({expected(field)}; default {_default(key, field)})".replace("%", "%%"),
            **({"nargs": "?", "const": "true"} if kind(field)[0] is bool else {}),
        )
    return built


def _metavar(field: FieldInfo) -> str:
    if choices(field):
        return "{" + ",".join(choices(field)) + "}"
    if is_map(field):
        return "MAP"
    return "LIST" if is_list(field) else _LETTERS.get(kind(field)[0], "VALUE")


def _default(key: str, field: FieldInfo) -> str:
    value = masked(field.get_default(call_default_factory=True), key)
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, ByteSize):
        return value.human_readable()
    return ",".join(map(str, value)) if is_list(field) else str(value)
