"""The hidden model behind `SyntheticStream`: which fields there are and how they make a click.

See ``synthetic.py`` for the description. Everything here is fixed: the world does not depend on the seed of a stream.
``synthetic_drift.py`` makes it change with the row number.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple, Tuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_WORLD_SEED = 20130101
_USER, _AD, _SITE = 0, 1, 2
#: Ranks share a category's effect modulo this, so that its table stays small; ids do not reveal the rank.
EFFECT_ROWS = 4096
_QUADRATURE_POINTS = 20_001
_INTERCEPT = -1.45


class NumberField(NamedTuple):
    """One of I1..I13: a log-logistic count, ``floor(exp(location + spread * logit(u)))``."""

    location: float
    spread: float
    cause: int
    share: float
    missing: float
    linear: float
    bump: float
    bump_centre: float = 0.0
    bump_width: float = 0.7


class CategoryField(NamedTuple):
    """One of C1..C26: rank r of `cardinality` with frequency proportional to ``r ** -exponent``."""

    cardinality: int
    exponent: float
    cause: int
    share: float
    missing: float
    effect: float


class Pair(NamedTuple):
    """An interaction of two category fields (0-based)."""

    left: int
    right: int
    effect: float


class Slope(NamedTuple):
    """An interaction of a number and a category field (0-based): the category sets the number's slope."""

    number: int
    category: int
    effect: float


NUMBERS = (
    NumberField(0.3, 0.80, _USER, 0.3, 0.45, 0.30, 0.0),
    NumberField(1.4, 1.80, _AD, 0.2, 0.00, 0.30, 0.50),
    NumberField(1.9, 0.95, _SITE, 0.2, 0.22, 0.25, 0.0),
    NumberField(1.5, 0.70, _AD, 0.2, 0.21, -0.25, 0.0),
    NumberField(8.0, 1.10, _USER, 0.2, 0.03, 0.40, 0.50),
    NumberField(3.8, 0.95, _USER, 0.3, 0.20, -0.40, 0.45),
    NumberField(1.1, 1.10, _SITE, 0.2, 0.05, 0.40, 0.0),
    NumberField(2.1, 0.70, _AD, 0.3, 0.00, 0.30, 0.40),
    NumberField(3.8, 0.95, _SITE, 0.3, 0.05, 0.30, 0.45),
    NumberField(-0.7, 0.45, _USER, 0.3, 0.45, 0.20, 0.0),
    NumberField(0.2, 0.70, _AD, 0.3, 0.05, -0.30, 0.0),
    NumberField(-0.9, 0.80, _SITE, 0.3, 0.77, 0.15, 0.0),
    NumberField(1.6, 0.80, _SITE, 0.2, 0.21, -0.25, 0.0),
)

CATEGORIES = (
    CategoryField(1_460, 1.10, _SITE, 0.3, 0.00, 0.28),
    CategoryField(560, 0.80, _AD, 0.3, 0.00, 0.28),
    CategoryField(2_000_000, 0.65, _USER, 0.3, 0.03, 0.06),
    CategoryField(1_000_000, 0.65, _AD, 0.3, 0.03, 0.06),
    CategoryField(300, 1.10, _SITE, 0.2, 0.00, 0.28),
    CategoryField(24, 0.90, _USER, 0.1, 0.00, 0.28),
    CategoryField(250_000, 0.60, _AD, 0.3, 0.00, 0.06),
    CategoryField(630, 1.20, _USER, 0.2, 0.00, 0.28),
    CategoryField(3, 0.50, _AD, 0.0, 0.00, 0.28),
    CategoryField(300_000, 0.60, _SITE, 0.3, 0.00, 0.06),
    CategoryField(100_000, 0.60, _USER, 0.3, 0.00, 0.06),
    CategoryField(2_000_000, 0.65, _AD, 0.3, 0.03, 0.06),
    CategoryField(3_200, 0.80, _USER, 0.3, 0.00, 0.20),
    CategoryField(27, 0.80, _SITE, 0.1, 0.00, 0.28),
    CategoryField(200_000, 0.60, _USER, 0.3, 0.00, 0.06),
    CategoryField(1_500_000, 0.65, _SITE, 0.3, 0.03, 0.06),
    CategoryField(10, 0.60, _SITE, 0.1, 0.00, 0.28),
    CategoryField(5_600, 0.90, _AD, 0.3, 0.00, 0.20),
    CategoryField(2_100, 0.80, _USER, 0.2, 0.44, 0.20),
    CategoryField(4, 0.50, _USER, 0.1, 0.44, 0.10),
    CategoryField(2_000_000, 0.65, _USER, 0.3, 0.03, 0.06),
    CategoryField(18, 0.80, _AD, 0.2, 0.76, 0.10),
    CategoryField(15, 0.70, _AD, 0.1, 0.00, 0.28),
    CategoryField(800_000, 0.60, _AD, 0.3, 0.03, 0.06),
    CategoryField(100, 0.90, _SITE, 0.2, 0.44, 0.20),
    CategoryField(400_000, 0.60, _SITE, 0.3, 0.44, 0.06),
)

