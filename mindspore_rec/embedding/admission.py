"""Which new ids get a row: rules over what is known of an id before the batch, and how often it occurs in it.

Labels of the batch itself are never among it, so that admission tells a prediction nothing. An id that is not admitted
reads as zeros and trains nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol, Sequence, Tuple

import numpy as np
from numba import njit

from mindspore_rec.embedding.hashing import mix64
from mindspore_rec.embedding.statistics import check_finite, score
from mindspore_rec.embedding.waiting import Candidates, Sketched, Waiting

LARGEST_COUNT = 65535


class NewIds(NamedTuple):
    """Ids of a batch that have no row.

    Attributes:
        ids: int64[n], each once.
        now: int32[n], how often each occurs in the batch.
        before: STATISTICS[n], of the batches before.
        step: updates of the table so far.
    """

    ids: np.ndarray
    now: np.ndarray
    before: np.ndarray
    step: int


class Admission(Protocol):
    """A rule, immutable; what it has to know of ids is kept by the `Waiting` it opens.

    Attributes:
        row_by_row: a batch admits the ids that its rows one by one would.
    """

    row_by_row: bool

    def admits(self, new: NewIds) -> np.ndarray:
        """Return bool[n]: which of the ids get a row now."""

    def waiting(self, max_rows: int) -> Waiting:
        """Return what keeps ids until then; a table of `max_rows` asks once."""


@dataclass(frozen=True)
class Always:
    """Every id, at its first occurrence."""

    row_by_row = True

    def admits(self, new: NewIds) -> np.ndarray:
        """See `Admission`."""
        return np.ones(new.ids.size, np.bool_)

    def waiting(self, max_rows: int) -> Waiting:
        """See `Admission`."""
        return Waiting()


@dataclass(frozen=True)
class MinCount:
    """Ids with at least `count` occurrences, this batch included: Paddle's CountFilterEntry.

    Counts are exact; an id takes 37 bytes until it is admitted, or forgotten by the table's `Unseen` rule.
    """

    count: int
    row_by_row = True

    def __post_init__(self) -> None:
        _check_count(self.count)

    def admits(self, new: NewIds) -> np.ndarray:
        """See `Admission`."""
        return new.before["show"] + new.now >= self.count

    def waiting(self, max_rows: int) -> Waiting:
        """See `Admission`."""
        return Candidates(max_rows)


@dataclass(frozen=True)
class MinCountSketch:
    """As `MinCount` in memory that does not grow: counts may be too high, never too low.

    Args:
        count: occurrences, at most 65535.
        nbytes: memory of the sketch. With four bytes for each id that occurs between two halvings few are admitted
            too early.
        halve_steps: steps after which all counts are halved, so that ids long gone are forgotten.
        seed: of the hashes.
    """

    count: int
    nbytes: int = 64 << 20
    halve_steps: int = 10_000
    seed: int = 0
    row_by_row = False

    def __post_init__(self) -> None:
        _check_count(self.count)
        if not 512 <= self.nbytes <= 1 << 40 or self.halve_steps < 1:
            raise ValueError(f"nbytes = {self.nbytes}, halve_steps = {self.halve_steps}: expected 512 to 2**40, and 1")

    def admits(self, new: NewIds) -> np.ndarray:
        """See `Admission`."""
        return new.before["show"] + new.now >= self.count

    def waiting(self, max_rows: int) -> Waiting:
        """See `Admission`."""
        return Sketched(self.nbytes, self.halve_steps, self.seed)


@dataclass(frozen=True)
class Probability:
    """Each occurrence of a new id is admitted with a probability: Paddle's ProbabilityEntry.

    The draw is a function of (seed, id, step), so a batch drawn again gives the same ids.
    """

    probability: float
    seed: int = 0
    row_by_row = False

    def __post_init__(self) -> None:
        if not 0 < self.probability <= 1:
            raise ValueError(f"probability = {self.probability!r}: expected more than 0, at most 1")

    def admits(self, new: NewIds) -> np.ndarray:
        """See `Admission`."""
        refused = (1.0 - self.probability) ** new.now  # all its occurrences are
        return _fractions(new.ids, np.uint64(self.seed), new.step) >= refused

    def waiting(self, max_rows: int) -> Waiting:
        """See `Admission`."""
        return Waiting()


@dataclass(frozen=True)
class ShowClick:
    """Ids whose score reaches a threshold: (show - click) nonclk_coeff + click click_coeff.

    The score is of the batches before, and the rule that creates the vector of a row in Paddle's accessor (there
    `embedx_threshold`, 10 in its slot_dnn).
    """

    threshold: float
    nonclk_coeff: float = 0.1
    click_coeff: float = 1.0
    row_by_row = False

    def __post_init__(self) -> None:
        check_finite(self, "threshold", "nonclk_coeff", "click_coeff")

    def admits(self, new: NewIds) -> np.ndarray:
        """See `Admission`."""
        return score(new.before, self.nonclk_coeff, self.click_coeff) >= self.threshold

    def waiting(self, max_rows: int) -> Waiting:
        """See `Admission`."""
        return Candidates(max_rows)


@dataclass(frozen=True)
class ByField:
    """A rule for each column of the ids; an id under several columns of a batch goes by the first of their rules."""

    rules: Tuple[Admission, ...]

    def __post_init__(self) -> None:
        if not self.rules:
            raise ValueError("ByField has no rules: expected one for each column of the ids")


def distinct_rules(rules: Sequence[Admission]) -> Tuple[Tuple[Admission, ...], np.ndarray]:
    """Return the rules that differ, in order, and int32[columns], which of them each column has."""
    different = tuple(dict.fromkeys(rules))
    return different, np.array([different.index(rule) for rule in rules], np.int32)


def _check_count(count: int) -> None:
    if not 1 <= count <= LARGEST_COUNT:
        raise ValueError(f"count = {count!r}: expected 1 to {LARGEST_COUNT}")


@njit(cache=True, nogil=True)
def _fractions(ids, seed, step):  # type: ignore[no-untyped-def]
    """float64[n] in [0, 1), a function of (seed, id, step)."""
    drawn = np.empty(ids.size, np.float64)
    for k in range(ids.size):
        mixed = mix64(mix64(np.uint64(ids[k]) ^ mix64(seed + np.uint64(1))) + np.uint64(step))
        drawn[k] = np.float64(mixed >> np.uint64(11)) * 2.0**-53
    return drawn
