"""Days of the tables of a stream: they end at midnight (UTC) of the event time."""

from __future__ import annotations

import logging
from typing import Sequence

from mindspore_rec.embedding.lookup import HashEmbeddingLookup

logger = logging.getLogger(__name__)

DAY_SECONDS = 86_400
_MOST_DAYS = 1000


def end_days(lookups: Sequence[HashEmbeddingLookup], seconds: float) -> None:
    """End the days between the last batch of each table and a batch at `seconds` since 1970.

    Tables that keep no statistics have no days. Late rows do not bring a day back.
    """
    for lookup in lookups:
        table = lookup.table
        if table.last_seconds > 0:
            days = int(seconds // DAY_SECONDS) - int(table.last_seconds // DAY_SECONDS)
            for _ in range(min(days, _MOST_DAYS)):
                evicted = table.shrink()
                table.end_day()
                if evicted:
                    logger.info("table %r: end of day, %d ids evicted, %d left", lookup.table_name, evicted, len(table))
