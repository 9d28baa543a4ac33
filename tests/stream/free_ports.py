"""Ports for sockets of tests."""

from __future__ import annotations

import contextlib
import socket


def free_ports(count: int) -> int:
    """The first of ``count`` consecutive ports of the loopback interface that nobody uses."""
    while True:
        with contextlib.ExitStack() as stack:
            first = stack.enter_context(socket.socket())
            first.bind(("127.0.0.1", 0))
            port = int(first.getsockname()[1])
            try:
                for number in range(port + 1, port + count):
                    stack.enter_context(socket.socket()).bind(("127.0.0.1", number))
            except OSError:
                continue
            return port
