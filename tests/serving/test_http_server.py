"""The server as a process: its socket, slow clients, and how it stops."""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Iterator, List, Tuple

import httpx
import pytest

from mindspore_rec.serve_config import ServeConfig
from mindspore_rec.serving.http_server import ListenError, listen, url_of
from tests.serving.array_predictor import LARGE
from tests.source_tree import REPOSITORY

PREDICT = "/v1/models/criteo:predict"
HOLD = {"instances": ["hold"]}
DEADLINE = 60.0
ANY = "0.0.0.0"  # noqa: S104  what is warned of


class Server:
    """The server of `array_predictor.py` as a process."""

    def __init__(self, folder: Path, **keys: Any) -> None:
        given = [str(part) for key, value in {"port": 0, **keys}.items() for part in (key, value)]
        self.folder = folder
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.serving.array_predictor", str(folder), *given],
            cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self.process.stdout is not None
        self.version, self.url = self.process.stdout.readline().split()
        host, _, port = self.url[len("http://") :].rpartition(":")
        self.address = (host, int(port))

    def connection(self) -> socket.socket:
        return socket.create_connection(self.address, DEADLINE)

    def hold(self) -> socket.socket:
        """A request that is computed until `go`."""
        connection = self.connection()
        connection.sendall(request_of(json.dumps(HOLD).encode()))
        while not (self.folder / "holding").exists():
            time.sleep(0.005)
        return connection

    def go(self) -> None:
        (self.folder / "go").touch()

    def stopped(self, number: int = signal.SIGTERM) -> Tuple[int, str]:
        """Exit status and stderr after a signal."""
        self.process.send_signal(number)
        return self.ended()

    def ended(self) -> Tuple[int, str]:
        _, err = self.process.communicate(timeout=DEADLINE)
        return self.process.returncode, err


def request_of(body: bytes, *headers: str) -> bytes:
    lines = (f"POST {PREDICT} HTTP/1.1", "Host: localhost", f"Content-Length: {len(body)}", *headers, "", "")
    return "\r\n".join(lines).encode() + body


def all_of(connection: socket.socket) -> bytes:
    """What a server sends until it closes the connection, or resets it."""
    received = b""
    while True:
        try:
            chunk = connection.recv(1 << 16)
        except ConnectionResetError:
            return received
        if not chunk:
            return received
        received += chunk


def until(condition: Any) -> None:
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[Any]:
    """Starts servers, and kills those that were not stopped."""
    started: List[Server] = []

    def start(**keys: Any) -> Server:
        started.append(Server(tmp_path, **keys))
        return started[-1]

    yield start
    for server in started:
        if server.process.poll() is None:
            server.process.kill()
            server.process.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_an_idle_server(servers: Any, number: int) -> None:
    server = servers()
    with httpx.Client(base_url=server.url) as client:  # with a connection that is kept
        answer = client.post(PREDICT, json={"instances": ["0\t0\t0"]})
        assert answer.json()["predictions"] == [[pytest.approx(1, abs=1e-4)]]
        assert server.version == answer.headers["X-Model-Version"] == "12"
        assert "server" not in answer.headers
        assert server.stopped(number) == (0, "")


def test_what_is_there_is_answered_before_the_end(servers: Any) -> None:
    server = servers(drain_seconds=60)
    running = server.hold()
    queued = server.connection()
    queued.sendall(request_of(b'{"instances": ["1\\t2\\t3", "4\\t5\\t6"]}'))
    partial = server.connection()  # its body ends after the signal
    whole = request_of(b'{"instances": ["7\\t8\\t9"]}')
    partial.sendall(whole[:-5])
    until(lambda: httpx.get(f"{server.url}/v1/status").json()["waiting_rows"] == 2)
    server.process.send_signal(signal.SIGTERM)
    until(lambda: httpx.get(f"{server.url}/readyz").status_code == 503)
    refused = httpx.post(f"{server.url}{PREDICT}", json={"instances": ["1\t2\t3"]})
    assert (refused.status_code, refused.json()) == (503, {"error": "the server is stopping"})
    assert refused.headers["connection"] == "close"
    assert httpx.get(f"{server.url}/healthz").status_code == 200
    partial.sendall(whole[-5:])
    server.go()
    for connection in (running, queued, partial):
        assert all_of(connection).startswith(b"HTTP/1.1 200 OK\r\n")
    assert server.ended() == (0, "")
    with pytest.raises(ConnectionRefusedError):
        server.connection()


def test_what_takes_too_long_is_given_up_with_an_answer(servers: Any) -> None:
    server = servers(drain_seconds=0.2)
    running = server.hold()
    server.process.send_signal(signal.SIGTERM)
    answer = all_of(running)
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert answer.endswith(b'{"error":"the server is stopping"}')
    assert server.ended()[0] == 0  # though the computing thread never returns


