"""What happens to a batch whose loss or gradient is not finite."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Callable, Optional

from mindspore_rec.config import UserError
from mindspore_rec.stream.position import StreamPosition

logger = logging.getLogger(__name__)


class TrainingDivergedError(UserError):
    """Too many batches in a row had numbers that are not finite."""


class NonFiniteGuard:
    """Counts skipped batches and stops training when they do not end.

    Args:
        limit: skipped batches in a row after which training stops.
        dead_letters: file that gets one JSON line a skipped batch, with its positions; None: the log alone.
        last_checkpoint: names the last good checkpoint, for the message.
    """

    def __init__(
        self,
        limit: int = 10,
        dead_letters: Optional[Path] = None,
        last_checkpoint: Callable[[], Optional[Path]] = lambda: None,
    ) -> None:
        self.skipped_rows = 0
        self._limit = limit
        self._dead_letters = dead_letters
        self._last_checkpoint = last_checkpoint
        self._in_a_row = 0

    def passed(self) -> None:
        """A batch was trained."""
        self._in_a_row = 0

    def skipped(self, reason: str, rows: int, step: int, position: Optional[StreamPosition]) -> None:
        """A batch was not trained: nothing of it reached a parameter.

        Raises:
            TrainingDivergedError: it was the last of `limit` in a row.
        """
        self._in_a_row += 1
        self.skipped_rows += rows
        logger.error("batch of %d rows after step %d was skipped: %s", rows, step, reason)
        if self._dead_letters is not None:
            self._dead_letters.parent.mkdir(parents=True, exist_ok=True)
            with self._dead_letters.open("a", encoding="utf-8") as sink:
                after = json.loads(position.to_json()) if position is not None else None
                sink.write(json.dumps({"reason": reason, "rows": rows, "step": step, "position_after": after}) + "\n")
        if self._in_a_row >= self._limit:
            good = self._last_checkpoint()
            raise TrainingDivergedError(
                f"training stopped: {self._in_a_row} batches in a row were skipped ({reason}); "
                f"last good checkpoint: {good if good is not None else 'none'}"
            )
