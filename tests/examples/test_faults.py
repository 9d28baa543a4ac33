"""What the user of the three programs sees when a topic is damaged: docs/faults.md."""

from __future__ import annotations

import json
import signal

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewPartitions

from mindspore_rec.config import KafkaConfig
from mindspore_rec.stream.kafka import topic_partitions
from tests.examples.programs import running_programs

pytestmark = [pytest.mark.kafka, pytest.mark.slow]
ROWS = 6000


@pytest.fixture
def programs(broker, topic, tmp_path):
    with running_programs(broker.bootstrap_servers, topic, tmp_path) as running:
        yield running


@pytest.fixture
def admin(broker):
    return AdminClient({"bootstrap.servers": broker.bootstrap_servers, "log_level": 0})


def error_line(program):
    """The one line a refused program ends with."""
    assert program.end() in (1, 2)
    errors = [line for line in program.log.splitlines() if line.startswith("error:")]
    assert len(errors) == 1, program.log
    assert "Traceback" not in program.log
    return errors[0]


def delete(admin, broker, topic):
    admin.delete_topics([topic])[topic].result()
    config = KafkaConfig(bootstrap_servers=broker.bootstrap_servers, topic=topic)
    while topic_partitions(config):
        pass


def trained(programs):
    """A checkpoint after all rows."""
    assert programs.producer("--limit", str(ROWS)).end() == 0
    consumer = programs.consumer()
    assert programs.trainer("--max_rows", str(ROWS)).end() == 0
    assert consumer.end(signal.SIGTERM) == 0


def test_a_topic_with_fewer_rows_than_the_saved_position_is_refused(programs, admin, broker, topic):
    trained(programs)
    delete(admin, broker, topic)
    assert programs.producer("--limit", "2000").end() == 0
    consumer, trainer = programs.consumer(), programs.trainer()
    line = error_line(trainer)
    assert line == error_line(consumer)
    assert f"topic '{topic}' was deleted and created anew" in line


def test_positions_removed_while_the_trainer_runs_end_both_and_the_checkpoint_stays(programs, admin, topic):
    little = json.dumps({"queued.max.messages.kbytes": 300, "fetch.message.max.bytes": 300_000})
    assert programs.producer("--limit", "120000", "--partitions", "1").end() == 0
    consumer = programs.consumer("--kafka", little)
    trainer = programs.trainer("--max_queue_size", "1", "--report_seconds", "0.01")
    trainer.wait_for(r"rows [1-9],")
    for future in admin.delete_records([TopicPartition(topic, 0, 119)]).values():
        future.result()
    line = error_line(trainer)
    assert line == error_line(consumer)
    assert f"topic '{topic}' partition 0: offset" in line and "older messages were removed" in line
    assert "checkpoint " in trainer.log


def test_partitions_added_are_told_and_join_at_the_next_start(programs, admin, topic):
    assert programs.producer("--limit", str(ROWS), "--partitions", "1").end() == 0
    consumer, trainer = programs.consumer(), programs.trainer("--report_seconds", "0.01")
    trainer.wait_for(r"rows [1-9],")
    admin.create_partitions([NewPartitions(topic, 2)])[topic].result()
    consumer.wait_for(rf"topic {topic}: partition 1 added; read once the trainer starts again")
    consumer.end(signal.SIGKILL)
    again = programs.consumer()
    again.wait_for(rf"topic {topic}: partition 1 added; read once the trainer starts again")
    assert trainer.process.poll() is None
    assert trainer.end(signal.SIGTERM) == 0
    second = programs.trainer()
    again.wait_for(r"shard 0 starts: partition 0 at \d+, 1 at 0")
    assert second.end(signal.SIGTERM) == 0
