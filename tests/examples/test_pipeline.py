"""The whole pipeline over a real broker, with real processes."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from mindspore_rec.checkpoint.store import CheckpointStore
from mindspore_rec.data.synthetic import SyntheticStream
from tests.examples.programs import Program, running_programs

ROWS = 12_000


@pytest.fixture
def programs(broker, topic, tmp_path):
    with running_programs(broker.bootstrap_servers, topic, tmp_path) as running:
        yield running


def state(programs):
    checkpoint = CheckpointStore(programs.checkpoints).newest()
    assert checkpoint is not None
    return checkpoint


@pytest.mark.parametrize("message_format", ["block", "tsv", "json"])
def test_started_in_any_order_every_row_is_trained(programs, message_format):
    trainer = programs.trainer("--max_rows", str(ROWS))
    consumer = programs.consumer()
    producer = programs.producer("--limit", str(ROWS), "--format", message_format)
    assert producer.end() == 0
    assert trainer.end() == 0
    assert consumer.end(signal.SIGTERM) == 0
    assert producer.summary()["rows_produced"] == ROWS
    summary = trainer.summary()
    assert (summary["rows_trained"], summary["rows_rejected"], summary["rows_skipped"]) == (ROWS, 0, 0)
    assert summary["last_window_source_rows"] == [0, ROWS - 1]
    assert state(programs).meta["progress"]["rows_trained"] == ROWS


def test_kafka_python_and_several_consumers(programs):
    trainer = programs.trainer("--max_rows", str(ROWS), "--num_consumers", "2")
    client = ["--kafka_client", "kafka-python"]
    consumers = [programs.consumer("--num_consumers", "2", "--consumer_index", str(k), *client) for k in range(2)]
    programs.producer("--limit", str(ROWS), "--partitions", "4", *client)
    assert trainer.end() == 0
    assert [consumer.end(signal.SIGINT) for consumer in consumers] == [0, 0]
    assert trainer.summary()["rows_trained"] == ROWS


def test_bad_rows_are_counted_and_kept_and_the_stream_goes_on(programs, tmp_path):
    lines = SyntheticStream(3).lines(0, 3000).splitlines()
    lines[7] = lines[7].replace(b"\t", b" ", 1)
    lines[1500] = b"2" + lines[1500][1:]
    lines[2999] = lines[2999][:-1] + b"\xff"
    data = tmp_path / "day.tsv"
    data.write_bytes(b"\n".join(lines) + b"\n")
    letters = tmp_path / "letters.jsonl"
    programs.producer("--data_file", str(data))
    consumer = programs.consumer("--dead_letter_file", str(letters))
    trainer = programs.trainer("--max_rows", "3000")
    assert trainer.end() == 0
    assert consumer.end(signal.SIGTERM) == 0
    summary = trainer.summary()
    assert (summary["rows_trained"], summary["rows_rejected"]) == (2997, 3)
    assert len(letters.read_text().splitlines()) == 3


@pytest.mark.slow
def test_stopping_and_starting_again_trains_each_row_once(programs):
    """The trainer is stopped, the consumer killed, both start again: the same state as without it."""
    programs.producer("--limit", str(ROWS)).end()
    whole = programs.trainer("--max_rows", str(ROWS), "--checkpoint_path", str(programs.folder / "whole"))
    consumer = programs.consumer()
    assert whole.end() == 0

    first = programs.trainer("--report_seconds", "0.01", "--max_rows", str(ROWS))
    first.wait_for(r"rows [1-9],")
    consumer.end(signal.SIGKILL)
    programs.consumer()
    first.wait_for(r"rows [45],")
    assert first.end(signal.SIGINT) == 0
    stopped_at = first.summary()["rows_trained"]
    assert 0 < stopped_at < ROWS
    second = programs.trainer("--max_rows", str(ROWS))
    assert second.end() == 0
    assert "continuing from" in second.log

    ends = CheckpointStore(programs.folder / "whole").newest(), state(programs)
    assert ends[0].meta["progress"] == ends[1].meta["progress"]
    for group, arrays in ends[0].groups.items():
        for name, array in arrays.items():
            assert array.tobytes() == ends[1].groups[group][name].tobytes(), (group, name)


def test_a_waiting_trainer_stops_at_once_and_cleanly(programs):
    trainer = programs.trainer()
    trainer.wait_for("starting new")
    trainer.wait_for("no device queue")
    assert trainer.end(signal.SIGTERM, deadline=20) == 0


@pytest.mark.parametrize("program", ["producer", "consumer"])
@pytest.mark.parametrize("client", ["confluent", "kafka-python"])
def test_an_unreachable_broker_is_one_line_that_says_how_to_start_one(tmp_path: Path, program, client):
    started = Program(
        program,
        ["--bootstrap_servers", "127.0.0.1:1", "--kafka_client", client, "--broker_timeout", "2", "--port", "46999"]
        if program == "consumer"
        else ["--bootstrap_servers", "127.0.0.1:1", "--kafka_client", client, "--broker_timeout", "2", "--limit", "9"],
        tmp_path,
    )
    assert started.end(deadline=30) in (1, 2)
    errors = [line for line in started.log.splitlines() if line.startswith("error:")]
    assert len(errors) == 1
    assert "scripts/start_kafka.sh" in errors[0]
    assert "Traceback" not in started.log


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--batch_size", "0"], "batch_size"),
        (["--batchsize", "9"], "did you mean '--batch_size'"),
        (["--config", "nowhere.yaml"], "nowhere.yaml"),
        (["--resume", "nowhere"], "nowhere"),
        (["--device_target", "GPU"], "GPU"),
    ],
)
def test_a_users_mistake_is_one_line(tmp_path, arguments, expected):
    trainer = Program("online_train", [*arguments, "--checkpoint_path", str(tmp_path / "c")], tmp_path)
    assert trainer.end(deadline=60) in (1, 2)
    errors = [line for line in trainer.log.splitlines() if line.startswith("error:")]
    assert len(errors) == 1
    assert expected in errors[0]
    assert "Traceback" not in trainer.log
