from __future__ import annotations

from typing import List, Tuple

import pytest

from mindspore_rec.config import ConfigError, KafkaConfig
from mindspore_rec.stream.continuity import Continuity
from mindspore_rec.stream.kafka import OffsetOutOfRange, merge_settings, refuse_unknown
from mindspore_rec.stream.messages import Message


def messages(*offsets: int, partition: int = 0) -> List[Message]:
    return [Message(partition, offset, -1, {}, b"") for offset in offsets]


def test_a_gap_is_legal_while_the_log_still_holds_the_offset() -> None:
    asked: List[int] = []

    def watermarks(partition: int) -> Tuple[int, int]:
        asked.append(partition)
        return 3, 100

    continuity = Continuity("t", watermarks)
    continuity.restart({0: 3, 1: 50})
    continuity.check(messages(3, 4) + messages(50, 51, partition=1))
    assert not asked, "the broker is asked about gaps only"
    continuity.check(messages(7, 8))
    assert asked == [0] and continuity.position(0) == 9 and continuity.position(1) == 52


def test_a_jump_over_removed_messages_is_refused() -> None:
    continuity = Continuity("t", lambda partition: (60, 100))
    continuity.restart({0: 10})
    for _ in range(2):
        with pytest.raises(OffsetOutOfRange, match="'t' partition 0: offset 10 is not in the log, which holds 60 to"):
            continuity.check(messages(60))


def test_an_offset_beyond_the_end_says_that_the_broker_lost_it() -> None:
    assert "the broker lost newer ones" in str(OffsetOutOfRange("t", 0, 9, 0, 5))
    assert "older messages were removed" in str(OffsetOutOfRange("t", 0, 9, 10, 15))


def test_the_users_settings_stand_over_the_defaults_and_under_the_fixed_ones() -> None:
    config = KafkaConfig(kafka={"a": 1, "c": 3})
    assert merge_settings(config, {"a": 0, "b": 0}, {"c": 3, "d": 4}) == {"a": 1, "b": 0, "c": 3, "d": 4}
    with pytest.raises(ConfigError, match="'a' is set by this program to 2"):
        merge_settings(config, {}, {"a": 2})


def test_an_unknown_setting_names_the_nearest() -> None:
    refuse_unknown(["linger_ms"], ["linger_ms", "acks"])
    with pytest.raises(ConfigError, match=r"no setting 'linger.ms'; did you mean 'linger_ms'\?"):
        refuse_unknown(["acks", "linger.ms"], ["linger_ms", "acks"])
    with pytest.raises(ConfigError, match=r"no setting 'zzz'$"):
        refuse_unknown(["zzz"], ["linger_ms"])
