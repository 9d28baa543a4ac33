"""Brokers, consumers and ranks on two hosts whose cable is cut in mid-run: every row is trained exactly once."""

from __future__ import annotations

import json
import re
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Set, Tuple

import numpy as np
import pytest

from mindspore_rec.checkpoint.store import CheckpointStore
from mindspore_rec.data.synthetic import SyntheticStream
from mindspore_rec.stream.apache_kafka import CACHE, KafkaBroker, fetch_jars
from mindspore_rec.stream.channel_keys import make_keys
from tests.examples.programs import EXAMPLES, SMALL_MODEL
from tests.hosts.two_hosts import Host, TwoHosts, reason_without, two_hosts
from tests.launch.launched import Launched

pytestmark = [pytest.mark.slow, pytest.mark.kafka]

ROWS = 60_000
BAD = [17, 20_001, 59_998]
BROKER_PORT = 9092
CUT_SECONDS = 8.0
LOST_SECONDS = 20.0  # longer than the heartbeats of the channel wait
DEADLINE = 200.0


class Stream:
    """A topic on host A that was filled, and what is started to train on it."""

    def __init__(self, hosts: TwoHosts, topic: str, folder: Path, stack: ExitStack) -> None:
        self.hosts = hosts
        self.checkpoints = folder / "checkpoints"
        self._folder = folder
        self._stack = stack
        self._kafka = ["--bootstrap_servers", f"{hosts.a.address}:{BROKER_PORT}", "--topic", topic]
        make_keys(folder / "keys", ["trainer"])

    def start(self, name: str, host: Host, *command: str) -> Launched:
        """A program on a host; ended with the test."""
        folder = self._folder / name
        folder.mkdir()
        return self._stack.enter_context(Launched(host.command(command), folder))

    def fill(self) -> None:
        """Have the producer on host A send all rows, a few of them damaged."""
        lines = SyntheticStream(3).lines(0, ROWS).splitlines()
        for row in BAD:
            lines[row] = lines[row].replace(b"\t", b" ", 1)
        data = self._folder / "rows.tsv"
        data.write_bytes(b"\n".join(lines) + b"\n")
        arguments = ["--data_file", str(data), "--partitions", "2", "--block_rows", "200", *self._kafka]
        producer = self.start("producer", self.hosts.a, sys.executable, str(EXAMPLES / "producer.py"), *arguments)
        assert producer.process.wait(DEADLINE) == 0, producer.errors()

    def consume(self, host: Host, shards: int = 2) -> Launched:
        """The consumer, which listens on its host's address."""
        channel = ["--num_shards", str(shards), "--address", host.address, "--bind", host.address]
        ends = ["--until_end", "--dead_letter_file", str(self._folder / "letters.jsonl")]
        own = [*self._kafka, *channel, *ends, "--channel_keys", str(self._folder / "keys" / "consumer")]
        return self.start("consumer", host, sys.executable, str(EXAMPLES / "consumer.py"), *own)

    def dead_letters(self) -> Set[Tuple[int, int, int]]:
        """Partition, offset and row of each row that was rejected; a letter may come twice."""
        letters = [json.loads(line) for line in (self._folder / "letters.jsonl").read_text("utf-8").splitlines()]
        return {(letter["partition"], letter["offset"], letter["row"]) for letter in letters}

    def train(self, consumer: Host, *launcher: str) -> List[Launched]:
        """Rank 0 on host A and rank 1 on host B, each under a launcher there."""
        script = str(EXAMPLES / "run_dist_online_train.sh")
        ranks = []
        for rank, host in enumerate((self.hosts.a, self.hosts.b)):
            here = ["--first_rank", str(rank), "--local_ranks", "1", "--log_dir", "log", *launcher]
            places = ["2", self.hosts.a.address, "8118", host.address]
            ranks.append(self.start(f"rank-{rank}", host, "bash", script, *places, *here, *self._program(consumer)))
        return ranks

    def train_alone(self, consumer: Host, host: Host) -> Launched:
        """A trainer without other ranks."""
        return self.start("alone", host, sys.executable, str(EXAMPLES / "online_train.py"), *self._program(consumer))

    def _program(self, consumer: Host) -> List[str]:
        model = [*SMALL_MODEL, "--max_wait", "0", "--audit_rows", "true", "--address", consumer.address]
        saved = ["--checkpoint_path", str(self.checkpoints), "--checkpoint_steps", "10", "--delta_seconds", "0"]
        return [*model, *saved, "--channel_keys", str(self._folder / "keys" / "trainer")]


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwoHosts]:
    """Two hosts with Apache Kafka on the first."""
    reason = reason_without() or KafkaBroker.available()
    if reason is not None:
        pytest.skip(reason)
    fetch_jars(CACHE / "kafka")  # from here on nothing but the other host can be reached
    folder = tmp_path_factory.mktemp("kafka")
    with two_hosts() as made:
        where = ["--bind", made.a.address, "--port", str(BROKER_PORT), "--folder", str(folder / "broker")]
        command = made.a.command([sys.executable, "-m", "mindspore_rec.stream.brokers", "kafka", *where])
        with Launched(command, folder) as broker:
            until(lambda: "ready at" in broker.output(), broker)
            yield made


@pytest.fixture
def stream(hosts: TwoHosts, topic: str, tmp_path: Path) -> Iterator[Stream]:
    with ExitStack() as stack:
        stack.callback(hosts.mend)
        found = Stream(hosts, topic, tmp_path, stack)
        found.fill()
        yield found


