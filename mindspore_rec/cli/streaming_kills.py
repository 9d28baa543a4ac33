"""When the trainer of the streaming demo is killed: drawn from a seed before it starts."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import List

SAVING = {
    "checkpoint-write": 6,
    "checkpoint-rename": 2,
    "pass-publish": 6,
}
"""Named points of saving, and at one of how many occurrences."""


@dataclass(frozen=True)
class Kill:
    """A kill of the trainer.

    Attributes:
        point: named point of `kill_points`.
        times: at which of its occurrences since the start of the trainer.
        what: it is doing then, for people.
    """

    point: str
    times: int
    what: str

    @property
    def order(self) -> str:
        """What the trainer is told, as `kill_points` reads it."""
        return f"{self.point}:{self.times}"


@dataclass(frozen=True)
class Batches:
    """Batches of a pass.

    Attributes:
        predicted: first.
        trained: then.
    """

    predicted: int
    trained: int

    @classmethod
    def of(cls, rows: int, infer_batch_size: int, train_batch_size: int) -> Batches:
        """Those of a pass of so many rows.

        >>> Batches.of(1000, 512, 128)
        Batches(predicted=2, trained=8)
        """
        return cls(-(-rows // infer_batch_size), -(-rows // train_batch_size))


def draw(passes: int, batches: Batches, seed: int) -> List[Kill]:
    """One kill in the middle of the training of a pass, from the second to the middle one, then one while saving.

    Args:
        passes: of the run, at least 4.
        batches: of a pass, of which at least 3 are trained.
        seed: of the draw.
    """
    source = random.Random(seed)  # noqa: S311 - a plan, no secret
    number = source.randint(2, passes // 2)
    trained = source.randint(1, batches.trained - 1)
    before = (number - 1) * (batches.predicted + batches.trained) + batches.predicted
    point = source.choice(sorted(SAVING))
    times = source.randint(1, SAVING[point])
    return [
        Kill(
            "pass-rows",
            before + trained,
            f"in pass {number} of the run, {trained} of {batches.trained} batches trained",
        ),
        Kill(point, times, f"while saving, at {point}:{times}"),
    ]
