"""Where rows go that cannot be used: a topic or a file, with the place they came from and the reason.

Each letter's key is ``topic/partition/offset/row``. A row that is read again after a restart is written again under the
same key: at least once. Whoever hands positions on calls ``flush`` first.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path
from types import TracebackType
from typing import Any, Dict, Optional, Protocol, Type, TypeVar

from mindspore_rec.config import ConfigError, KafkaConfig
from mindspore_rec.stream.kafka import Sink, create_topic, open_sink

MAX_RAW_BYTES = 256 << 10
"""Bytes of a bad row that are kept: a broker takes messages of 1 MiB unless told otherwise."""
MAX_REASON = 500
"""Characters of a reason that are kept."""

MAX_TOPIC = 249
"""Characters of a topic's name."""

_Self = TypeVar("_Self", bound="DeadLetters")


class DeadLetters:
    """Takes rows that were rejected. ``count`` is how many since it was opened."""

    def __init__(self, backend: _Backend) -> None:
        self._backend = backend
        self.count = 0

    def put(self, topic: str, partition: int, offset: int, row: int, reason: str, raw: bytes) -> None:
        """Add one row.

        Args:
            topic, partition, offset, row: where it was read; row is counted from 0 within the message.
            reason: what was wrong, for people.
            raw: the row as it came; what exceeds ``MAX_RAW_BYTES`` is cut off.
        """
        place = {"topic": topic, "partition": partition, "offset": offset, "row": row}
        facts: Dict[str, Any] = {**place, "reason": reason[:MAX_REASON]}
        if len(raw) > MAX_RAW_BYTES:
            facts["raw_bytes"] = len(raw)
        self._backend.write(f"{topic}/{partition}/{offset}/{row}", facts, raw[:MAX_RAW_BYTES])
        self.count += 1

    def flush(self, timeout: float = 60.0) -> None:
        """Wait until every row added is out of this process. Raises ``DeliveryFailed`` or OSError where it fails."""
        self._backend.flush(timeout)

    def close(self) -> None:
        """Flush and close."""
        try:
            self.flush()
        finally:
            self._backend.close()

    def __enter__(self: _Self) -> _Self:
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self.close()


def open_dead_letters(config: KafkaConfig, file: Optional[str] = None) -> DeadLetters:
    """Dead letters into ``file``, appended, or without one into the topic ``<topic>.dlq``, created if need be.

    Raises ConfigError for a file that cannot be written or a name too long, and the errors of ``open_sink``.
    """
    if file is not None:
        try:
            return DeadLetters(_FileBackend(Path(file)))
        except OSError as error:
            raise ConfigError(f"dead_letter_file: cannot write {file}: {error.strerror}") from None
    topic = f"{config.topic}.dlq"
    if len(topic) > MAX_TOPIC:
        raise ConfigError(f"topic: {config.topic} is too long to add .dlq to it; set dead_letter_file")
    create_topic(config, topic, 1)
    return DeadLetters(_TopicBackend(open_sink(config, topic)))


class _Backend(Protocol):
    def write(self, key: str, facts: Dict[str, Any], raw: bytes) -> None: ...

    def flush(self, timeout: float) -> None: ...

    def close(self) -> None: ...


class _FileBackend:
    """One JSON object a line; ``raw`` is text, or ``raw_base64`` where the bytes are no UTF-8."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = open(path, "ab")  # noqa: SIM115 - close closes it

    def write(self, key: str, facts: Dict[str, Any], raw: bytes) -> None:
        try:
            text = {"raw": raw.decode("utf-8")}
        except UnicodeDecodeError:
            text = {"raw_base64": base64.b64encode(raw).decode("ascii")}
        self._file.write(json.dumps({"key": key, **facts, **text}).encode("ascii") + b"\n")

    def flush(self, timeout: float) -> None:
        self._file.flush()

    def close(self) -> None:
        self._file.close()


class _TopicBackend:
    """One message a row: its bytes as the value, the rest in headers."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    def write(self, key: str, facts: Dict[str, Any], raw: bytes) -> None:
        headers = {name: str(value).encode("utf-8", "replace") for name, value in facts.items()}
        self._sink.send(raw, key=key.encode("utf-8"), headers=headers)

    def flush(self, timeout: float) -> None:
        self._sink.flush(timeout)

    def close(self) -> None:
        self._sink.close()
