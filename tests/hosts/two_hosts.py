"""Two hosts of a test's own: network namespaces, joined by a cable that can be cut."""

from __future__ import annotations

import os
import shutil
import subprocess
import uuid
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Iterator, List, Optional, Sequence

CABLE = "cable"
"""The interface at each end."""


@dataclass(frozen=True)
class Host:
    """A namespace and its address at the cable."""

    name: str
    address: str

    def command(self, command: Sequence[str]) -> List[str]:
        """The command line that runs a program on this host, as the same process."""
        return ["ip", "netns", "exec", self.name, *command]


@dataclass(frozen=True)
class TwoHosts:
    """Both of them; each has a loopback of its own and reaches nothing but the other."""

    a: Host
    b: Host

    def cut(self) -> None:
        """Pull the cable: neither end has a carrier, no connection is told."""
        _ip("-n", self.a.name, "link", "set", CABLE, "down")

    def mend(self) -> None:
        """Plug it in again."""
        _ip("-n", self.a.name, "link", "set", CABLE, "up")


def reason_without() -> Optional[str]:
    """Why two hosts cannot be made here; None where they can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    if shutil.which("ip") is None:
        return "network namespaces need the command ip (iproute2)"
    try:
        with two_hosts():
            return None
    except OSError as error:
        return f"network namespaces: {error}"


@contextmanager
def two_hosts() -> Iterator[TwoHosts]:
    """Two hosts, gone with the block whatever happens in it; end what runs on them first.

    Raises:
        OSError: the system does not let them be made; the message is what ``ip`` said.
    """
    mark = uuid.uuid4().hex[:8]
    hosts = TwoHosts(Host(f"msrec-{mark}-a", "10.77.0.1"), Host(f"msrec-{mark}-b", "10.77.0.2"))
    made: List[Host] = []
    try:
        for host in (hosts.a, hosts.b):
            _ip("netns", "add", host.name)
            made.append(host)
        ends = ("type", "veth", "peer", "name", CABLE, "netns", hosts.b.name)
        _ip("link", "add", "name", CABLE, "netns", hosts.a.name, *ends)
        for host in made:
            _ip("-n", host.name, "address", "add", f"{host.address}/24", "dev", CABLE)
            for interface in ("lo", CABLE):
                _ip("-n", host.name, "link", "set", interface, "up")
        yield hosts
    finally:
        for host in made:
            _ip("netns", "delete", host.name)


def _ip(*arguments: str) -> None:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, timeout=30, check=False)
    if done.returncode:
        raise OSError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")
