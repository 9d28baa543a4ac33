"""Which rows are for testing: a function of the seed and the row's number in the data set, whoever asks."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def is_test_row(rows: npt.NDArray[np.int64], test_size: float, seed: int) -> npt.NDArray[np.bool_]:
    """bool[n] for int64[n] row numbers: a share of about ``test_size`` of them is True.

    The row's place in a SplitMix64 sequence (Steele, Lea, Flood 2014) is compared with the share.

    >>> is_test_row(np.arange(8), 0.5, seed=1).tolist()
    [True, True, False, True, False, False, True, False]
    >>> is_test_row(np.arange(8), 0.0, seed=1).any()
    False
    """
    with np.errstate(over="ignore"):
        mixed = (rows.astype(np.uint64) + np.uint64(1)) * _GOLDEN + np.uint64(seed) * np.uint64(0xD1B54A32D192ED03)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        mixed ^= mixed >> np.uint64(31)
    return (mixed >> np.uint64(11)).astype(np.float64) * 2.0**-53 < test_size
