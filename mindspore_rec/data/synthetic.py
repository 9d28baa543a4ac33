"""A Criteo-like click stream with a known hidden model: endless, deterministic, and honest about how hard it is.

A row is a function of (seed, row number) alone, so any slice is the same however the stream is cut, and P(click) of
each row, the oracle, is known. The hidden model is fixed: two seeds are two samples of one world. It does not change
with the row number, unless `drift` or `churn` is given.

**Rows.** Three hidden causes (user, ad, site) are uniform draws of a row. Each of the 13 numbers and 26 categories
belongs to one cause and takes its value at the quantile of the cause with some probability, else at a draw of its own:
so fields of one cause are correlated, and a coarse category is often a function of a fine one, as campaign is of ad.

- Numbers are log-logistic counts, ``floor(exp(location + spread * logit(u)))``, up to 9 999 999; 11 % of I2 are -1,
  -2 or -3. One draw decides which numbers of a row are missing (up to 77 % in I12): those blank most often are blank
  wherever another is.
- Categories are written as 8 hex digits; their ranks follow power laws, ``rank ** -exponent`` with exponents 0.5 to 1.2
  over 3 to 2 000 000 values. One draw decides which are missing (up to 76 % in C22). Twelve fields have long tails: in
  700 000 rows a fifth of all 39 x 700 000 lookups are of ids that occur fewer than ten times.

**Clicks.** The label is 1 with probability sigmoid(logit); the logit is the sum of

- an intercept, for a base rate of about 0.31;
- for each number, a line in x, its standardised sign(v) log1p|v| (missing counts as 0), and for some a bump
  ``1 / (1 + (x / width)^2)``, which no line follows;
- for each category, an effect: deviation 0.1 to 0.28 for fields of few and middling values, 0.06 for long tails;
- eight pairs of low-cardinality fields (of 3 to 27 values): products of two centred effects, orthogonal to any sum of
  effects of the two fields;
- four slopes: a category that sets the sign and size of a number's line.

Over the first 700 000 rows of seed 7 the oracle AUC is 0.875; FTRL logistic regression over all ids gets 0.73 over the
last 100 000 rows, the oracle 0.876.

**Drift** is how often the hidden model is replaced, per million rows: with ``drift=0.5`` nothing that drifts is left
after two million rows. The effects of categories, pairs and slopes and the lines of numbers turn from one independent
draw of the same strength to the next, so the oracle AUC stays about the same and a frozen model gets worse; bumps, the
intercept, and all of a row but its label stay. It moves in steps of 4096 rows, the same way for every seed.

**Churn** is the share of ids replaced per million rows in the twelve fields of long tails: with ``churn=0.5`` an id
lives two million rows. Ranks are replaced one by one at moments spread evenly. A new id takes over the frequency of the
one that dies, with an effect of its own and a token not seen before (in the largest fields, for 75 lives: then 8 hex
digits are used up and the oldest come again); numbers and the ids of other fields stay.
"""

from __future__ import annotations

from typing import Iterator, Tuple

import numpy as np
from numpy.typing import NDArray

from mindspore_rec.data.synthetic_drift import FASTEST, STEP_ROWS, world_at
from mindspore_rec.data.synthetic_rows import MAX_LINE_BYTES, score_rows, write_rows
from mindspore_rec.data.synthetic_world import World


class SyntheticStream:
    """Rows of the stream of one seed.

    Args:
        seed: which sample of the world, in [0, 2**64).
        drift: how often the hidden model is replaced per million rows, in [0, 100].
        churn: share of the ids of long tails replaced per million rows, in [0, 100].

    Raises:
        ValueError: where an argument is outside its range.

    Examples:
        >>> stream = SyntheticStream(seed=7)
        >>> line = stream.lines(start_row=5, rows=1)
        >>> line.count(b"\\t"), line.endswith(b"\\n")
        (39, True)
        >>> stream.lines(0, 10) == stream.lines(0, 4) + stream.lines(4, 6)
        True
    """

    def __init__(self, seed: int = 7, drift: float = 0.0, churn: float = 0.0) -> None:
        if not 0 <= seed < 2**64:
            raise ValueError(f"seed must be in [0, 2**64), got {seed}")
        for name, pace in (("drift", drift), ("churn", churn)):
            if not 0.0 <= pace <= FASTEST:  # refuses nan too
                raise ValueError(f"{name} must be in [0, {FASTEST:g}], got {pace}")
        self._seed = np.uint64(seed)
        self._drift = float(drift)
        self._churn = float(churn)

    def lines(self, start_row: int, rows: int) -> bytes:
        """Rows as raw Criteo lines.

        Args:
            start_row: the first row, from 0.
            rows: how many.

        Returns:
            `rows` lines, each ended by a newline: label, I1..I13, C1..C26, tab-separated, blank where missing; some
            245 bytes a row.

        Raises:
            ValueError: where an argument is negative.
        """
        return self.lines_and_probabilities(start_row, rows)[0]

    def lines_and_probabilities(self, start_row: int, rows: int) -> Tuple[bytes, NDArray[np.float64]]:
        """What `lines` and `probabilities` give, in the time of the first.

        Raises:
            ValueError: where an argument is negative.
        """
        _check_range(start_row, rows)
        probabilities = np.empty(rows, dtype=np.float64)
        buffer = np.empty(min(rows, STEP_ROWS) * MAX_LINE_BYTES, dtype=np.uint8)
        blocks = []
        for world, start, block in self._steps(start_row, rows):
            written = write_rows(world, self._seed, start, probabilities[block], buffer)
            blocks.append(buffer[:written].tobytes())
        return b"".join(blocks), probabilities

    def probabilities(self, start_row: int, rows: int) -> NDArray[np.float64]:
        """Oracle: P(click) of each row given all its fields, float64[rows].

        Raises:
            ValueError: where an argument is negative.
        """
        return self._scores(start_row, rows)[0]

    def labels(self, start_row: int, rows: int) -> NDArray[np.uint8]:
        """Label of each row, 0 or 1, uint8[rows]: those of `lines`.

        Raises:
            ValueError: where an argument is negative.
        """
        return self._scores(start_row, rows)[1]

    def _scores(self, start_row: int, rows: int) -> Tuple[NDArray[np.float64], NDArray[np.uint8]]:
        _check_range(start_row, rows)
        probabilities = np.empty(rows, dtype=np.float64)
        labels = np.empty(rows, dtype=np.uint8)
        for world, start, block in self._steps(start_row, rows):
            score_rows(world, self._seed, start, probabilities[block], labels[block])
        return probabilities, labels

    def _steps(self, start_row: int, rows: int) -> Iterator[Tuple[World, int, slice]]:
        """Parts of a range within which the world stands still: it, the first row, and where in the range it is."""
        end = start_row + rows
        start = start_row
        while start < end:
            step = start // STEP_ROWS
            stop = min(end, (step + 1) * STEP_ROWS)
            yield world_at(step, self._drift, self._churn), start, slice(start - start_row, stop - start_row)
            start = stop


def _check_range(start_row: int, rows: int) -> None:
    if start_row < 0 or rows < 0:
        raise ValueError(f"start_row and rows must be at least 0, got {start_row} and {rows}")
