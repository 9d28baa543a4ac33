"""A control band of one figure: where the next value is expected to be, by those before it.

The centre is the exponentially weighted moving average of the values (Roberts, 1959; Lucas and Saccucci, 1990), and a
value is compared with the centre before it, as in the moving centre line of Montgomery and Mastrangelo (1991): so a
figure may drift. The width is a number of exponentially weighted standard deviations (Finch, 2009).
"""

from __future__ import annotations

import math
from typing import Tuple

import numpy as np


class ControlBand:
    """Mean and deviation of a figure, and the limits they make.

    Args:
        weight: of the newest value, in (0, 1]; the first values weigh the same, until each would weigh less than this.
        width: of each side of the band, in standard deviations.
        warm_up: values before there are limits.
        tolerance: each side is no narrower than this share of the centre.
        lower: whether there is a lower limit.
        upper: whether there is an upper one.

    Examples:
        >>> band = ControlBand(weight=0.1, width=3.0, warm_up=2)
        >>> band.take(1.0)
        >>> band.limits()
        (-inf, inf)
        >>> band.take(3.0)
        >>> band.limits()
        (-1.0, 5.0)
        >>> band.limits(error=2.0)
        (-4.0, 8.0)
    """

    def __init__(
        self,
        weight: float,
        width: float,
        warm_up: int,
        tolerance: float = 0.0,
        *,
        lower: bool = True,
        upper: bool = True,
    ) -> None:
        if not (0 < weight <= 1 and width >= 0 and warm_up >= 1 and tolerance >= 0):
            raise ValueError(
                f"weight={weight}, width={width}, warm_up={warm_up}, tolerance={tolerance}: "
                f"expected a weight in (0, 1], and at least 0, 1 and 0"
            )
        self._weight, self._width, self._warm_up, self._tolerance = weight, width, warm_up, tolerance
        self._lower, self._upper = lower, upper
        self.reset()

    def reset(self) -> None:
        """Begin anew: forget all values."""
        self._seen, self._mean, self._variance = 0, math.nan, 0.0

    @property
    def seen(self) -> int:
        """Values taken."""
        return self._seen

    @property
    def mean(self) -> float:
        """The centre; nan before the first value."""
        return self._mean

    @property
    def deviation(self) -> float:
        """The standard deviation; 0 before the second value."""
        return math.sqrt(self._variance)

    def limits(self, error: float = 0.0) -> Tuple[float, float]:
        """The least and the greatest value expected next; infinite on a side without a limit and while warming up.

        Args:
            error: standard error of the next value; where it is the larger one it stands for the deviation, so that a
                value of few rows is not taken for a change.
        """
        if self._seen < self._warm_up:
            return -math.inf, math.inf
        reach = max(self._width * max(self.deviation, error), self._tolerance * abs(self._mean))
        return self._mean - reach if self._lower else -math.inf, self._mean + reach if self._upper else math.inf

    def take(self, value: float) -> None:
        """Move the band to a value.

        Raises:
            ValueError: the value is not finite.
        """
        if not math.isfinite(value):
            raise ValueError(f"a control band takes finite values, got {value}")
        self._seen += 1
        if self._seen == 1:
            self._mean = value
            return
        weight = max(self._weight, 1.0 / self._seen)
        difference = value - self._mean
        step = weight * difference
        self._mean += step
        self._variance = (1.0 - weight) * (self._variance + difference * step)  # Finch (2009), section 9

    def state(self) -> np.ndarray:
        """Return float64[3]: values taken, mean, variance, 0 before the first; for a checkpoint, which has no nan."""
        return np.array([self._seen, self._mean if self._seen else 0.0, self._variance], np.float64)

    def load_state(self, state: np.ndarray) -> None:
        """Take over what `state` returned.

        Raises:
            ValueError: it is none; the band is unchanged then.
        """
        if state.shape != (3,) or state.dtype != np.float64:
            raise ValueError(f"control band: expected float64[3], got {state.dtype}{list(state.shape)}")
        seen, mean, variance = state.tolist()
        finite = math.isfinite(mean) and math.isfinite(variance)
        if not (finite and seen >= 0 and seen.is_integer() and variance >= 0 and (seen or not mean)):
            raise ValueError(f"control band: {seen} values of mean {mean} and variance {variance} are none")
        self._seen, self._mean, self._variance = int(seen), mean if seen else math.nan, variance
