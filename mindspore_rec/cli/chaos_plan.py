"""Who is killed, when and where: drawn from a seed before the run begins."""

from __future__ import annotations

import math
import random
from collections import Counter
from dataclasses import dataclass
from typing import Dict, List, Optional, Sequence

PROCESSES = ("producer", "consumer", "trainer", "broker")
LEAST_SHARE = 0.15
"""Of the kills, for each process."""
NAMED_SHARE = 0.25
"""Of the kills, at a named point."""
BEGIN, END = 0.03, 0.85
"""The share of rows between which kills are drawn: each must leave rows to train after it."""
MOST_MESSAGES = 10


@dataclass(frozen=True)
class Point:
    """A named point of `kill_points.POINTS`.

    Attributes:
        process: which reaches it.
        most: it is killed at one of so many occurrences.
        at_start: it is passed only after a start, so the process is stopped in good order and started for it.
    """

    process: str
    most: int
    at_start: bool = False


POINTS: Dict[str, Point] = {
    "compile": Point("trainer", 2, at_start=True),
    "table-growth": Point("trainer", 20),
    "checkpoint-write": Point("trainer", 10),
    "checkpoint-rename": Point("trainer", 2),
    "compaction": Point("trainer", 1),
    "hand-over": Point("trainer", 2, at_start=True),
    "seek": Point("consumer", 1, at_start=True),
    "send": Point("producer", 20),
}


@dataclass(frozen=True)
class Kill:
    """One kill.

    Attributes:
        process: who is killed.
        rows: once so many rows were trained.
        point: the named point at which it dies then; None: at once.
        times: and at which of its occurrences; without a point: once the producer has sent so many messages since
            its start, where it or the broker is killed.
    """

    process: str
    rows: int
    point: Optional[str] = None
    times: int = 1

    @property
    def order(self) -> str:
        """What the process is told, as `kill_points` reads it."""
        return f"{self.point}:{self.times}"


def draw(kills: int, rows: int, seed: int, points: Sequence[str] = tuple(POINTS)) -> List[Kill]:
    """Return a plan in the order of rows: the same for the same arguments.

    Args:
        kills: how many, at least 4.
        rows: of the run.
        seed: of the draw.
        points: the named points to use.
    """
    source = random.Random(seed)  # noqa: S311 - a plan, no secret
    named = _in_rounds(points, math.ceil(NAMED_SHARE * kills), source)
    victims = [(POINTS[name].process, name) for name in named]
    drawn: List[str] = []
    counts = Counter(process for process, _ in victims)
    least = min(math.ceil(LEAST_SHARE * kills), kills // len(PROCESSES))  # of 7 kills nobody can have two
    for process in PROCESSES:
        drawn += [process] * (least - counts[process])
    if "trainer" not in drawn and len(victims) + len(drawn) < kills:
        drawn.append("trainer")  # also at any moment, not at named points only
    drawn += source.choices(PROCESSES, k=kills - len(victims) - len(drawn))
    everyone = [*victims, *((process, None) for process in drawn)]
    source.shuffle(everyone)
    plan = []
    for number, (process, name) in enumerate(everyone):
        share = BEGIN + (END - BEGIN) * (number + source.random()) / kills
        times = source.randint(1, POINTS[name].most if name else MOST_MESSAGES)
        plan.append(Kill(process, int(share * rows), name, times))
    return plan


def _in_rounds(names: Sequence[str], count: int, source: random.Random) -> List[str]:
    """`count` names, each about as often as any other."""
    found: List[str] = []
    while len(found) < count:
        found += source.sample(list(names), min(len(names), count - len(found)))
    return found
