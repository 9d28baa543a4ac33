from __future__ import annotations

import re
import socket

import pytest

from mindspore_rec.stream.addresses import listening_host
from mindspore_rec.stream.channel import ChannelError, DataSender
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
