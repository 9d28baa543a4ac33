"""A broker as a child process: started, awaited, stopped."""

from __future__ import annotations

import contextlib
import ctypes
import ipaddress
import logging
import signal
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import List, Optional, Type, TypeVar

from mindspore_rec.config import UserError

logger = logging.getLogger(__name__)

HOST = "127.0.0.1"
START_SECONDS = 60.0
STOP_SECONDS = 30.0

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)
_Self = TypeVar("_Self", bound="Broker")


class BrokerFailed(UserError):  # noqa: N818 - named by what went wrong
    """The broker's program is not there, or it ended or did not answer while starting."""


class Broker:
    """One broker process. Use it as a context manager, or ``start`` and ``stop`` it; it may be started again.

    It ends with the thread that started it, were that one killed. Ctrl-C in a terminal reaches the caller alone.

    Args:
        folder: where its data (where it keeps any) and logs go.
        port: its port; 0: a free one, chosen at the first start and kept.
        bind: address of this machine that it listens on, and that clients connect to.

    Attributes:
        name: the broker's name, for people.
        keeps_data: whether topics survive a restart.
    """

    name = ""
    keeps_data = False

    def __init__(self, folder: Path, port: int = 9092, bind: str = HOST) -> None:
        self.folder = Path(folder).absolute()
        self.port = port
        self.bind = bind
        self._process: Optional[subprocess.Popen[bytes]] = None

    @staticmethod
    def available() -> Optional[str]:
        """None where this broker can be started here, else the reason why not."""
        raise NotImplementedError

    def command(self) -> List[str]:
        """The program and its arguments; whatever it needs is prepared."""
        raise NotImplementedError

    @property
    def bootstrap_servers(self) -> str:
        """Where clients connect."""
        return f"{self.bind}:{self.port}"

    @property
    def log_file(self) -> Path:
        """What the process prints."""
        return self.folder / "output.log"

    @property
    def pid(self) -> int:
        """Process id of the running broker. Raises ``BrokerFailed`` when it does not run."""
        if self._process is None:
            raise BrokerFailed(f"{self.name} is not running")
        return self._process.pid

    def start(self) -> None:
        """Start the process and wait until it lists its topics.

        Raises ``BrokerFailed`` where it cannot be started here, the port is taken, or it ends or stays silent.
        """
        if self._process is not None:
            raise BrokerFailed(f"{self.name} is running already at {self.bootstrap_servers}")
        reason = self.available()
        if reason is not None:
            raise BrokerFailed(f"{self.name} cannot be started: {reason}")
        _check_own(self.bind)
        self.port = self.port or free_port(self.bind)
        if not _port_is_free(self.bind, self.port):
            raise BrokerFailed(f"port {self.port} is taken: choose another one with --port, or stop what runs there")
        self.folder.mkdir(parents=True, exist_ok=True)
        command = self.command()
        with open(self.log_file, "ab") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                start_new_session=True,
                preexec_fn=_end_with_parent,
            )
        try:
            self._wait_until_ready(self._process)
        except BaseException:
            self.kill()
            raise

    def stop(self) -> None:
        """Stop it cleanly with SIGTERM and wait; SIGKILL after half a minute. Nothing happens if it does not run."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            logger.warning("%s did not stop within %g s and is killed", self.name, STOP_SECONDS)
            process.kill()
            process.wait()

    def kill(self) -> None:
        """End it with SIGKILL, as a crash would. Nothing happens if it does not run."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()

    def wait(self, timeout: float) -> Optional[int]:
        """Exit status of the process if it ends within ``timeout`` seconds by itself, else None."""
        if self._process is None:
            return None
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self._process.wait(timeout)
        return None

    def __enter__(self: _Self) -> _Self:
        self.start()
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self.stop()

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> None:
        from confluent_kafka import KafkaException
        from confluent_kafka.admin import AdminClient

        client = AdminClient({"bootstrap.servers": self.bootstrap_servers, "log_level": 0})
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if process.poll() is not None:
                raise BrokerFailed(f"{self.name} ended with status {process.returncode} while starting; {self._tail()}")
            with contextlib.suppress(KafkaException):
                client.list_topics(timeout=0.5)
                return
        raise BrokerFailed(f"{self.name} did not answer within {START_SECONDS:g} s; {self._tail()}")

    def _tail(self) -> str:
        lines = self.log_file.read_text("utf-8", "replace").split("\n")
        last = [line.strip() for line in lines if line.strip()][-1:]
        return f"its log {self.log_file} ends with: {last[0][:300]}" if last else f"its log {self.log_file} is empty"


def free_port(host: str = HOST) -> int:
    """A port on an address of this machine that nothing listens on just now."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def _port_is_free(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def _check_own(host: str) -> None:
    """Raise ``BrokerFailed`` unless clients can be told to connect to this IPv4 address of this machine."""
    with contextlib.suppress(ValueError, OSError):
        if not ipaddress.IPv4Address(host).is_unspecified:
            free_port(host)
            return
    raise BrokerFailed(f"bind = {host}: expected an IPv4 address of this machine that clients can connect to")


def _end_with_parent() -> None:
    """Have the kernel send SIGTERM to this process when its parent ends."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
