"""How the hidden model of `SyntheticStream` changes with the row number; see ``synthetic.py`` for what that means.

Drift goes through an endless row of independent draws of the hidden model, one after 1/drift million rows. Between two
of them each coefficient is ``cos(a) * this + sin(a) * next`` for an angle that grows from 0 to a quarter turn: as the
draws are independent and have mean 0, the strength of an effect stays the same on average, whatever the angle.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from mindspore_rec.data.synthetic_world import EFFECT_ROWS, Effects, World, draw_effects, world

#: Rows for which the world stands still: with a drift of 1 it is replaced in 244 steps.
STEP_ROWS = 4096
#: The most replacements per million rows: with more, one step would leave little of the model.
FASTEST = 100.0

_MILLION = 1_000_000
_draws = lru_cache(maxsize=4)(draw_effects)


@lru_cache(maxsize=8)
def world_at(step: int, drift: float, churn: float) -> World:
    """The hidden model of rows step * STEP_ROWS to (step + 1) * STEP_ROWS.

    Args:
        step: from 0.
        drift: how often the model is replaced per million rows.
        churn: how often each id of the long tails is replaced per million rows.
    """
    found = world()
    if drift > 0.0:
        found = found._replace(**_effects_at(step * STEP_ROWS * drift / _MILLION)._asdict())
    if churn > 0.0:
        long_tail = found.category_cardinality > EFFECT_ROWS
        found = found._replace(ids_change=True, category_turnover=np.where(long_tail, churn / _MILLION, 0.0))
    return found


def _effects_at(position: float) -> Effects:
    """Effects when the model has been replaced `position` times."""
    number = math.floor(position)
    angle = (position - number) * math.pi / 2
    pairs = zip(_draws(number), _draws(number + 1))
    return Effects(*(math.cos(angle) * this + math.sin(angle) * following for this, following in pairs))
