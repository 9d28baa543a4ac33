"""What a configuration key takes, read from its pydantic field: in words, out of text, and with secrets masked."""

from __future__ import annotations

import difflib
import re
import reprlib
from typing import Any, Dict, Iterable, List, Literal, Mapping, Optional, Tuple, Union, get_args, get_origin

import yaml
from pydantic import ByteSize, PositiveInt
from pydantic.fields import FieldInfo

PREFIX = "MSREC_"  # of the environment variable of a key
MASK = "***"
_SECRET = re.compile(
    r"passw|passphrase|secret|token|jaas|credential|private|oauthbearer\.config|auth\.user\.info"
    r"|(^|[._-])(api)?key($|[._-])",
    re.IGNORECASE,
)
_SIGNS = (("ge", ">="), ("gt", ">"), ("le", "<="), ("lt", "<"))


def is_secret(key: str) -> bool:
    """Whether the value of ``key`` must not be shown.

    >>> is_secret("sasl.password"), is_secret("ssl.key.pem"), is_secret("sasl.username")
    (True, True, False)
    """
    return _SECRET.search(key) is not None


def masked(value: Any, key: str = "") -> Any:
    """``value`` with every secret in it replaced by ``***``; ``key`` is the key it stands under.

    >>> masked({"kafka": {"sasl.password": "hunter2", "acks": "all"}})
    {'kafka': {'sasl.password': '***', 'acks': 'all'}}
    """
    if is_secret(key) and value is not None:
        return MASK
    if isinstance(value, Mapping):
        return {name: masked(inner, str(name)) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [masked(inner) for inner in value]
    return value


def kind(field: FieldInfo) -> Tuple[Any, bool]:
    """The bare type of a field and whether it may also be null: ``Optional[str]`` gives ``(str, True)``."""
    annotation = field.annotation
    if get_origin(annotation) is Union:
        rest = [part for part in get_args(annotation) if part is not type(None)]
        if len(rest) == 1 and len(get_args(annotation)) == 2:
            return rest[0], True
    return annotation, False


def is_map(field: FieldInfo) -> bool:
    """Whether the key takes a map."""
    return get_origin(kind(field)[0]) in (dict, Dict)


def is_list(field: FieldInfo) -> bool:
    """Whether the key takes a list."""
    return get_origin(kind(field)[0]) in (list, tuple, List, Tuple)


def choices(field: FieldInfo) -> Tuple[str, ...]:
    """The values a key is limited to, as text; empty where it is not."""
    bare = kind(field)[0]
    return tuple(str(choice) for choice in get_args(bare)) if get_origin(bare) is Literal else ()


def expected(field: FieldInfo) -> str:
    """What the key takes, in words, with its bounds.

    >>> expected(FieldInfo.from_annotated_attribute(int, FieldInfo(default=1, ge=1, le=9)))
    'a whole number >= 1 and <= 9'
    """
    bare, optional = kind(field)
    words = _words(field, bare)
    bounds = [
        f"{sign} {_shown_bound(bare, getattr(constraint, name))}"
        for constraint in field.metadata
        for name, sign in _SIGNS
        if getattr(constraint, name, None) is not None
    ]
    if bounds:
        words = f"{words} {' and '.join(bounds)}"
    return f"{words}, or null" if optional else words


def _shown_bound(bare: Any, bound: Any) -> str:
    return ByteSize(bound).human_readable() if bare is ByteSize else str(bound)


def _words(field: FieldInfo, bare: Any) -> str:
    if choices(field):
        return f"one of {', '.join(choices(field))}"
    if is_map(field):
        return "a map as YAML text, such as '{name: value}'"
    if is_list(field):
        items = {int: "whole numbers", PositiveInt: "whole numbers >= 1"}.get(get_args(bare)[0], "values")
        return f"a list of {items}, such as 8,4"
    if bare is str:
        return _text_words(field)
    if bare is ByteSize:
        return "a size such as 4GiB or 512MiB"
    return {bool: "true or false", int: "a whole number", float: "a number"}.get(bare, str(bare))


def _text_words(field: FieldInfo) -> str:
    pattern = _constraint(field, "pattern")
    least, most = _constraint(field, "min_length"), _constraint(field, "max_length")
    if pattern is not None:
        return f"text matching {pattern}" + (f", at most {most} characters" if most else "")
    if most is not None:
        return f"text of {least or 0} to {most} characters"
    return "text that is not empty" if least else "text"


def _constraint(field: FieldInfo, name: str) -> Optional[Any]:
    found = (getattr(constraint, name, None) for constraint in field.metadata)
    return next((value for value in found if value is not None), None)


def from_text(field: FieldInfo, text: str) -> Any:
    """The value an argument or an environment variable stands for; numbers and truth values are left to pydantic.

    Raises:
        yaml.YAMLError: a map or list that is no YAML.
    """
    optional = kind(field)[1]
    if optional and text == "null":
        return None
    if is_map(field) or (is_list(field) and text.lstrip().startswith("[")):
        return yaml.safe_load(text)
    if is_list(field):
        return [part.strip() for part in text.split(",")]
    return text


def shown(key: str, field: FieldInfo, value: Any) -> str:
    """``value`` for an error message: short, in one line, no secret in it."""
    if is_secret(key) or is_map(field):
        return MASK
    return reprlib.repr(value)


def nearest(key: str, known: Iterable[str], cutoff: float = 0.6) -> Optional[str]:
    """The known key that ``key`` was probably meant to be.

    >>> nearest("batchsize", ["batch_size", "seed"])
    'batch_size'
    """
    close = difflib.get_close_matches(key.lower().replace("-", "_"), list(known), n=1, cutoff=cutoff)
    return close[0] if close else None


def hint(key: str, known: Iterable[str], dashes: str = "") -> str:
    """The end of a message about an unknown key: the nearest known one, or where they are listed."""
    meant = nearest(key, known)
    return f"; did you mean '{dashes}{meant}'?" if meant else "; --help lists the known ones"
