"""``python -m mindspore_rec top``: once, live in a terminal, and what goes wrong."""

from __future__ import annotations

import contextlib
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, List

import pytest
from rich.console import Console, RenderableType

from mindspore_rec.__main__ import main
from mindspore_rec.cli.top import watch
from mindspore_rec.config import ConfigError, UserError
from mindspore_rec.monitor import status_client
from mindspore_rec.monitor.status_client import StatusClient
from tests.monitor.scripted_server import ScriptedServer, publication, status


@pytest.fixture
def server() -> ScriptedServer:
    return ScriptedServer(status([publication(1), publication(2)]))


def test_once_prints_one_snapshot(server: ScriptedServer, capsys: pytest.CaptureFixture[str]) -> None:
    with server.running() as port:
        assert main(["top", f"http://127.0.0.1:{port}"]) == 0  # stdout is no terminal
        assert main(["top", f"http://127.0.0.1:{port}/", "--once"]) == 0
    assert capsys.readouterr().out.count("criteo") == 2
    assert len(server.asked) == 2


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1:8501",
        "ftp://a",
        "file:///etc/passwd",
        "http://",
        "http://a:b",
        "http://u@a",
        "http://a/?b",
        "http://[",
        "",
    ],
)
def test_a_bad_address_is_refused_in_one_line(address: str) -> None:
    with pytest.raises(ConfigError, match=r"^address = .*: expected http://HOST:PORT or https://HOST:PORT$"):
        main(["top", address])


@pytest.mark.parametrize("interval", ["0", "-1", "nan", "x", "1e9"])
def test_a_bad_interval_is_refused(interval: str) -> None:
    with pytest.raises(ConfigError, match=r"interval = .*: expected seconds"):
        main(["top", "--interval", interval])


def test_no_answer_is_one_line(server: ScriptedServer) -> None:
    with server.running() as port:
        pass
    with pytest.raises(UserError, match="no answer from the server: Connection refused"):
        main(["top", "--once", f"http://127.0.0.1:{port}"])


def test_what_is_no_status_is_said(server: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    with server.running() as port:
        client = StatusClient(f"http://127.0.0.1:{port}")
        for content, code, words in (
            (b"[1]", 200, "not understood"),
            (b"\xff", 200, "not understood"),
            (b"[" * 100_000, 200, "not understood"),
            (b"{}", 503, "answers 503"),
            (b"{}", 302, "answers 302"),
        ):
            server.content, server.code = content, code
            with pytest.raises(UserError, match=words):
                client.fetch()
        monkeypatch.setattr(status_client, "LARGEST", 1 << 20)
        server.content, server.code = b" " * (2 << 20), 200
        with pytest.raises(UserError, match="larger than 1 MiB"):
            client.fetch()


def test_the_token_is_read_from_a_file(server: ScriptedServer, tmp_path: Path) -> None:
    server.token = "sesame"  # noqa: S105
    file = tmp_path / "token"
    file.write_text("sesame\n")
    with server.running() as port:
        address = f"http://127.0.0.1:{port}"
        assert main(["top", address, "--token_file", str(file)]) == 0
        file.write_text("other")
        with pytest.raises(UserError, match="did not take this token"):
            main(["top", address, "--token_file", str(file)])
        with pytest.raises(UserError, match="asks for a token"):
            main(["top", address])
    assert server.asked[0] == "Bearer sesame"


@pytest.mark.parametrize("content", [None, b"", b"a b", b"a\nb", "é".encode(), b"x" * 5000])
def test_a_bad_token_file_is_refused(content: Any, tmp_path: Path) -> None:
    file = tmp_path / "token"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigError, match=r"token_file = .*: expected "):
        main(["top", "--token_file", str(file)])


def test_silence_is_said_with_its_length_and_ends(server: ScriptedServer) -> None:
    shown: List[str] = []
    seconds = [100.0]

    def show(view: RenderableType) -> None:
        console = Console(width=160)
        with console.capture() as capture:
            console.print(view)
        shown.append(capture.get())
        if len(shown) == 4:
            raise KeyboardInterrupt

    def wait(interval: float) -> None:
        seconds[0] += interval
        server.code = 503 if len(shown) in (1, 2) else 200

    with server.running() as port, pytest.raises(KeyboardInterrupt):
        watch(StatusClient(f"http://127.0.0.1:{port}"), show, 30.0, wait, lambda: seconds[0])
    assert ["no answer since" in text for text in shown] == [False, True, True, False]
    assert "no answer since 60 s (no status from the server: it answers 503" in shown[2]
    assert all("criteo" in text for text in shown)


def test_live_in_a_terminal_until_ctrl_c(server: ScriptedServer) -> None:
    above, below = pty.openpty()
    deadline = time.monotonic() + 60

    def read_until(words: bytes) -> None:
        found = b""
        while words not in found:
            assert time.monotonic() < deadline, found[-2000:]
            found += os.read(above, 1 << 16)

    with server.running() as port:
        command = [sys.executable, "-m", "mindspore_rec", "top", f"http://127.0.0.1:{port}", "--interval", "0.05"]
        environment = {**os.environ, "TERM": "xterm", "COLUMNS": "160", "LINES": "50"}
        program = subprocess.Popen(
            command,
            stdin=below,
            stdout=below,
            stderr=below,
            env=environment,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background job ignores it
        )
        os.close(below)  # so that the end of the program is the end of the terminal
        try:
            read_until(b"Version 2 is the newest")
            server.status = status([publication(1), publication(2), publication(3)])
            read_until(b"Version 3 is the newest")
            server.code = 500
            read_until(b"no answer since")
            server.code = 200
            read_until(b"Version 3 is the newest")
            program.send_signal(signal.SIGINT)
            rest = b""
            with contextlib.suppress(OSError):  # EIO: it has ended
                while True:
                    rest += os.read(above, 1 << 16)
            assert program.wait(30) == 0
            assert b"Traceback" not in rest
        finally:
            program.kill()
            program.wait()
            os.close(above)
