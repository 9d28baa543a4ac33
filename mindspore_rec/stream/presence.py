"""Whether the broker is there, told once each time that changes."""

from __future__ import annotations

import logging

logger = logging.getLogger(__name__)


class BrokerPresence:
    """One log line when a broker that was there goes away, and one when it is back; the client goes on trying.

    Args:
        servers: the broker's addresses, for the lines.
    """

    def __init__(self, servers: str) -> None:
        self._servers = servers
        self._seen = False
        self._away = False

    def answered(self) -> None:
        """The broker has answered."""
        if self._away:
            logger.warning("Kafka broker %s answers again", self._servers)
        self._seen, self._away = True, False

    def silent(self) -> None:
        """The broker does not answer. Nothing is said of one that never did: its user gets an error."""
        if self._seen and not self._away:
            self._away = True
            logger.warning("Kafka broker %s is away, trying again", self._servers)
