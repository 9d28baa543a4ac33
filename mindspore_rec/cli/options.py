"""A program's configuration: defaults < YAML file < ``MSREC_<KEY>`` environment variables < ``--key value`` arguments.

The keys are the fields of one pydantic class from ``config.py``. An argument or a variable gives a list as
``512,256`` or YAML text and a map as YAML text (``--kafka '{security.protocol: SSL}'``); a map given twice is merged
key by key, anything else is replaced. ``null`` clears an optional key, an empty variable counts as not set.
"""

from __future__ import annotations

import logging
import math
import os
import sys
from pathlib import Path
from typing import Any, Callable, Dict, Mapping, NoReturn, Optional, Sequence, Set, Type, TypeVar

import yaml
from pydantic import ValidationError

from mindspore_rec.cli.arguments import parser
from mindspore_rec.cli.keys import PREFIX, expected, from_text, hint, kind, masked, nearest, shown
from mindspore_rec.cli.yaml_file import read_mapping
from mindspore_rec.config import ConfigError, Section, UserError

logger = logging.getLogger(__name__)
S = TypeVar("S", bound=Section)
ERROR = "error: "
"""What the line begins with that tells a user's mistake."""


def load(
    cls: Type[S],
    description: str,
    argv: Optional[Sequence[str]] = None,
    environ: Optional[Mapping[str, str]] = None,
    default_config: Optional[Path] = None,
) -> S:
    """The configuration of a program, or its exit.

    Args:
        cls: class with a field for every key of the program.
        description: what the program does, for ``--help``.
        argv: arguments; default: those of the process.
        environ: environment variables; default: those of the process.
        default_config: YAML file read when ``--config`` names none.

    Raises:
        SystemExit: status 2 after one line on stderr that names the key, the value, where it came from and what was
            expected; status 0 after ``--help`` and ``--print_config``.
    """
    try:
        if not sys.platform.startswith("linux"):
            raise ConfigError(f"mindspore_rec runs on Linux; this is {sys.platform} (use a container, or WSL 2)")
        given = vars(parser(cls, description, default_config).parse_args(argv))
        file = given.pop("config", None)
        only_print = given.pop("print_config", False)
        path = Path(file) if file is not None else default_config
        config = resolve(cls, given, os.environ if environ is None else environ, path)
    except ConfigError as error:
        raise SystemExit(_report(error)) from None
    if only_print:
        sys.stdout.write(dump(config))
        raise SystemExit(0)
    return config


def resolve(cls: Type[S], arguments: Mapping[str, str], environ: Mapping[str, str], path: Optional[Path] = None) -> S:
    """One object of ``cls`` from the three sources.

    Raises:
        ConfigError: an unknown key, or a value the key does not take.
    """
    values: Dict[str, Any] = {}
    origins: Dict[str, str] = {}

    def put(key: str, value: Any, origin: str) -> None:
        both_maps = isinstance(value, Mapping) and isinstance(values.get(key), Mapping)
        values[key] = {**values[key], **value} if both_maps else value
        origins[key] = origin

    if path is not None:
        for key, value in read_mapping(path).items():
            if key not in cls.model_fields:
                raise ConfigError(f"unknown key {key!r} in {path.name}{hint(key, cls.model_fields)}")
            put(key, value, str(path))
    for key in cls.model_fields:
        variable = PREFIX + key.upper()
        if environ.get(variable):
            origin = f"environment variable {variable}"
            put(key, _parsed(cls, key, environ[variable], origin), origin)
        if key in arguments:
            origin = f"argument --{key}"
            put(key, _parsed(cls, key, arguments[key], origin), origin)
    _warn_of_typos(environ)
    return _validated(cls, values, origins)


def dump(config: Section) -> str:
    """The configuration as YAML, secrets masked."""
    text: str = yaml.safe_dump(
        masked(config.model_dump(mode="json")), sort_keys=False, default_flow_style=None, allow_unicode=True, width=120
    )
    return text


def run_cli(main: Callable[[], int]) -> NoReturn:
    """Run a program and exit: a mistake of the user's is one line on stderr, not a traceback.

    The exit status is what ``main`` returns, 2 for a configuration error, 1 for any other ``UserError``, 130 for
    Ctrl-C. Other exceptions are bugs of ours and keep their traceback.
    """
    try:
        status = main()
    except UserError as error:
        status = _report(error)
    except KeyboardInterrupt:
        status = 130
    sys.exit(status)


def _report(error: UserError) -> int:
    sys.stdout.flush()
    sys.stderr.write(f"{ERROR}{' '.join(str(error).split())}\n")
    return error.exit_status


def _parsed(cls: Type[S], key: str, text: str, origin: str) -> Any:
    try:
        return from_text(cls.model_fields[key], text)
    except (yaml.YAMLError, RecursionError):
        raise _bad_value(cls, key, text, origin) from None


def _bad_value(cls: Type[S], key: str, value: Any, origin: str, why: str = "") -> ConfigError:
    field = cls.model_fields[key]
    return ConfigError(f"{key} = {shown(key, field, value)} ({origin}): expected {why or expected(field)}")


def _validated(cls: Type[S], values: Mapping[str, Any], origins: Mapping[str, str]) -> S:
    for key, value in values.items():
        bare = kind(cls.model_fields[key])[0]
        if isinstance(value, bool) and bare in (int, float):  # pydantic would take true for 1
            raise _bad_value(cls, key, value, origins[key])
    try:
        config = cls(**values)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        own_words = first["msg"].replace("Value error, ", "", 1) if first["type"] == "value_error" else ""
        if not first["loc"]:
            raise ConfigError(own_words or first["msg"]) from None
        key = str(first["loc"][0])
        raise _bad_value(cls, key, values.get(key), origins.get(key, "default"), own_words) from None
    for key, value in config:
        if isinstance(value, float) and not math.isfinite(value):
            raise _bad_value(cls, key, value, origins.get(key, "default"), "a finite number")
    return config


def _warn_of_typos(environ: Mapping[str, str]) -> None:
    """The environment is shared by all programs, so a variable of another one is fine; a near miss of any is not."""
    known = {key.upper() for section in _sections(Section) for key in section.model_fields}
    for name in sorted(environ):
        key = name[len(PREFIX) :]
        if not name.startswith(PREFIX) or key in known:
            continue
        meant = nearest(key, (name.lower() for name in known), cutoff=0.8)
        if meant:
            logger.warning("environment variable %s is no key; did you mean %s%s?", name, PREFIX, meant.upper())


def _sections(root: Type[Section]) -> Set[Type[Section]]:
    below = {inner for child in root.__subclasses__() for inner in _sections(child)}
    return {root} | below
