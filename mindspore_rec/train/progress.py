"""How far training has come: the counters a checkpoint holds."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Dict, Mapping, Optional

from mindspore_rec.stream.position import StreamPosition


@dataclass
class TrainingProgress:
    """Counters of one training run, over all its restarts.

    Attributes:
        step: updates made.
        rows_trained: rows that were part of an update.
        rows_rejected: rows the feature engineering refused, up to the position.
        rows_skipped: rows of batches that were not finite.
        event_time: of the newest row seen, in milliseconds since 1970; -1 where no time is known.
        position: where the stream continues; None before the first batch and for data sets without positions.
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

    def advance(self, rows: int, info: Any) -> None:
        """Count a batch of `rows` rows that was trained; `info` is its BatchInfo, or None."""
        self.step += 1
        self.rows_trained += rows
        self._move(info)

    def skip(self, rows: int, info: Any) -> None:
        """Count a batch of `rows` rows that was left out."""
        self.rows_skipped += rows
        self._move(info)

    def finish(self, info: Any) -> None:
        """Count the rejects after the last batch of a stream that ended."""
        self._move(info)

    def _move(self, info: Any) -> None:
        if info is not None:
            self.rows_rejected += info.rejected
            self.position = info.position
            self.event_time = max(self.event_time, getattr(info, "event_time_max", -1))

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
