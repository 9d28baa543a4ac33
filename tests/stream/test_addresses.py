from __future__ import annotations

import re
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from mindspore_rec.config import ConsumerConfig
from mindspore_rec.stream.addresses import listening_host
from mindspore_rec.stream.channel import ChannelError, DataSender
from mindspore_rec.stream.consumer import Consumer
from tests.source_tree import REPOSITORY
from tests.stream.free_ports import free_ports

ELSEWHERE = "192.0.2.7"  # of the range for documents, which nobody has


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.2", "localhost", "::1"])
def test_loopback_is_listened_on_without_a_word(address: str) -> None:
    assert listening_host(address, None).strip("[]") in ("127.0.0.1", "127.0.0.2", "::1")


@pytest.mark.parametrize("address", [ELSEWHERE, "0.0.0.0", "::", "2001:db8::1"])  # noqa: S104 - it is refused
def test_anything_else_takes_bind(address: str) -> None:
    expected = f"address: '{address}', expected a loopback address or --bind {address}"
    with pytest.raises(ChannelError, match=re.escape(expected)):
        listening_host(address, None)
    assert listening_host("127.0.0.1", address).strip("[]") == address


def test_bind_names_the_key_it_does_not_know() -> None:
    with pytest.raises(ChannelError, match="bind: cannot resolve 'no such host'"):
        listening_host("127.0.0.1", "no such host")


def test_an_address_of_another_machine_cannot_be_bound() -> None:
    with pytest.raises(ChannelError, match=rf"cannot listen on {ELSEWHERE}:\d+: .*expected an address of this machine"):
        DataSender("127.0.0.1", "ns", 1, "clicks", port=free_ports(1), bind=ELSEWHERE)


def test_a_sender_listens_where_it_was_told_and_nowhere_else() -> None:
    port = free_ports(1)
    sender = DataSender(ELSEWHERE, "ns", 1, "clicks", port=port, bind="127.0.0.3")
    socket.create_connection(("127.0.0.3", port), 5).close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), 5)
    sender.close()


def test_a_consumer_beyond_loopback_stops_before_any_work(tmp_path: Path) -> None:
    """Before it asks for a broker, which is not there."""
    nowhere = {"bootstrap_servers": "127.0.0.1:1", "address": ELSEWHERE, "port": free_ports(1)}
    for keys, words in (
        ({}, f"address: '{ELSEWHERE}', expected a loopback address or --bind"),
        ({"bind": ELSEWHERE}, f"cannot listen on {ELSEWHERE}"),
        ({"bind": "127.0.0.1", "channel_keys": str(tmp_path)}, "channel_keys: .*, expected server.key_secret in it"),
    ):
        with pytest.raises(ChannelError, match=words):
            Consumer(ConsumerConfig(**nowhere, **keys)).run(threading.Event())


def test_the_program_says_so_in_one_line() -> None:
    command = [sys.executable, str(REPOSITORY / "examples" / "online_learning" / "consumer.py"), "--address", ELSEWHERE]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines() == [
        f"error: address: '{ELSEWHERE}', expected a loopback address or --bind {ELSEWHERE}, "
        "as other machines could reach the channel there"
    ]