PAIRS = (
    Pair(8, 16, 0.40),
    Pair(5, 13, 0.35),
    Pair(16, 22, 0.35),
    Pair(5, 22, 0.35),
    Pair(8, 13, 0.35),
    Pair(5, 16, 0.35),
    Pair(8, 5, 0.35),
    Pair(13, 22, 0.35),
)

SLOPES = (Slope(4, 8, 0.45), Slope(6, 22, 0.40), Slope(2, 16, 0.40), Slope(12, 5, 0.35))


class World(NamedTuple):
    """The hidden model as arrays, in the form that the row functions take.

    Shapes: N = 13 numbers, C = 26 categories, P pairs, S slopes; ragged tables are flat with one offset an entry.
    """

    number_location: Floats  # [N]
    number_spread: Floats  # [N]
    number_cause: Ints  # [N]
    number_share: Floats  # [N]
    number_missing: Floats  # [N]
    number_mean: Floats  # [N] of log1p
    number_std: Floats  # [N] of log1p
    number_linear: Floats  # [N]
    number_bump: Floats  # [N]
    bump_centre: Floats  # [N]
    bump_width: Floats  # [N]
    category_cardinality: Ints  # [C]
    category_span: Floats  # [C] (cardinality + 1) ** (1 - exponent) - 1
    category_root: Floats  # [C] 1 / (1 - exponent)
    category_cause: Ints  # [C]
    category_share: Floats  # [C]
    category_missing: Floats  # [C]
    ids_change: bool  # whether any of the next is not 0
    category_turnover: Floats  # [C] how often a row an id is replaced; 0 where ids stay
    missing_effect: Floats  # [C]
    effect_size: Ints  # [C]
    effect_offset: Ints  # [C]
    effects: Floats  # [sum of effect_size]
    pair_fields: Ints  # [P, 2]
    pair_width: Ints  # [P] cardinality of the right field
    pair_offset: Ints  # [P]
    pair_effects: Floats  # flat [left, right] matrices
    slope_fields: Ints  # [S, 2] number, category
    slope_offset: Ints  # [S]
    slopes: Floats  # flat
    intercept: float


class Effects(NamedTuple):
    """What of a `World` may drift, under the same names and with the same shapes: all have mean 0 over the rows."""

    number_linear: Floats
    missing_effect: Floats
    effects: Floats
    pair_effects: Floats
    slopes: Floats


@lru_cache(maxsize=1)
def world() -> World:
    """The hidden model; made once a process, in some milliseconds."""
    effects = draw_effects(0)
    moments = np.array([_number_moments(field) for field in NUMBERS])
    bump = np.array([field.bump for field in NUMBERS]) / moments[:, 3]
    numbers = np.array(NUMBERS)
    categories = np.array(CATEGORIES)
    effect_size = np.minimum(categories[:, 0], EFFECT_ROWS).astype(np.int64)
    pair_shape = np.array([[CATEGORIES[field].cardinality for field in (pair.left, pair.right)] for pair in PAIRS])
    return World(
        number_location=numbers[:, 0].copy(),
        number_spread=numbers[:, 1].copy(),
        number_cause=numbers[:, 2].astype(np.int64),
        number_share=numbers[:, 3].copy(),
        number_missing=numbers[:, 4].copy(),
        number_mean=moments[:, 0].copy(),
        number_std=moments[:, 1].copy(),
        number_linear=effects.number_linear,
        number_bump=bump,
        bump_centre=numbers[:, 7].copy(),
        bump_width=numbers[:, 8].copy(),
        category_cardinality=categories[:, 0].astype(np.int64),
        category_span=(categories[:, 0] + 1.0) ** (1.0 - categories[:, 1]) - 1.0,
        category_root=1.0 / (1.0 - categories[:, 1]),
        category_cause=categories[:, 2].astype(np.int64),
        category_share=categories[:, 3].copy(),
        category_missing=categories[:, 4].copy(),
        ids_change=False,
        category_turnover=np.zeros(len(CATEGORIES)),
        missing_effect=effects.missing_effect,
        effect_size=effect_size,
        effect_offset=_offsets(effect_size),
        effects=effects.effects,
        pair_fields=np.array([(pair.left, pair.right) for pair in PAIRS]),
        pair_width=pair_shape[:, 1].copy(),
        pair_offset=_offsets(pair_shape.prod(axis=1)),
        pair_effects=effects.pair_effects,
        slope_fields=np.array([(slope.number, slope.category) for slope in SLOPES]),
        slope_offset=_offsets(categories[[slope.category for slope in SLOPES], 0]),
        slopes=effects.slopes,
        intercept=_INTERCEPT - float((bump * moments[:, 2]).sum()),
    )


