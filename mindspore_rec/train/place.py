"""A process of a job: which rank it is, and what it does there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Sequence

from mindspore_rec.distributed.exchange import Alone, Exchange


@dataclass(frozen=True)
class Place:
    """A process among those of a job.

    Attributes:
        exchange: between the ranks.
        servers: the last so many ranks hold tables and read no data; 0: every rank holds a share.
        staleness: as of `RecModel`.
    """

    exchange: Exchange
    servers: int = 0
    staleness: int = 0

    @property
    def owners(self) -> Sequence[int]:
        """Ranks that hold tables."""
        size = self.exchange.size
        return range(size - self.servers, size) if self.servers else range(size)

    @property
    def workers(self) -> int:
        """Ranks that read data; the first so many."""
        return self.exchange.size - self.servers

    @property
    def reads(self) -> bool:
        """Whether this one does."""
        return self.exchange.rank < self.workers


ALONE = Place(Alone())
