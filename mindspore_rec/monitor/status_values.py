"""Reading the status of a model server: nothing in it is trusted, a value of another type counts as unknown."""

from __future__ import annotations

import math
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence

UNKNOWN = "–"
_LONGEST = 400


class Standing(NamedTuple):
    """Which version is served, and why it is that one.

    Args:
        label: one or two words.
        words: a sentence.
        good: whether all is as it should be.
    """

    label: str
    words: str
    good: bool


def number(value: Any) -> Optional[float]:
    """``value`` if it is a finite number.

    >>> number(3), number(float("nan")), number(True), number("3"), number(10**400)
    (3.0, None, None, None, None)
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None


def text(value: Any) -> str:
    """``value`` if it is text, shortened, and without anything that could steer a terminal.

    >>> text("a\\x1b[2Jb"), text(3)
    ('a�[2Jb', '')
    """
    if not isinstance(value, str):
        return ""
    shown = value if len(value) <= _LONGEST else value[:_LONGEST] + "…"
    return "".join(letter if letter.isprintable() else "�" for letter in shown)


def mapping(value: Any) -> Mapping[str, Any]:
    """``value`` if it is a map, else an empty one."""
    return value if isinstance(value, dict) else {}


def served_of(status: Mapping[str, Any]) -> Mapping[str, Any]:
    """The version that is served; nothing where there is none.

    >>> served_of({"version": {"number": 3}}), served_of({"version": None})
    ({'number': 3}, {})
    """
    return mapping(status.get("version"))


def metric(publication: Mapping[str, Any], name: str) -> Optional[float]:
    """A metric of one of ``publications_of``."""
    return number(mapping(publication.get("metrics")).get(name))


def publications_of(status: Mapping[str, Any]) -> List[Dict[str, Any]]:
    """The publications a status lists, oldest first; those without a version or a time are left out."""
    listed = status.get("publications")
    known = [entry for entry in listed if isinstance(entry, dict)] if isinstance(listed, list) else []
    return [entry for entry in known if None not in (number(entry.get("version")), number(entry.get("created")))]


def figure(value: Optional[float], digits: int = 0) -> str:
    """A number as text.

    >>> figure(12345.678, 1), figure(None)
    ('12,345.7', '–')
    """
    return UNKNOWN if value is None else f"{value:,.{digits}f}"


def duration(seconds: Optional[float]) -> str:
    """A time span as text.

    >>> [duration(value) for value in (None, -1, 3.14, 45, 750, 90000, 10**6)]
    ['–', '0.0 s', '3.1 s', '45 s', '12 min', '25 h', '12 days']
    """
    if seconds is None:
        return UNKNOWN
    span = max(0.0, seconds)
    if span < 10:
        return f"{span:.1f} s"
    for limit, unit, name in ((120, 1, "s"), (7200, 60, "min"), (172800, 3600, "h")):
        if span < limit:
            return f"{span / unit:.0f} {name}"
    return f"{span / 86400:.0f} days"


def standing(status: Mapping[str, Any], publications: Sequence[Mapping[str, Any]]) -> Standing:
    """Whether the server follows, is pinned or refused a version, in the words of the page.

    Args:
        status: the answer of ``/v1/status``.
        publications: its ``publications_of``.
    """
    served = number(served_of(status).get("number"))
    newest = number(status.get("newest"))
    refused = text(status.get("refused"))
    why = f" Version {figure(newest)} was refused: {refused}" if refused else ""
    if served is None:
        if refused:
            return Standing("refused", f"No version is served.{why}", False)
        return Standing("waiting", "No version is served yet: there is no publication to serve.", False)
    if status.get("pinned") is True:
        return Standing("pinned", f"Pinned to version {served:.0f}: newer ones are not served.{why}", False)
    if status.get("following") is not True:
        words = f"Rolled back: version {served:.0f} is served until the server is told to follow again.{why}"
        return Standing("not following", words, False)
    if refused:
        return Standing("refused", f"{why.strip()} Version {served:.0f} goes on being served.", False)
    if newest is not None and newest > served:
        last = next((entry for entry in publications if number(entry["version"]) == newest), {})
        held = text(last.get("held"))
        if not held:
            return Standing("loading", f"Following: version {newest:.0f} comes next.", True)
        return Standing("held back", f"Following: version {newest:.0f} was held back by the trainer: {held}", False)
    return Standing("following", f"Version {served:.0f} is the newest and is served.", True)
