"""A curve in one line of text."""

from __future__ import annotations

from typing import Optional, Sequence

_BARS = "▁▂▃▄▅▆▇█"


def sparkline(values: Sequence[Optional[float]], width: int = 60) -> str:
    """The last ``width`` values as bars from the lowest to the highest of them; an unknown one is a blank.

    >>> sparkline([1, None, 2, 3]), sparkline([5, 5]), sparkline([1, 2, 3], width=2)
    ('▁ ▅█', '▄▄', '▁█')
    """
    shown = list(values[-width:])
    known = [value for value in shown if value is not None]
    if not known:
        return ""
    low, high = min(known), max(known)
    span = high - low
    if span <= 0:
        return "".join(" " if value is None else _BARS[3] for value in shown)
    last = len(_BARS) - 1
    return "".join(" " if value is None else _BARS[int((value - low) / span * last + 0.5)] for value in shown)
