"""Brokers for the tests: Apache Kafka where Java and Maven are, else Tansu; the summary says which."""

from __future__ import annotations

import itertools
from typing import Iterator, List

import pytest

from mindspore_rec.stream.brokers import Broker, BrokerFailed, KafkaBroker, TansuBroker, preferred

_used: List[str] = []
_names = itertools.count()


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """The broker of this run, on a port of its own. It may be stopped, killed and started; leave it running."""
    try:
        chosen = preferred()
    except BrokerFailed as error:
        pytest.skip(str(error))
    with chosen(tmp_path_factory.mktemp("broker"), port=0) as running:
        why = "" if isinstance(running, KafkaBroker) else f" (no Apache Kafka: {KafkaBroker.available()})"
        _used.append(f"{running.name}{why}")
        yield running


@pytest.fixture(scope="session")
def tansu(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A Tansu broker, whatever else there is."""
    reason = TansuBroker.available()
    if reason is not None:
        pytest.skip(reason)
    with TansuBroker(tmp_path_factory.mktemp("tansu"), port=0) as running:
        yield running


@pytest.fixture
def topic() -> str:
    """The name of a topic that does not exist yet."""
    return f"topic-{next(_names)}"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for line in _used:
        terminalreporter.write_line(f"integration tests ran against {line}")