def draw_effects(number: int) -> Effects:
    """One of an endless row of independent hidden models; 0 is the one that does not drift.

    Args:
        number: which, from 0.
    """
    random = np.random.Generator(np.random.PCG64([_WORLD_SEED, number] if number else _WORLD_SEED))
    effects = [_category_effects(random, field) for field in CATEGORIES]
    missing = random.standard_normal(len(CATEGORIES)) * [field.effect for field in CATEGORIES]
    pairs = [_pair_effects(random, pair) for pair in PAIRS]
    slopes = [_centred(random, _masses(CATEGORIES[slope.category])) * slope.effect for slope in SLOPES]
    linear = np.array([field.linear for field in NUMBERS])
    if number:  # other lines, together as strong
        draws = random.standard_normal(linear.size)
        linear = draws * np.sqrt((linear**2).sum() / (draws**2).sum())
    return Effects(linear, missing, np.concatenate(effects), np.concatenate(pairs), np.concatenate(slopes))


def _offsets(sizes: NDArray[Any]) -> Ints:
    return np.cumsum([0, *sizes[:-1]]).astype(np.int64)


def _number_moments(field: NumberField) -> Tuple[float, float, float, float]:
    """Mean and deviation of log1p of the value, then of the bump over it, by quadrature over u.

    Missing counts as 0, and the few negative values of I2 too.
    """
    u = (np.arange(_QUADRATURE_POINTS) + 0.5) / _QUADRATURE_POINTS
    value = np.floor(np.exp(field.location + field.spread * np.log(u / (1.0 - u))))
    weights = np.r_[np.full(u.size, (1.0 - field.missing) / u.size), field.missing]
    logs = np.r_[np.log1p(value), 0.0]
    mean = float((weights * logs).sum())
    std = float(np.sqrt((weights * (logs - mean) ** 2).sum()))
    bump = 1.0 / (1.0 + (((logs - mean) / std - field.bump_centre) / field.bump_width) ** 2)
    bump_mean = float((weights * bump).sum())
    bump_std = float(np.sqrt((weights * (bump - bump_mean) ** 2).sum()))
    return mean, std, bump_mean, bump_std


def _masses(field: CategoryField) -> Floats:
    """Probabilities of the ranks below EFFECT_ROWS, normalised: those of the inverse that the rows are drawn by."""
    power = 1.0 - field.exponent
    ranks = np.arange(min(field.cardinality, EFFECT_ROWS) + 1) + 1.0
    masses: Floats = np.diff(ranks**power)
    masses /= masses.sum()
    return masses


def _centred(random: np.random.Generator, masses: Floats) -> Floats:
    """Normal draws, shifted and scaled to mean 0 and deviation 1 under `masses`."""
    draws = random.standard_normal(masses.size)
    draws -= (masses * draws).sum()
    scaled: Floats = draws / np.sqrt((masses * draws * draws).sum())
    return scaled


def _category_effects(random: np.random.Generator, field: CategoryField) -> Floats:
    return _centred(random, _masses(field)) * field.effect


def _pair_effects(random: np.random.Generator, pair: Pair) -> Floats:
    """Product of two centred vectors: the mean given either field is 0, so no sum of effects expresses it."""
    left = _centred(random, _masses(CATEGORIES[pair.left]))
    right = _centred(random, _masses(CATEGORIES[pair.right]))
    matrix: Floats = np.outer(left, right).reshape(-1) * pair.effect
    return matrix