def test_a_second_signal_ends_at_once(servers: Any) -> None:
    server = servers(drain_seconds=3600, request_seconds=3600)
    running = server.hold()
    server.process.send_signal(signal.SIGTERM)
    until(lambda: httpx.get(f"{server.url}/readyz").status_code == 503)
    assert server.stopped(signal.SIGINT)[0] == 0
    assert b" 200 " not in all_of(running)


@pytest.fixture(scope="module")
def impatient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that waits 0.2 s for clients."""
    server = Server(tmp_path_factory.mktemp("impatient"), read_seconds=0.2)
    yield server
    assert server.stopped() == (0, "")


@pytest.mark.parametrize("sent", [b"", b"POST ", b"POST / HTTP/1.1\r\nHost: x\r\n"])
def test_heads_that_do_not_arrive_are_not_waited_for(impatient: Server, sent: bytes) -> None:
    connection = impatient.connection()
    connection.sendall(sent)
    assert all_of(connection) == b""


def test_a_trickle_does_not_buy_time(impatient: Server) -> None:
    """On a connection that is kept, where a head comes byte by byte."""
    connection = impatient.connection()
    connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
    assert connection.recv(1 << 16).startswith(b"HTTP/1.1 200")
    connection.settimeout(0.01)
    ended = False
    while not ended:
        try:
            connection.sendall(b"G")
            ended = connection.recv(1) == b""
        except socket.timeout:
            continue
        except OSError:  # reset, or a broken pipe
            ended = True


def test_bodies_that_do_not_arrive_are_not_waited_for(impatient: Server) -> None:
    connection = impatient.connection()
    connection.sendall(request_of(b'{"instances": ["1\\t2\\t3"]}')[:-1])
    answer = all_of(connection)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert answer.endswith(b'{"error":"the body did not arrive within 0.2 s"}')


def test_a_body_that_says_it_is_too_large_is_not_read(impatient: Server) -> None:
    connection = impatient.connection()
    connection.sendall(request_of(b"{").replace(b"Length: 1", b"Length: 100000000"))
    assert all_of(connection).endswith(b'{"error":"the body is larger than 4194304 bytes"}')


def test_answers_that_are_not_taken_are_not_waited_for(impatient: Server) -> None:
    connection = impatient.connection()
    connection.sendall(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
    received = len(connection.recv(1 << 10))
    until(lambda: _connections(impatient) == 0)
    assert 0 < received + len(all_of(connection)) < LARGE


def test_what_is_no_http_is_refused(impatient: Server) -> None:
    connection = impatient.connection()
    connection.sendall(b"\x16\x03\x01 hello\r\n\r\n")
    assert all_of(connection).startswith(b"HTTP/1.1 400 ")


def _connections(server: Server) -> int:
    """Established connections of the server, as the kernel sees them."""
    local = f":{server.address[1]:04X}"
    lines = Path(f"/proc/{server.process.pid}/net/tcp").read_text().splitlines()[1:]
    return sum(line.split()[1].endswith(local) and line.split()[3] == "01" for line in lines)


def test_connections_are_bounded(servers: Any) -> None:
    server = servers(max_connections=2)
    kept = [server.connection(), server.connection()]
    assert httpx.get(f"{server.url}/healthz").status_code == 503
    for connection in kept:
        connection.close()
    until(lambda: httpx.get(f"{server.url}/healthz").status_code == 200)


def test_a_port_that_is_taken_is_said_in_a_line() -> None:
    with listen(ServeConfig(port=0)) as first:
        first.listen()
        port = first.getsockname()[1]
        with pytest.raises(
            ListenError, match=f"^port = {port}: cannot listen on 127.0.0.1:{port}: Address already in use$"
        ):
            listen(ServeConfig(port=port))
    with pytest.raises(ListenError, match=r"^host = 'no such host'"):
        listen(ServeConfig(host="no such host"))


@pytest.mark.parametrize(
    ("keys", "warned"),
    [
        ({}, False),
        ({"host": "localhost"}, False),
        ({"host": ANY}, True),
        ({"host": ANY, "token_file": "x"}, False),
    ],
)
def test_open_doors_are_warned_of(keys: Any, warned: bool, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING), listen(ServeConfig(port=0, **keys)) as listener:
        assert url_of(listener).startswith("http://")
    assert len(caplog.records) == warned
    assert all("set --token_file" in record.message for record in caplog.records)


def test_ipv6() -> None:
    if not os.path.exists("/proc/net/if_inet6") or not Path("/proc/net/if_inet6").read_text():
        pytest.skip("no IPv6 here")
    with listen(ServeConfig(host="::1", port=0)) as listener:
        assert url_of(listener) == f"http://[::1]:{listener.getsockname()[1]}"
