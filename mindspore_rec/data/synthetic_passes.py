"""Synthetic clicks as slot text, split by split: users, items and slots of several values, with a known hidden model.

A row is a function of (seed, day, minute its split begins with, row number); the hidden model is the same for every
seed. Each row is one user who is shown one item.

**Slots.** Slot 1 is the label. Slots 2 to 6 are the user, its age, city and device, and the hour; 7 to 11 the item, its
category, brand and price, and its position on the page. Slots 12 to 15 have several values: interests of the user
(1 to 4), tags of the item (1 to 5), categories seen last (0 to 6) and words of the query (0 to 4). A value is a feature
id: 64 bits, a half of them above 2^63, none 0.

**Clicks.** The label is 1 with probability sigmoid(logit). The logit is an intercept, an effect of every value (a
normal draw, as strong as its slot: the effects of several values add), a product of draws for age and category, and a
step where the item's category is among the interests of the user. The AUC of the true probabilities, the oracle, is
0.80; small models come near it, as most of it is effects of some 1800 ids that occur again and again.

**Ids change.** Every `Population` is replaced by new ids bit by bit: of 100 items 30 are others a day later, with
attributes and effects of their own. So a model meets ids it has not trained, and predicts a pass less well than it
will have learned it.
"""

from __future__ import annotations

from typing import Dict, List, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mindspore_rec.stream.pass_schedule import MINUTES, day_of

Words = NDArray[np.uint64]
Floats = NDArray[np.float64]

LABEL = "1"
#: Deviation of the effect of a value, by slot.
EFFECTS: Dict[str, float] = {
    **{"2": 0.40, "3": 0.35, "4": 0.35, "5": 0.20, "6": 0.20},
    **{"7": 0.45, "8": 0.50, "9": 0.35, "10": 0.30, "11": 0.45},
    **{"12": 0.30, "13": 0.25, "14": 0.15, "15": 0.15},
}
SPARSE_SLOTS = " ".join((LABEL, *EFFECTS))
"""As a job's ``sparse_slots``."""

# How many different values there are.
_AGES, _CITIES, _DEVICES = 7, 30, 5
_CATEGORIES, _BRANDS, _PRICES, _POSITIONS = 20, 50, 10, 4
_TAGS, _WORDS = 100, 120
_INTERCEPT = -1.75
_AGE_CATEGORY, _MATCH = 0.35, 0.70
_POPULARITY = 1.7  # of a rank: its share of draws is like rank ** (1 / _POPULARITY - 1)


class Population(NamedTuple):
    """Users or items.

    Attributes:
        size: how many there are at a time.
        turnover: share of them that is replaced in a day.
    """

    size: int
    turnover: float


USERS, ITEMS = Population(600, 0.15), Population(400, 0.30)


class SplitRows(NamedTuple):
    """Rows of a split.

    Attributes:
        lines: each ended by a newline, ``feasign:slot`` tokens, the label first.
        labels: float64[n], 0 or 1.
        probabilities: float64[n], P(click) of each row given all its values.
    """

    lines: List[bytes]
    labels: Floats
    probabilities: Floats


