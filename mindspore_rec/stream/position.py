"""Where a stream stands: the one thing a trainer saves to continue without losing or doubling a row.

A message may hold many rows and be split over two batches, so a place in a partition is an offset and a row within
that message. Several partitions interleave; whose turn it is and how much of its window is taken belong to the
position as well, so a restart makes the same further batches.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Mapping, NamedTuple, Optional, Sequence, Set, Union


class RowPosition(NamedTuple):
    """The next row of a partition: message ``offset``, ``row`` within it (0 for a message not begun)."""

    offset: int
    row: int


@dataclass(frozen=True)
class StreamPosition:
    """The place right after some row of a stream.

    Attributes:
        topic: topic of the stream.
        next: for each partition, the first row not passed yet.
        turn: partition whose window is being taken.
        window_rows: rows of that window already passed, taken or rejected.
        rows_taken: rows delivered since the stream began.
        rows_rejected: rejected rows passed since the stream began.
        topic_id: the broker's id of the topic, which one created anew does not have; empty where it has none.

    Examples:
        >>> position = StreamPosition("clicks", {0: RowPosition(7, 3)}, turn=0, window_rows=3, rows_taken=7003)
        >>> StreamPosition.from_json(position.to_json()) == position
        True
    """

    topic: str
    next: Mapping[int, RowPosition]
    turn: int
    window_rows: int = 0
    rows_taken: int = 0
    rows_rejected: int = 0
    topic_id: str = ""

    @property
    def rows(self) -> int:
        """Rows passed since the stream began, taken or rejected."""
        return self.rows_taken + self.rows_rejected

    def to_json(self) -> str:
        """The position as a JSON object; equal positions give equal text."""
        fields = {
            "topic": self.topic,
            "next": {str(partition): list(self.next[partition]) for partition in sorted(self.next)},
            "turn": self.turn,
            "window_rows": self.window_rows,
            "rows_taken": self.rows_taken,
            "rows_rejected": self.rows_rejected,
            "topic_id": self.topic_id,
        }
        return json.dumps(fields)

    @classmethod
    def from_json(cls, source: Union[str, bytes, Mapping[str, Any]]) -> StreamPosition:
        """The position that ``to_json`` wrote, as text or already parsed.

        Raises:
            ValueError: where it is not such an object.
        """
        fields = source if isinstance(source, Mapping) else _object(source)
        try:
            topic, topic_id = fields["topic"], fields.get("topic_id", "")
            if not isinstance(topic, str) or not isinstance(topic_id, str):
                raise TypeError("topic or topic_id is not a string")
            following = {
                int(partition): RowPosition(_count(offset), _count(row))
                for partition, (offset, row) in fields["next"].items()
            }
            counts = {name: _count(fields[name]) for name in ("turn", "window_rows", "rows_taken", "rows_rejected")}
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ValueError(f"not a stream position: {type(error).__name__}: {error}") from None
        return cls(topic, following, topic_id=topic_id, **counts)


def shard_position(saved: Sequence[StreamPosition], shard: int, num_shards: int) -> Optional[StreamPosition]:
    """The position of a shard, from those of all shards of any number of them.

    Where that number is another, each partition goes on where it was, and the windows of partitions begin anew.

    Args:
        saved: by shard.
        shard: whose position is wanted; it has the partitions p with p % num_shards == shard.

    Returns:
        None where nothing is known of its partitions.

    >>> one = StreamPosition("clicks", {0: RowPosition(7, 0), 1: RowPosition(9, 2)}, turn=1, rows_taken=50)
    >>> shard_position([one], 1, 2)
    StreamPosition(topic='clicks', next={1: RowPosition(offset=9, row=2)}, turn=1, window_rows=0, rows_taken=0, \
rows_rejected=0, topic_id='')
    """
    if len(saved) == num_shards and set(saved[shard].next) == _served(saved, shard, num_shards):
        return saved[shard]
    following = {partition: place for position in saved for partition, place in position.next.items()}
    own = {partition: following[partition] for partition in sorted(_served(saved, shard, num_shards))}
    if not own:
        return None
    # What was counted stays counted once.
    taken = sum(position.rows_taken for position in saved) if shard == 0 else 0
    rejected = sum(position.rows_rejected for position in saved) if shard == 0 else 0
    return StreamPosition(saved[0].topic, own, min(own), 0, taken, rejected, saved[0].topic_id)


def _served(saved: Sequence[StreamPosition], shard: int, num_shards: int) -> Set[int]:
    return {partition for position in saved for partition in position.next if partition % num_shards == shard}


def _object(text: Union[str, bytes]) -> Mapping[str, Any]:
    try:
        fields = json.loads(text)
    except ValueError as error:
        raise ValueError(f"not a stream position: {error}") from None
    if not isinstance(fields, dict):
        raise ValueError(f"not a stream position: expected a JSON object, got {type(fields).__name__}")
    return fields


def _count(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise ValueError(f"expected a whole number of at least 0, got {value!r}")
    return value