def until(condition: Callable[[], bool], *programs: Launched) -> None:
    """Wait for a condition, as long as these programs run."""
    deadline = time.monotonic() + DEADLINE
    while not condition():
        words = [program.output()[-3000:] + program.errors()[-3000:] for program in programs]
        assert time.monotonic() < deadline, words
        assert not any(program.ended() for program in programs), words
        time.sleep(0.05)  # a poll with a deadline


def rows_trained(rank: Launched) -> int:
    """As of the newest progress line."""
    found = re.findall(r" rows ([\d,]+) \|", rank.output() + rank.errors())
    return int(found[-1].replace(",", "")) if found else 0


def words_of(launched: Launched) -> str:
    """The last ones of a launcher, its ranks and its scheduler."""
    logs = sorted((launched.folder / "log").glob("*.log"))
    return "\n".join([launched.errors()[-3000:], *(f"{log}:\n{log.read_text('utf-8')[-3000:]}" for log in logs)])


def end_of(ranks: List[Launched]) -> Dict[str, Any]:
    """Wait for them; the summary of the first."""
    end = time.monotonic() + 2 * DEADLINE  # ranks that miss each other once meet a minute later
    while any(rank.process.poll() is None for rank in ranks) and time.monotonic() < end:
        time.sleep(0.05)  # a poll with a deadline
    statuses = [rank.process.poll() for rank in ranks]
    assert statuses == [0] * len(ranks), "\n".join(words_of(rank) for rank in ranks)
    assert not any(rank.left() for rank in ranks)
    summary: Dict[str, Any] = json.loads([line for line in ranks[0].output().splitlines() if line[:1] == "{"][-1])
    return summary


def check_rows(stream: Stream, summary: Dict[str, Any]) -> None:
    """Each row once, but for the damaged ones."""
    assert summary["rows_trained"] == ROWS - len(BAD)
    assert len(stream.dead_letters()) == summary["rows_rejected"] == len(BAD)
    state = CheckpointStore(stream.checkpoints).newest()
    assert state is not None and state.meta["progress"]["rows_trained"] == ROWS - len(BAD)
    expected = np.ones(ROWS, np.uint8)
    expected[BAD] = 0
    assert np.flatnonzero(state.groups["audit"]["counts"] != expected).tolist() == []


def test_a_short_cut_is_outlasted(stream: Stream) -> None:
    consumer = stream.consume(stream.hosts.a)
    ranks = stream.train(stream.hosts.a)
    until(lambda: rows_trained(ranks[0]) >= 5000, consumer, *ranks)
    stream.hosts.cut()
    time.sleep(CUT_SECONDS)  # how long it lasts is what is tested
    still = rows_trained(ranks[0])
    stream.hosts.mend()
    assert still < ROWS // 2, "the cut came too late to stop anything"
    summary = end_of(ranks)
    assert consumer.process.wait(DEADLINE) == 0, consumer.errors()
    assert "starting all ranks again" not in ranks[0].errors() + ranks[1].errors()
    check_rows(stream, summary)


def test_a_trainer_without_other_ranks_waits_for_its_consumer(stream: Stream) -> None:
    """The broker and the trainer are on host A, the consumer on host B."""
    consumer = stream.consume(stream.hosts.b, shards=1)
    trainer = stream.train_alone(stream.hosts.b, stream.hosts.a)
    until(lambda: rows_trained(trainer) >= 5000, consumer, trainer)
    stream.hosts.cut()
    time.sleep(LOST_SECONDS)  # the connection is given up meanwhile, and made anew afterwards
    still = rows_trained(trainer)
    stream.hosts.mend()
    assert still < ROWS // 2, "the cut came too late to stop anything"
    summary = end_of([trainer])
    assert consumer.process.wait(DEADLINE) == 0, consumer.errors()
    check_rows(stream, summary)


def test_a_long_cut_ends_the_ranks_and_they_go_on_from_the_checkpoint(stream: Stream) -> None:
    """The broker and rank 0 are on host A, the consumer and rank 1 on host B."""
    consumer = stream.consume(stream.hosts.b)
    ranks = stream.train(stream.hosts.b, "--restarts", "3")
    until(lambda: rows_trained(ranks[0]) >= 5000, consumer, *ranks)
    stream.hosts.cut()
    until(lambda: "starting all ranks again" in ranks[0].errors(), consumer, *ranks)
    still = rows_trained(ranks[0])
    stream.hosts.mend()
    assert still < ROWS // 2, "the cut came too late to stop anything"
    summary = end_of(ranks)
    assert consumer.process.wait(DEADLINE) == 0, consumer.errors()
    assert "rank 1 ended with status 1; starting all ranks again" in ranks[1].errors()
    check_rows(stream, summary)


def test_without_restarts_a_long_cut_ends_both_launchers(stream: Stream) -> None:
    consumer = stream.consume(stream.hosts.a)
    ranks = stream.train(stream.hosts.a)
    until(lambda: rows_trained(ranks[0]) >= 5000, consumer, *ranks)
    stream.hosts.cut()
    assert [rank.process.wait(DEADLINE) for rank in ranks] == [1, 1]
    assert "worker 1 is the first one timed out" in ranks[0].errors()
    assert "error: rank 1 ended with status 1" in ranks[1].errors()
    assert [rank.left() for rank in ranks] == [[], []]