def split_rows(seed: int, day: str, minute: int, rows: int) -> SplitRows:
    """The rows of a split.

    Args:
        seed: which sample of the world, at least 0.
        day: YYYYMMDD.
        minute: of the day that the split begins with.
        rows: how many.

    Raises:
        ValueError: an argument is outside its range, or the day is none.

    >>> split_rows(7, "20190720", 60, 10).lines[0].split()[:3]
    [b'0:1', b'15665850856554529329:2', b'10064269861794623307:3']
    """
    if seed < 0 or rows < 0 or not 0 <= minute < MINUTES:
        raise ValueError(f"seed, rows and minute must be at least 0, the last below {MINUTES}")
    days = day_of(day).toordinal()
    random = np.random.Generator(np.random.PCG64([seed, days, minute]))
    values = _values(random, days + minute / MINUTES, minute // 60, rows)
    logits = np.full(rows, _INTERCEPT) + _interactions(values)
    ids = {}
    for slot, strength in EFFECTS.items():
        there = values[slot] >= 0
        ids[slot] = np.where(there, _id(slot, values[slot]), np.uint64(0))
        logits += strength * np.where(there, _normal(ids[slot]), 0.0).sum(axis=1)
    probabilities = 1.0 / (1.0 + np.exp(-logits))
    labels = (random.random(rows) < probabilities).astype(np.float64)
    return SplitRows(_lines(labels, ids), labels, probabilities)


def _values(random: np.random.Generator, time: float, hour: int, rows: int) -> Dict[str, NDArray[np.int64]]:
    """Numbers of the values, by slot: int64[rows, most values], -1 where there is none.

    Attributes of users and items are functions of their numbers, the rest is drawn.
    """
    user, item = _alive(random, USERS, time, rows), _alive(random, ITEMS, time, rows)
    several = {
        "12": _several(user, 1, 4, _CATEGORIES),
        "13": _several(item, 2, 5, _TAGS),
        "14": _drawn(random, rows, 6, _CATEGORIES),
        "15": _drawn(random, rows, 4, _WORDS),
    }
    single = {
        **{"2": user, "3": _attribute(user, 3, _AGES), "4": _attribute(user, 4, _CITIES)},
        **{"5": _attribute(user, 5, _DEVICES), "6": np.full(rows, hour)},
        **{"7": item, "8": _attribute(item, 8, _CATEGORIES), "9": _attribute(item, 9, _BRANDS)},
        **{"10": _attribute(item, 10, _PRICES), "11": random.integers(0, _POSITIONS, rows)},
    }
    return {**{slot: value[:, np.newaxis] for slot, value in single.items()}, **several}


def _interactions(values: Dict[str, NDArray[np.int64]]) -> Floats:
    age, category = values["3"], values["8"]
    product = _normal(_id("age x", age)) * _normal(_id("x category", category))
    matches = (values["12"] == category).any(axis=1)
    return _AGE_CATEGORY * product[:, 0] + _MATCH * matches


def _alive(random: np.random.Generator, population: Population, time: float, rows: int) -> NDArray[np.int64]:
    """Numbers of users or items, drawn from those there are at a time in days; low ranks are drawn more often."""
    rank = (population.size * random.random(rows) ** _POPULARITY).astype(np.int64)
    moment = _uniform(_mix(rank.astype(np.uint64)))  # at which the one of a rank is replaced, spread evenly
    generation = np.floor(time * population.turnover + moment).astype(np.int64)
    return rank + population.size * generation


def _attribute(of: NDArray[np.int64], which: int, count: int) -> NDArray[np.int64]:
    return (_mix(of.astype(np.uint64) * np.uint64(64) + np.uint64(which)) % np.uint64(count)).astype(np.int64)


def _several(of: NDArray[np.int64], which: int, most: int, count: int) -> NDArray[np.int64]:
    """1 to ``most`` values of a user or item, int64[n, most]; -1 behind them."""
    columns = [_attribute(of, 16 * which + k, count) for k in range(most)]
    there = _attribute(of, 16 * which + most, most)
    return np.stack([np.where(k <= there, column, -1) for k, column in enumerate(columns)], axis=1)


def _drawn(random: np.random.Generator, rows: int, most: int, count: int) -> NDArray[np.int64]:
    """0 to ``most`` values, low numbers more often, int64[n, most]; -1 behind them."""
    values = (count * random.random((rows, most)) ** _POPULARITY).astype(np.int64)
    return np.where(np.arange(most) < random.integers(0, most + 1, (rows, 1)), values, -1)


def _id(slot: str, numbers: NDArray[np.int64]) -> Words:
    """A feature id of each number; two numbers of a slot never share one."""
    base = np.uint64(int.from_bytes(slot.encode()[:4], "big"))
    return _mix((base << np.uint64(32)) + numbers.astype(np.uint64) + np.uint64(1))


def _normal(ids: Words) -> Floats:
    """A standard normal draw for each id, always the same (Box and Muller, 1958)."""
    first, second = _uniform(_mix(ids ^ np.uint64(1 << 63))), _uniform(_mix(ids ^ np.uint64(1 << 62)))
    return np.sqrt(-2.0 * np.log(first)) * np.cos(2.0 * np.pi * second)


def _uniform(words: Words) -> Floats:
    """In (0, 1)."""
    return ((words >> np.uint64(12)).astype(np.float64) + 0.5) * 2.0**-52


def _mix(words: Words) -> Words:
    """Finalizer of SplitMix64 (Steele, Lea and Flood, 2014); only 0 gives 0."""
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))


def _lines(labels: Floats, ids: Dict[str, Words]) -> List[bytes]:
    """The text of rows; ids that are 0 are left out."""
    tokens: List[List[str]] = [[f"{int(label)}:{LABEL}"] for label in labels]
    for slot, column in ids.items():
        for row, values in zip(tokens, column.tolist()):
            row += [f"{value}:{slot}" for value in values if value]
    return [(" ".join(row) + "\n").encode() for row in tokens]
