"""Rows of `SyntheticStream`: drawn, scored and written one by one, each from its own random state.

A row is a pure function of (seed, row number, world), so any cut of the stream gives the same rows.

A category's value is kept as its id: ``rank + cardinality * generation``. The rank says how frequent it is, the
generation how many ids have stood at that rank before it; effects and tokens are functions of the id, so a new
generation is a new token with another effect. Where ids stay, the generation is 0 and the id is the rank.
"""

from __future__ import annotations

import math
from typing import Tuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from mindspore_rec.data.synthetic_world import World

NUM_NUMBERS = 13
NUM_CATEGORIES = 26
#: Label, 13 numbers of at most 8 characters, 26 categories of 8, and 40 separators.
MAX_LINE_BYTES = 1 + 13 * 8 + 26 * 8 + 40

_MISSING = -1
#: Ids of a field that have tokens of their own: 26 fields share the 2**32 of 8 hex digits.
_FIELD_IDS = 150_000_000
_MAX_COUNT = 9_999_999.0
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_TAB, _NEWLINE, _MINUS, _ZERO, _LETTER_A = 9, 10, 45, 48, 97


@njit(cache=True, nogil=True)
def _mix(x: np.uint64) -> np.uint64:
    """Finalizer of SplitMix64 (Steele, Lea and Flood, 2014)."""
    x = (x ^ (x >> np.uint64(30))) * _MIX_1
    x = (x ^ (x >> np.uint64(27))) * _MIX_2
    return x ^ (x >> np.uint64(31))


@njit(cache=True, nogil=True)
def _uniform(state: NDArray[np.uint64]) -> float:
    """The next draw of the row, in (0, 1)."""
    state[0] += _GOLDEN
    return (float(_mix(state[0]) >> np.uint64(12)) + 0.5) * 2.0**-52


@njit(cache=True, nogil=True)
def _quantile(state: NDArray[np.uint64], cause: float, share: float) -> float:
    """Where a field stands in its distribution: where its cause does with probability `share`, else on its own."""
    shared = _uniform(state) < share
    own = _uniform(state)
    return cause if shared else own


@njit(cache=True, nogil=True)
def _draw_category(w: World, field: int, u: float) -> int:
    """Inverse of the continuous power law ``x ** -exponent`` on [1, cardinality + 1), floored; 0 is most frequent."""
    rank = int((1.0 + u * w.category_span[field]) ** w.category_root[field]) - 1
    return max(0, min(rank, int(w.category_cardinality[field]) - 1))


