"""Where a channel's ends are: names to IPs, and what a sender may listen on."""

from __future__ import annotations

import ipaddress
import socket
from typing import List, Optional, Union

from mindspore_rec.stream.control import ChannelError


def resolve(address: str, key: str = "address") -> str:
    """An address as ZeroMQ writes it: an IP, in brackets where it has colons.

    Args:
        address: host name or IP.
        key: the key it was given with.

    Raises:
        ChannelError: the name is unknown.

    >>> resolve("127.0.0.1"), resolve("::1")
    ('127.0.0.1', '[::1]')
    """
    try:
        found = socket.getaddrinfo(address, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise ChannelError(f"{key}: cannot resolve {address!r}: {error}") from None
    hosts: List[str] = sorted((str(entry[4][0]) for entry in found), key=lambda host: ":" in host)
    return f"[{hosts[0]}]" if _ip(hosts[0]).version == 6 else hosts[0]


def listening_host(address: str, bind: Optional[str]) -> str:
    """What a sender listens on, as ZeroMQ writes it: beyond this machine only where that was said.

    Args:
        address: where receivers look for the sender; listened on where it is a loopback one.
        bind: what to listen on instead: an address of this machine, or 0.0.0.0 or :: for all of them.

    Raises:
        ChannelError: a name that is unknown, or an address beyond loopback without ``bind``.

    >>> listening_host("127.0.0.1", None), listening_host("192.0.2.7", "0.0.0.0")
    ('127.0.0.1', '0.0.0.0')
    """
    if bind is not None:
        return resolve(bind, "bind")
    host = resolve(address)
    if not _ip(host.strip("[]")).is_loopback:
        raise ChannelError(
            f"address: {address!r}, expected a loopback address or --bind {address}, "
            "as other machines could reach the channel there"
        )
    return host


def _ip(host: str) -> Union[ipaddress.IPv4Address, ipaddress.IPv6Address]:
    return ipaddress.ip_address(host.split("%")[0])
