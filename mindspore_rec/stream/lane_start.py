"""Where the partitions of a shard begin, as its trainer asks for it."""

from __future__ import annotations

from typing import Sequence, Tuple

from mindspore_rec.stream.control import ChannelError, Start, start_time
from mindspore_rec.stream.kafka import Source
from mindspore_rec.stream.position import RowPosition


def check_positions(start: Start, topic: str, mine: Sequence[int]) -> None:
    """Raise ``ChannelError`` where a trainer's positions are not of ``topic`` and the partitions served to it."""
    if start.topic not in ("", topic):
        raise ChannelError(f"topic: the trainer's position is in {start.topic!r}, expected {topic!r}")
    others = sorted(set(start.positions) - set(mine))
    if others:
        raise ChannelError(
            f"positions: partition {others[0]} is not among those of this shard and consumer {list(mine)}; "
            "were num_shards, num_consumers or the topic changed?"
        )


def first_row(source: Source, partition: int, start: Start) -> Tuple[RowPosition, int]:
    """The first row of a partition to send, and the offset after its newest message.

    A trainer's position comes first. A partition that a saved position does not know was added since and begins with
    its first row, or rows would be lost. The rule is for a first start.
    """
    low, high = source.watermarks(partition)
    moment = start_time(start.rule)
    if partition in start.positions:
        begin = RowPosition(*start.positions[partition])
    elif start.topic:
        begin = RowPosition(low, 0)
    elif moment is not None:
        begin = RowPosition(source.offset_at_time(partition, moment), 0)
    else:
        begin = RowPosition(low if start.rule == "earliest" else high, 0)
    return begin, high
