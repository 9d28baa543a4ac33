"""Waiting for other ranks without taking the processor from them: on a full machine they need it to answer at all."""

from __future__ import annotations

import time
from typing import Callable

NAP, LONG_NAP = 0.00005, 0.001
"""Seconds between two looks, at first and when it takes long."""
LATE = 0.02
LOOK = 2.0


def wait_until(is_done: Callable[[], bool], awake: float, look: Callable[[float], None]) -> None:
    """Return when `is_done` is true.

    Args:
        is_done: asked again and again; what is waited for may only go on while it is asked.
        awake: seconds in which it is asked without a pause.
        look: called every few seconds with those waited so far; an error it raises ends the waiting.
    """
    start = looked = time.monotonic()
    while not is_done():
        now = time.monotonic()
        if now - looked > LOOK:
            look(now - start)
            looked = now
        if now - start > awake:
            time.sleep(NAP if now - start < LATE else LONG_NAP)