@njit(cache=True, nogil=True)
def _renew_ids(
    cardinality: NDArray[np.int64], turnover: NDArray[np.float64], row: int, ids: NDArray[np.int64]
) -> None:
    """Turn ranks into the ids that stand there by row `row`; each rank has moments of its own, spread evenly.

    When a field's tokens are used up, after 75 to 26 785 generations, the oldest come again.
    """
    for j in range(NUM_CATEGORIES):
        if ids[j] != _MISSING and turnover[j] > 0.0:
            moment = float(_mix(np.uint64(ids[j]) * _GOLDEN + np.uint64(j + 1)) >> np.uint64(12)) * 2.0**-52
            generation = int(row * turnover[j] + moment)
            ids[j] += cardinality[j] * (generation % (_FIELD_IDS // cardinality[j]))


@njit(cache=True, nogil=True)
def _draw_number(w: World, field: int, u: float) -> int:
    """Quantile u of the log-logistic count."""
    return int(min(math.exp(w.number_location[field] + w.number_spread[field] * math.log(u / (1.0 - u))), _MAX_COUNT))


@njit(cache=True, nogil=True)
def row_buffers() -> Tuple[NDArray[np.uint64], NDArray[np.int64], NDArray[np.bool_], NDArray[np.int64]]:
    """Random state, numbers, present and ids, as `draw_row` fills them; used again for each row."""
    return (
        np.empty(1, dtype=np.uint64),
        np.empty(NUM_NUMBERS, dtype=np.int64),
        np.empty(NUM_NUMBERS, dtype=np.bool_),
        np.empty(NUM_CATEGORIES, dtype=np.int64),
    )


@njit(cache=True, nogil=True, inline="always")  # a call would copy the whole world
def draw_row(
    w: World,
    seed: np.uint64,
    row: int,
    state: NDArray[np.uint64],
    numbers: NDArray[np.int64],
    present: NDArray[np.bool_],
    ids: NDArray[np.int64],
) -> float:
    """Draw one row into `numbers` int64[13], `present` bool[13], `ids` int64[26] (-1: missing).

    Returns:
        A uniform draw for the label.
    """
    state[0] = _mix(seed * _GOLDEN + _mix(np.uint64(row)))
    label_draw = _uniform(state)
    causes = (_uniform(state), _uniform(state), _uniform(state))
    absent = _uniform(state)
    for j in range(NUM_NUMBERS):
        u = _quantile(state, causes[w.number_cause[j]], w.number_share[j])
        present[j] = absent >= w.number_missing[j]
        numbers[j] = _draw_number(w, j, u)
    u = _uniform(state)
    if numbers[1] == 0 and u < 0.35:
        numbers[1] = -1 if u < 0.30 else (-2 if u < 0.34 else -3)
    absent = _uniform(state)
    for j in range(NUM_CATEGORIES):
        u = _quantile(state, causes[w.category_cause[j]], w.category_share[j])
        ids[j] = _MISSING if absent < w.category_missing[j] else _draw_category(w, j, u)
    if w.ids_change:
        _renew_ids(w.category_cardinality, w.category_turnover, row, ids)
    return label_draw


@njit(cache=True, nogil=True)
def _standard(w: World, field: int, value: int, present: bool) -> float:
    """Standardised signed log1p of a number; missing is 0, as it is to a model that multiplies by it."""
    x = 0.0
    if present:
        x = math.log1p(value) if value >= 0 else -math.log1p(-value)
    standard: float = (x - w.number_mean[field]) / w.number_std[field]
    return standard


@njit(cache=True, nogil=True, inline="always")  # a call would copy the whole world
def click_probability(
    w: World, numbers: NDArray[np.int64], present: NDArray[np.bool_], ids: NDArray[np.int64]
) -> float:
    """P(click) of one row under the hidden model."""
    logit = w.intercept
    for j in range(NUM_NUMBERS):
        x = _standard(w, j, numbers[j], present[j])
        z = (x - w.bump_centre[j]) / w.bump_width[j]
        logit += w.number_linear[j] * x + w.number_bump[j] / (1.0 + z * z)
    for j in range(NUM_CATEGORIES):
        if ids[j] == _MISSING:
            logit += w.missing_effect[j]
        else:
            logit += w.effects[w.effect_offset[j] + ids[j] % w.effect_size[j]]
    for k in range(w.pair_offset.size):
        left, right = ids[w.pair_fields[k, 0]], ids[w.pair_fields[k, 1]]
        logit += w.pair_effects[w.pair_offset[k] + left * w.pair_width[k] + right]
    for k in range(w.slope_offset.size):
        j = w.slope_fields[k, 0]
        slope = w.slopes[w.slope_offset[k] + ids[w.slope_fields[k, 1]]]
        logit += slope * _standard(w, j, numbers[j], present[j])
    probability: float = 1.0 / (1.0 + math.exp(-logit))
    return probability


@njit(cache=True, nogil=True)
def score_rows(
    w: World, seed: np.uint64, start: int, probabilities: NDArray[np.float64], labels: NDArray[np.uint8]
) -> None:
    """Fill P(click) float64[n] and the labels uint8[n] of rows start..start + n."""
    state, numbers, present, ids = row_buffers()
    for i in range(probabilities.size):
        label_draw = draw_row(w, seed, start + i, state, numbers, present, ids)
        probabilities[i] = click_probability(w, numbers, present, ids)
        labels[i] = label_draw < probabilities[i]


@njit(cache=True, nogil=True)
def write_rows(
    w: World, seed: np.uint64, start: int, probabilities: NDArray[np.float64], out: NDArray[np.uint8]
) -> int:
    """Fill P(click) float64[n], write rows start..start + n as Criteo TSV lines into `out` uint8[n * MAX_LINE_BYTES].

    Returns:
        Bytes written.
    """
    state, numbers, present, ids = row_buffers()
    at = 0
    for i in range(probabilities.size):
        label_draw = draw_row(w, seed, start + i, state, numbers, present, ids)
        probabilities[i] = click_probability(w, numbers, present, ids)
        out[at] = _ZERO + (label_draw < probabilities[i])
        at += 1
        for j in range(NUM_NUMBERS):
            out[at] = _TAB
            at += 1
            if present[j]:
                at = _write_integer(out, at, numbers[j])
        for j in range(NUM_CATEGORIES):
            out[at] = _TAB
            at += 1
            if ids[j] != _MISSING:
                at = _write_token(out, at, j, ids[j])
        out[at] = _NEWLINE
        at += 1
    return at


@njit(cache=True, nogil=True)
def _write_integer(out: NDArray[np.uint8], at: int, value: int) -> int:
    if value < 0:
        out[at] = _MINUS
        at += 1
        value = -value
    digits = 1
    bound = 10
    while value >= bound:
        digits += 1
        bound *= 10
    for k in range(digits - 1, -1, -1):
        out[at + k] = _ZERO + value % 10
        value //= 10
    return at + digits


@njit(cache=True, nogil=True)
def _write_token(out: NDArray[np.uint8], at: int, field: int, category: int) -> int:
    """Eight hex digits: MurmurHash3's 32-bit finalizer, a bijection, so ids of a field never share a token."""
    x = np.uint64(category + 1 + field * _FIELD_IDS) & np.uint64(0xFFFFFFFF)
    x = ((x ^ (x >> np.uint64(16))) * np.uint64(0x85EBCA6B)) & np.uint64(0xFFFFFFFF)
    x = ((x ^ (x >> np.uint64(13))) * np.uint64(0xC2B2AE35)) & np.uint64(0xFFFFFFFF)
    x ^= x >> np.uint64(16)
    for k in range(8):
        digit = int((x >> np.uint64(28 - 4 * k)) & np.uint64(15))
        out[at + k] = _ZERO + digit if digit < 10 else _LETTER_A + digit - 10
    return at + 8
