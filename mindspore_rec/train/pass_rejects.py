"""Rows of parts that are none, kept where people look for them."""

from __future__ import annotations

from pathlib import Path
from typing import Optional

from mindspore_rec.config import KafkaConfig
from mindspore_rec.stream.dead_letter import DeadLetters, open_dead_letters


class PassRejects:
    """Dead letters of a run, opened with the first: at least once each, as a pass may be read again.

    Args:
        file: gets a JSON line a row: the path of its file as the topic, and its number.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._letters: Optional[DeadLetters] = None

    def put(self, path: str, row: int, reason: str, raw: bytes) -> None:
        """Add one row."""
        if self._letters is None:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            self._letters = open_dead_letters(KafkaConfig(), str(self._file))
        self._letters.put(path, 0, 0, row, reason, raw)

    def flush(self) -> None:
        """Write what was added."""
        if self._letters is not None:
            self._letters.flush()
