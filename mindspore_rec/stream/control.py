"""What the two ends of a channel say to each other besides data: the bodies of START and STARTED, and refusals."""

from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Dict, List, Mapping, Optional, Tuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mindspore_rec.config import ConfigError
from mindspore_rec.stream.frame import FrameError
from mindspore_rec.stream.position import RowPosition

PING_SECONDS = 0.5
"""Silence after which a receiver pings, and the pause before it tries again to start."""

Counter = Field(0, ge=0, lt=2**63)


class ChannelError(ConfigError):
    """A channel that cannot work as its two ends are set up."""


class Body(BaseModel):
    """Base of both: checked field by field."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=False)


class Start(Body):
    """A receiver asks for its shard from given positions on.

    Attributes:
        receiver: random number of the receiver object: tells its own new start from another receiver's.
        num_shards: 0 where the receiver was not told.
        topic: topic of the positions, empty for a first start.
        topic_id: the broker's id of that topic; empty where it is not known.
        positions: (offset, row) to continue at, for each partition known. Others were added since, and begin with
            their first row.
        running: whether the stream has begun: it goes on with the partitions of its positions.
        rule: where a first start begins: ``earliest``, ``latest`` or an ISO time.
        credits: frames a partition may have in flight.
        held: frames, of these, that the receiver already has.
        ended: partitions whose end the receiver has heard; nothing more is wanted of them.
    """

    namespace: str = Field(max_length=1000)
    dataset_name: str = Field(max_length=1000)
    shard: int = Counter
    num_shards: int = Counter
    receiver: int = Field(ge=0, lt=2**64)
    topic: str = Field("", max_length=1000)
    topic_id: str = Field("", max_length=1000)
    running: bool = False
    positions: Dict[int, Tuple[int, int]] = Field(default_factory=dict)
    rule: str = Field("earliest", max_length=100)
    credits: int = Field(ge=1, le=1_000_000)
    held: Dict[int, int] = Field(default_factory=dict)
    ended: List[int] = Field(default_factory=list)


class Lane(Body):
    """A partition as the sender begins it: first row (offset, row), and the offset after its newest message."""

    begin: Tuple[int, int]
    high: int = Counter


class Started(Body):
    """A sender's answer: what it serves of the shard, and how.

    Attributes:
        topic: topic, or the data set's name where objects are sent.
        topic_id: the broker's id of the topic; empty where it has none.
        lanes: the shard's partitions that this consumer serves.
        window_size: rows of each partition taken in turn.
        spec_digest: digest of the feature spec; empty where there is none.
        spec_json: the feature spec.
        num_consumers: consumers that share the topic.
    """

    topic: str = Field(max_length=1000)
    topic_id: str = Field("", max_length=1000)
    lanes: Dict[int, Lane]
    window_size: int = Field(1, ge=1, le=1_000_000)
    spec_digest: str = Field("", max_length=1000)
    spec_json: str = ""
    num_consumers: int = Field(1, ge=1)


@dataclass(frozen=True)
class Stream:
    """What the senders of a shard serve together.

    Attributes:
        topic, topic_id: its topic, and the broker's id of it.
        begin: for each partition of the shard, ascending, its first row.
        window_size: rows of each partition taken in turn.
        spec_digest: digest of the feature spec; empty where there is none.
        spec_json: the feature spec; empty where there is none.
    """

    topic: str
    begin: Mapping[int, RowPosition]
    window_size: int
    spec_digest: str
    spec_json: str
    topic_id: str = ""


def start_time(rule: str) -> Optional[int]:
    """The time a start rule names, in milliseconds since 1970; None for ``earliest`` and ``latest``.

    Raises:
        ConfigError: anything else that is no ISO time. A time without a zone is UTC.

    Examples:
        >>> start_time("1970-01-01T00:00:02+00:00"), start_time("1970-01-02"), start_time("latest")
        (2000, 86400000, None)
    """
    if rule in ("earliest", "latest"):
        return None
    try:
        moment = datetime.fromisoformat(rule[:-1] + "+00:00" if rule.endswith("Z") else rule)
    except ValueError:
        raise ConfigError(f"start: {rule!r}, expected earliest, latest or an ISO time") from None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)
    return int(moment.timestamp() * 1000)


def read_start(body: Dict[str, Any]) -> Start:
    """The body of a START. Raises FrameError where it is none."""
    try:
        return Start.model_validate(body)
    except ValidationError as error:
        raise FrameError(f"START: {_first(error)}") from None


def read_started(body: Dict[str, Any]) -> Started:
    """The body of a STARTED. Raises FrameError where it is none."""
    try:
        return Started.model_validate(body)
    except ValidationError as error:
        raise FrameError(f"STARTED: {_first(error)}") from None


def check_same_stream(name: str, known: Started, answer: Started) -> None:
    """Raise ChannelError where a sender's answer does not fit what is known of the stream."""
    if answer.topic != known.topic:
        raise ChannelError(f"topic: the consumer at {name} reads {answer.topic!r}, expected {known.topic!r}")
    if answer.topic_id != known.topic_id:
        raise ChannelError(f"topic: {answer.topic!r} at {name} is another one than before, deleted and created anew")
    if answer.spec_digest != known.spec_digest:
        raise ChannelError(
            f"features: the consumer at {name} has feature spec {answer.spec_digest}, expected {known.spec_digest}; "
            "ids of two specs do not mix"
        )
    if answer.window_size != known.window_size:
        raise ChannelError(
            f"window_size: the consumer at {name} has {answer.window_size}, expected {known.window_size}"
        )


def check_same_partitions(name: str, known: Started, answer: Started) -> None:
    """Raise ChannelError where a sender that was restarted serves other partitions than before."""
    if known.lanes.keys() != answer.lanes.keys():
        raise ChannelError(
            f"partitions: the consumer at {name} now serves {sorted(answer.lanes)} of topic {answer.topic}, "
            f"before {sorted(known.lanes)}; restart this program to read them all"
        )


def _first(error: ValidationError) -> str:
    entry = error.errors(include_input=False)[0]
    return f"{'.'.join(str(part) for part in entry['loc'])}: {entry['msg']}"
