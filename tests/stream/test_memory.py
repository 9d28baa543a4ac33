"""Backpressure: a trainer that does not keep up stops the fetching, and the consumer's memory stays flat."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from mindspore_rec.config import ConsumerConfig
from mindspore_rec.data.synthetic import SyntheticStream
from mindspore_rec.stream.brokers import Broker
from mindspore_rec.stream.channel import DataReceiver
from mindspore_rec.stream.kafka import create_topic, open_sink
from mindspore_rec.stream.messages import encode_block
from tests.stream.fault_topics import DEADLINE
from tests.stream.free_ports import free_ports

pytestmark = [pytest.mark.kafka, pytest.mark.slow]
PROGRAM = Path(__file__).resolve().parents[2] / "examples" / "online_learning" / "consumer.py"
BLOCKS = 1600
MIB = 1 << 20


def fill(config: ConsumerConfig, blocks: int) -> int:
    """Blocks of a thousand synthetic rows, half of them in each of two partitions; returns their bytes."""
    create_topic(config, None, 2)
    sink = open_sink(config)
    stream = SyntheticStream(5)
    lines = [stream.lines(1000 * number, 1000) for number in range(10)]
    size = 0
    for number in range(blocks):
        value, headers = encode_block(lines[number % 10], 1000 * number, np.full(1000, 10**12))
        sink.send(value, partition=number % 2, headers=headers)
        size += len(value)
    sink.flush(DEADLINE)
    sink.close()
    return size


def peak(pid: int) -> int:
    """The most memory a process has ever had resident, in bytes."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1]) << 10


def settled(receiver: DataReceiver, pid: int) -> int:
    """The process's memory once it has not grown by a MiB over many polls."""
    process, seen, quiet = psutil.Process(pid), 0, 0
    end = time.monotonic() + DEADLINE
    while quiet < 40:
        assert time.monotonic() < end, "memory grows on and on"
        receiver.poll(0.05)
        time.sleep(0.02)  # frames that came would end the poll at once
        now = process.memory_info().rss
        quiet = quiet + 1 if now < seen + MIB else 0
        seen = max(seen, now)
    return seen


@pytest.mark.parametrize("client", ["confluent", "kafka-python"])
def test_memory_stays_flat_however_long_the_backlog_is(broker: Broker, topic: str, client: str, tmp_path: Path) -> None:
    servers = broker.bootstrap_servers
    config = ConsumerConfig(bootstrap_servers=servers, topic=topic, kafka_client=client, port=free_ports(1))
    backlog = fill(config, BLOCKS)
    assert backlog > 350 * MIB
    keys = {"bootstrap_servers": servers, "topic": topic, "kafka_client": client, "port": config.port}
    letters = tmp_path / "letters"
    arguments = [f"--{key}={value}" for key, value in {**keys, "dead_letter_file": letters}.items()]
    with (tmp_path / "log").open("wb") as log:
        consumer = subprocess.Popen([sys.executable, str(PROGRAM), *arguments], stderr=log)
    receiver = DataReceiver("127.0.0.1", "default", 0, "criteo", port=config.port, max_queue_size=2)
    try:
        while not receiver.stream:
            assert consumer.poll() is None
            receiver.poll(0.1)
        held = settled(receiver, consumer.pid)
        # Taken bit by bit, and never as fast as the consumer could go.
        rows, end = 0, time.monotonic() + 2 * DEADLINE
        receiver.credit(0, 2)
        receiver.credit(1, 2)
        while rows < 1000 * (BLOCKS - 4):
            assert time.monotonic() < end and consumer.poll() is None
            for frame in receiver.poll(0.1):
                rows += frame.rows
                receiver.credit(frame.positions.partition)
        most = peak(consumer.pid)
    finally:
        receiver.close()
        consumer.kill()
        consumer.wait()
    assert held < 360 * MIB, f"of a backlog of {backlog >> 20} MiB the process holds {held >> 20} MiB, itself included"
    assert most < held + 60 * MIB
