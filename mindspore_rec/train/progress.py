"""How far training has come: the counters a checkpoint holds."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Dict, Mapping, Optional

from mindspore_rec.distributed.rounds import Seen
from mindspore_rec.stream.position import StreamPosition


@dataclass
class TrainingProgress:
    """Counters of one training run, over all its restarts and ranks.

    Attributes:
        step: updates made.
        rows_trained: rows that were part of an update.
        rows_rejected: rows the feature engineering refused, up to the position.
        rows_skipped: rows of batches that were not finite.
        event_time: of the newest row seen, in milliseconds since 1970; -1 where no time is known.
        position: where this rank's stream continues; None before the first batch and for data sets without positions.
    """

    step: int = 0
    rows_trained: int = 0
    rows_rejected: int = 0
    rows_skipped: int = 0
    event_time: int = -1
    position: Optional[StreamPosition] = None

    @property
    def rows_seen(self) -> int:
        """Rows that left the stream, whatever became of them."""
        return self.rows_trained + self.rows_rejected + self.rows_skipped

    def advance(self, rows: int, seen: Seen, info: Any) -> None:
        """Count a batch that was trained.

        Args:
            rows: of all ranks.
            seen: by all ranks.
            info: BatchInfo of this rank, or None.
        """
        self.step += 1
        self.rows_trained += rows
        self._move(seen, info)

    def skip(self, rows: int, seen: Seen, info: Any) -> None:
        """Count a batch that was left out."""
        self.rows_skipped += rows
        self._move(seen, info)

    def finish(self, seen: Seen, info: Any) -> None:
        """Count what came after the last batch of a stream that ended."""
        self._move(seen, info)

    def _move(self, seen: Seen, info: Any) -> None:
        self.rows_rejected += seen.rejected
        self.event_time = max(self.event_time, seen.event_time)
        if info is not None:
            self.position = info.position

    def to_json(self) -> Dict[str, Any]:
        """Return the counters as a JSON-able mapping."""
        position = json.loads(self.position.to_json()) if self.position is not None else None
        return {**vars(self), "position": position}

    def load_json(self, fields: Mapping[str, Any]) -> None:
        """Take over what `to_json` returned.

        Raises:
            ValueError: a field is missing or not a whole number.
        """
        for name in ("step", "rows_trained", "rows_rejected", "rows_skipped"):
            if type(fields.get(name)) is not int:
                raise ValueError(f"progress lacks {name}")
            setattr(self, name, fields[name])
        self.event_time = int(fields.get("event_time", -1))
        self.position = StreamPosition.from_json(fields["position"]) if fields.get("position") else None
