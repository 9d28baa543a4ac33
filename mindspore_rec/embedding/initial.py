"""First values of a row: a function of (seed, id) alone, whatever the order of arrival or the number of processes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Tuple, Union

import numpy as np
from numba import njit

from mindspore_rec.embedding.hashing import mix64

UNIFORM, NORMAL = 0, 1

_GOLDEN_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_FRACTION_SHIFT = np.uint64(40)
_FRACTION_SCALE = np.float32(2.0**-23)
_UNIT_SHIFT = np.uint64(11)
_UNIT = 2.0**-53


@dataclass(frozen=True)
class Uniform:
    """Uniform in [-bound, bound)."""

    bound: float = 0.01

    @property
    def law(self) -> Tuple[int, float, float]:
        """Kind, scale and mean, as `fill_initial` takes them."""
        return UNIFORM, _finite("bound", self.bound), 0.0


@dataclass(frozen=True)
class Constant:
    """The same value everywhere."""

    value: float = 0.0

    @property
    def law(self) -> Tuple[int, float, float]:
        """See `Uniform.law`."""
        return UNIFORM, 0.0, _finite("value", self.value)


@dataclass(frozen=True)
class Normal:
    """Normal, by Box and Muller 1958, "A Note on the Generation of Random Normal Deviates", equation 1."""

    sigma: float = 0.01
    mean: float = 0.0

    @property
    def law(self) -> Tuple[int, float, float]:
        """See `Uniform.law`."""
        return NORMAL, _finite("sigma", self.sigma), _finite("mean", self.mean)


Initial = Union[Uniform, Constant, Normal]


def _finite(name: str, value: float) -> float:
    with np.errstate(over="ignore"):
        finite = math.isfinite(np.float32(value))
    if not finite:
        raise ValueError(f"{name} = {value!r}: expected a finite number")
    return float(value)


@njit(cache=True, nogil=True)
def fill_initial(row, dim, seed, row_id, kind, scale, mean):  # type: ignore[no-untyped-def]
    """Write `dim` first values of an id: SplitMix64 started at mix(id) ^ seed, shaped by the law."""
    state = mix64(row_id) ^ np.uint64(seed)
    if kind == UNIFORM:
        for k in range(dim):
            state += _GOLDEN_GAMMA
            fraction = np.float32(mix64(state) >> _FRACTION_SHIFT) * _FRACTION_SCALE  # [0, 2)
            row[k] = np.float32(mean) + np.float32(scale) * (fraction - np.float32(1.0))
        return
    for k in range(dim):
        state += _GOLDEN_GAMMA
        radius = np.float64(mix64(state) >> _UNIT_SHIFT) * _UNIT
        state += _GOLDEN_GAMMA
        angle = np.float64(mix64(state) >> _UNIT_SHIFT) * _UNIT
        deviate = math.sqrt(-2.0 * math.log(1.0 - radius)) * math.cos(2.0 * math.pi * angle)
        row[k] = np.float32(mean + scale * deviate)
