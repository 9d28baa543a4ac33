from __future__ import annotations

import base64
import json
import time
from pathlib import Path
from typing import List

import pytest

from mindspore_rec.config import ConfigError, KafkaConfig
from mindspore_rec.stream.brokers import Broker
from mindspore_rec.stream.dead_letter import MAX_RAW_BYTES, MAX_REASON, open_dead_letters
from mindspore_rec.stream.kafka import open_source
from mindspore_rec.stream.messages import Message


def lines(path: Path) -> List[dict]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_a_file_holds_one_json_object_a_row(tmp_path: Path) -> None:
    path = tmp_path / "new" / "rejects.jsonl"
    with open_dead_letters(KafkaConfig(), str(path)) as letters:
        letters.put("criteo", 1, 20, 3, "39 columns instead of 40", "1\t语\n".encode())
        letters.put("criteo", 0, 0, 0, "bad UTF-8", b"\xff\x00\n")
        assert letters.count == 2
    first, second = lines(path)
    assert first == {
        "key": "criteo/1/20/3",
        "topic": "criteo",
        "partition": 1,
        "offset": 20,
        "row": 3,
        "reason": "39 columns instead of 40",
        "raw": "1\t语\n",
    }
    assert base64.b64decode(second["raw_base64"]) == b"\xff\x00\n" and "raw" not in second


def test_flush_makes_rows_visible_and_reopening_appends(tmp_path: Path) -> None:
    path = tmp_path / "rejects.jsonl"
    letters = open_dead_letters(KafkaConfig(), str(path))
    letters.put("t", 0, 0, 0, "a", b"1")
    letters.flush()
    assert len(lines(path)) == 1
    letters.close()
    with open_dead_letters(KafkaConfig(), str(path)) as again:
        again.put("t", 0, 0, 0, "a", b"1")
        assert again.count == 1
    assert [line["key"] for line in lines(path)] == ["t/0/0/0"] * 2


def test_a_huge_row_is_cut(tmp_path: Path) -> None:
    path = tmp_path / "rejects.jsonl"
    with open_dead_letters(KafkaConfig(), str(path)) as letters:
        letters.put("t", 0, 0, 0, "x" * 10_000, b"y" * (MAX_RAW_BYTES + 1))
    (line,) = lines(path)
    assert line["raw"] == "y" * MAX_RAW_BYTES and line["raw_bytes"] == MAX_RAW_BYTES + 1
    assert len(line["reason"]) == MAX_REASON


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"^dead_letter_file: cannot write .*rejects\.jsonl: File exists"):
        open_dead_letters(KafkaConfig(), str(tmp_path / "file" / "rejects.jsonl"))


def test_a_topic_name_that_leaves_no_room() -> None:
    with pytest.raises(ConfigError, match=r"^topic: .* too long"):
        open_dead_letters(KafkaConfig(topic="t" * 249))


@pytest.mark.kafka
@pytest.mark.parametrize("client", ["confluent", "kafka-python"])
def test_a_topic_holds_the_raw_row_and_the_rest_in_headers(broker: Broker, topic: str, client: str) -> None:
    config = KafkaConfig(bootstrap_servers=broker.bootstrap_servers, topic=topic, kafka_client=client)
    with open_dead_letters(config) as letters:
        letters.put(topic, 1, 20, 3, "label 语 is not 0 or 1", b"\xff\x00")
        letters.put(topic, 1, 20, 4, "empty", b"")
    source = open_source(config, f"{topic}.dlq")
    source.assign({0: 0})
    messages: List[Message] = []
    deadline = time.monotonic() + 60
    while len(messages) < 2 and time.monotonic() < deadline:
        messages += source.poll(10, 0.2)
    source.close()
    assert [message.value for message in messages] == [b"\xff\x00", b""]
    assert messages[0].headers == {
        "topic": topic.encode(),
        "partition": b"1",
        "offset": b"20",
        "row": b"3",
        "reason": "label 语 is not 0 or 1".encode(),
    }
