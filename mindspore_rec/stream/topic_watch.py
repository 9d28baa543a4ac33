"""What happens to a topic while it is read: partitions are added, it grows, it is deleted or created anew."""

from __future__ import annotations

import logging
import time
from typing import Dict, Iterable, List, Mapping

from mindspore_rec.stream.kafka import BrokerUnreachable, Source, TopicMissing, TopicRecreated, TopicState
from mindspore_rec.stream.lane import PartitionLane

_log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
"""Pause between two looks at the topic, each with a question for the end of one partition."""
AWAY_SECONDS = 10.0
"""The longest this pause grows to while the broker does not answer."""
LOOK_TIMEOUT = 2.0
"""How long a look waits for the broker: nothing is sent to trainers meanwhile."""
MISSING_LOOKS = 3
"""Looks in a row that must miss the topic: a broker that starts may not know it at first."""


class TopicWatch:
    """Looks at the topic once a second.

    Args:
        topic: its name.
        source: it.

    Attributes:
        topic_id: the broker's id of the topic; empty where it has none.
        partitions: as of the last look.

    Raises:
        TopicMissing, BrokerUnreachable: as ``Source.describe``.
    """

    def __init__(self, topic: str, source: Source) -> None:
        self._topic = topic
        self._source = source
        self.topic_id, self.partitions = source.describe()
        self._told: List[int] = []
        self._missing = 0
        self._pause = LOOK_SECONDS
        self._due = time.monotonic() + LOOK_SECONDS

    def refresh(self, expected_id: str) -> None:
        """Look at the topic now, for a trainer whose positions are of topic ``expected_id``; empty: of any.

        Raises:
            TopicRecreated: it is another topic of the same name.
            TopicMissing, BrokerUnreachable: as ``Source.describe``.
        """
        self._take(self._source.describe(), expected_id)

    def look(self, lanes: Dict[int, PartitionLane]) -> Dict[int, PartitionLane]:
        """Look at the topic where that is due, and renew the end of the lane looked at longest ago.

        Returns:
            The lanes, that one last.

        Raises:
            TopicRecreated: it is another topic of the same name.
            TopicMissing: it was deleted.
        """
        if not lanes or time.monotonic() < self._due:
            return lanes
        partition = next(iter(lanes))
        try:
            self._take(self._source.describe(LOOK_TIMEOUT), self.topic_id)
            lane = lanes[partition]
            lane.high = max(lane.next.offset, self._source.watermarks(partition)[1])
            self._pause, self._missing = LOOK_SECONDS, 0
        except BrokerUnreachable as error:
            self._pause = min(2 * self._pause, AWAY_SECONDS)
            _log.debug("%s", error)
        except TopicMissing:
            self._missing += 1
            if self._missing == MISSING_LOOKS:
                raise
        self._due = time.monotonic() + self._pause
        return {**{other: lane for other, lane in lanes.items() if other != partition}, partition: lanes[partition]}

    def tell_unread(self, partitions: Iterable[int], lanes: Mapping[int, PartitionLane]) -> None:
        """Log which of ``partitions`` have no lane, as they were added while a trainer ran; once each."""
        unread = [partition for partition in partitions if partition not in lanes and partition not in self._told]
        if unread:
            self._told += unread
            _log.warning(
                "topic %s: partition %s added; read once the trainer starts again from its next checkpoint",
                self._topic,
                ", ".join(map(str, unread)),
            )

    def _take(self, state: TopicState, expected_id: str) -> None:
        if expected_id and state.topic_id and state.topic_id != expected_id:
            raise TopicRecreated(self._topic, expected_id, state.topic_id)
        self.topic_id, self.partitions = state
