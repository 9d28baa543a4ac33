"""Callback: which source rows were trained, and how often. For debugging, and for `scripts/chaos.sh`."""

from __future__ import annotations

from pathlib import Path
from typing import Dict, Optional

import numpy as np
from mindspore.train import Callback, RunContext

from mindspore_rec.distributed.exchange import Alone, Exchange
from mindspore_rec.train.audit_progress import AuditProgress

MAX_ROWS = 2**32
MOST = 255  # a count that is reached stays


class RowAudit(Callback):
    """Counts how often each source row was part of an update.

    Its state belongs in the checkpoint: there it tells which rows the model of that checkpoint was trained on. It
    takes a byte for every row of the source.

    Args:
        file: where to keep `AuditProgress` for other processes to see; None: nowhere. One rank keeps it.
        exchange: between the ranks of a job: each counts the rows of all.
    """

    def __init__(self, file: Optional[Path] = None, exchange: Optional[Exchange] = None) -> None:
        super().__init__()
        self._exchange = exchange or Alone()
        self._counts = np.zeros(0, np.uint8)
        self._highest = -1
        self._digest = np.zeros(1, np.uint64)
        self._rows = 0
        self._progress = AuditProgress(file) if file is not None else None

    def on_train_begin(self, run_context: RunContext) -> None:
        """Say where training goes on."""
        if self._progress is not None:
            self._progress.begin(self._rows)

    def on_train_step_end(self, run_context: RunContext) -> None:
        """Count the rows of one step."""
        info = run_context.original_args().get("batch_info")  # `train` of the framework knows no positions
        rows = info.source_rows if info is not None else np.zeros(0, np.int64)
        self.count(np.concatenate(self._exchange.gather(rows)))
        if self._progress is not None:
            self._progress.note(self._rows)

    def count(self, source_rows: np.ndarray) -> None:
        """Count rows.

        Args:
            source_rows: int64[n], -1 for a row whose number is unknown: it counts as trained, but not by number.

        Raises:
            ValueError: a number is too high to be counted.
        """
        known = source_rows[source_rows >= 0]
        self._rows += source_rows.size
        if not known.size:
            return
        highest = int(known.max())
        if highest >= MAX_ROWS:
            raise ValueError(f"source row {highest}: audit_rows counts rows below {MAX_ROWS} only")
        if highest >= self._counts.size:
            grown = np.zeros(max(highest + 1, min(2 * self._counts.size, MAX_ROWS)), np.uint8)
            grown[: self._counts.size] = self._counts
            self._counts = grown
        self._highest = max(self._highest, highest)
        rows, times = np.unique(known, return_counts=True)
        self._counts[rows] = np.minimum(self._counts[rows] + times, MOST)
        self._digest += mix(known.astype(np.uint64)).sum(dtype=np.uint64)

    def state(self) -> Dict[str, np.ndarray]:
        """Return the whole state, for a checkpoint.

        Returns:
            counts uint8[highest row + 1], 255 for that often or more; digest uint64[1], the sum of the hashes of all
            rows trained, modulo 2**64, whatever their order; rows int64[1], how many those were.
        """
        return {
            "counts": self._counts[: self._highest + 1].copy(),
            "digest": self._digest.copy(),
            "rows": np.array([self._rows], np.int64),
        }

    def load_state(self, state: Dict[str, np.ndarray]) -> None:
        """Go on from what `state` returned.

        Raises:
            KeyError: an array is missing.
            ValueError: an array is not what `state` returns.
        """
        kinds = {"counts": np.uint8, "digest": np.uint64, "rows": np.int64}
        arrays = {name: np.asarray(state[name]) for name in kinds}
        for name, kind in kinds.items():
            array = arrays[name]
            if array.dtype != kind or array.ndim != 1 or (name != "counts" and array.size != 1):
                raise ValueError(f"audit: {name} is {array.dtype}{list(array.shape)}")
        self._counts = arrays["counts"].copy()
        self._highest = self._counts.size - 1
        self._digest = arrays["digest"].copy()
        self._rows = int(arrays["rows"][0])


def mix(values: np.ndarray) -> np.ndarray:
    """Return the finalizer of SplitMix64 (Steele, Lea and Flood, 2014) of uint64 values.

    >>> hex(mix(np.array([1], np.uint64))[0])
    '0x5692161d100b05e5'
    """
    mixed = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(mixed ^ (mixed >> np.uint64(31)))
