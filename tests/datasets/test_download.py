"""download.sh against a server that can be told to misbehave."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from mindspore_rec.stream.brokers import free_port
from tests.source_tree import REPOSITORY

SCRIPT = REPOSITORY / "datasets" / "criteo_1tb" / "download.sh"
DAYS = {f"/logs/day_{day}.gz": np.random.default_rng(day).bytes(300_000 + day) for day in (0, 1, 3)}


class DayServer(ThreadingHTTPServer):
    """Serves days with byte ranges.

    Attributes:
        cuts: bytes after which the next answers to GET break off, one each.
        ranges: whether ranges are honoured.
        sends_length: whether HEAD names the size.
        added: bytes by which HEAD says a file is longer than it is.
        sent: bytes sent a path, over all answers.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), DayHandler)
        self.cuts: list = []
        self.ranges = True
        self.sends_length = True
        self.added = 0
        self.sent: Counter = Counter()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/logs"


class DayHandler(BaseHTTPRequestHandler):
    server: DayServer

    def do_HEAD(self) -> None:
        if self.path.startswith("/old"):
            self.send_response(302)
            self.send_header("Location", self.path.replace("/old", "/logs"))
            self.send_header("Content-Length", "5")
        elif self.path in DAYS:
            self.send_response(200)
            if self.server.sends_length:
                self.send_header("Content-Length", str(len(DAYS[self.path]) + self.server.added))
        else:
            self.send_response(404)
        self.end_headers()

    def do_GET(self) -> None:
        if self.path.startswith("/old"):
            self.do_HEAD()
            self.wfile.write(b"moved")
            return
        content, start = DAYS[self.path], 0
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if asked and self.server.ranges:
            start = int(asked[1])
            if start >= len(content):
                self.send_response(416)
                self.end_headers()
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        body = content[start:]
        if self.server.cuts:
            body = body[: self.server.cuts.pop(0)]
            self.close_connection = True
        self.wfile.write(body)
        self.server.sent[self.path] += len(body)

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def server():
    with DayServer() as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "a folder"


def download(*arguments):
    command = ["bash", str(SCRIPT), *map(str, arguments), "--retry_delay", "0"]
    direct = {**os.environ, "no_proxy": "*", "NO_PROXY": "*"}
    return subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, env=direct)


def error(done, status=1):
    """The one line that says what is wrong."""
    assert done.returncode == status, done.stderr
    lines = [line for line in done.stderr.splitlines() if not line.startswith("curl:")]
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("error: ")
    return lines[0]


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def days(*numbers):
    return {f"day_{day}.gz": DAYS[f"/logs/day_{day}.gz"] for day in numbers}


def test_days_are_fetched_whole(server, folder):
    done = download("0-1,3,3", "--url", server.url + "/", f"--data_path={folder}")
    assert (done.returncode, done.stderr) == (0, "")
    assert content(folder) == days(0, 1, 3)
    assert done.stdout.splitlines()[-1] == f"complete in {folder}: 3 days"


def test_what_is_complete_is_not_fetched_again(server, folder):
    for _ in range(2):
        assert download("0,1", "--url", server.url, "--data_path", folder).returncode == 0
    assert server.sent == {path: len(DAYS[path]) for path in ("/logs/day_0.gz", "/logs/day_1.gz")}


def test_a_cut_connection_goes_on_where_it_broke_off(server, folder):
    server.cuts = [100_000, 0, 50_000]
    assert download("0", "--url", server.url, "--data_path", folder, "--retries", "1").returncode == 0
    assert content(folder) == days(0)
    assert server.sent["/logs/day_0.gz"] == len(DAYS["/logs/day_0.gz"])


def test_an_interrupted_download_goes_on_when_it_is_run_again(server, folder):
    server.cuts = [100_000, 0]
    done = download("0", "--url", server.url, "--data_path", folder, "--retries", "0")
    assert "given up at 100000 of 300000 bytes" in error(done)
    assert list(content(folder)) == [".day_0.gz.part"]  # no pattern day_* takes it for a day
    assert download("0", "--url", server.url, "--data_path", folder).returncode == 0
    assert content(folder) == days(0)
    assert server.sent["/logs/day_0.gz"] == len(DAYS["/logs/day_0.gz"])


def test_redirects_are_followed(server, folder):
    done = download("1", "--url", server.url.replace("/logs", "/old"), "--data_path", folder)
    assert done.returncode == 0, done.stderr
    assert content(folder) == days(1)


def test_a_server_without_ranges_serves_whole_days_only(server, folder):
    server.ranges = False
    server.cuts = [100_000]
    done = download("0", "--url", server.url, "--data_path", folder)
    assert f"remove {folder}/.day_0.gz.part to begin day 0 anew" in error(done)
    (folder / ".day_0.gz.part").unlink()
    assert download("0", "--url", server.url, "--data_path", folder).returncode == 0


@pytest.mark.parametrize("size", [10, 300_001])
def test_a_day_of_another_size_is_an_error(server, folder, size):
    folder.mkdir()
    (folder / "day_0.gz").write_bytes(bytes(size))
    line = error(download("0-1", "--url", server.url, "--data_path", folder))
    assert f"{folder}/day_0.gz: {size} bytes, the server has 300000" in line
    assert list(content(folder)) == ["day_0.gz"]


def test_a_day_begun_elsewhere_goes_on_under_the_name_the_error_says(server, folder):
    folder.mkdir()
    (folder / ".day_0.gz.part").write_bytes(DAYS["/logs/day_0.gz"][:250_000])
    assert download("0", "--url", server.url, "--data_path", folder).returncode == 0
    assert content(folder) == days(0)
    assert server.sent["/logs/day_0.gz"] == 50_000


def test_too_long_a_part_is_known_before_any_day_is_fetched(server, folder):
    folder.mkdir()
    (folder / ".day_1.gz.part").write_bytes(bytes(300_002))
    line = error(download("0-1", "--url", server.url, "--data_path", folder))
    assert "300002 bytes, the server has 300001: remove it" in line
    assert not server.sent


def test_a_day_shorter_than_announced_never_counts_as_complete(server, folder):
    server.added = 7
    done = download("0", "--url", server.url, "--data_path", folder, "--retries", "1")
    assert "given up at 300000 of 300007 bytes" in error(done)
    assert list(content(folder)) == [".day_0.gz.part"]


def test_a_host_that_cannot_be_reached_is_one_line(folder):
    port = free_port()
    line = error(download("0", "--url", f"http://127.0.0.1:{port}/logs", "--data_path", folder))
    assert re.match(f"error: cannot reach 127.0.0.1:{port}: .*connect", line)
    assert "--url" in line
    line = error(download("0", "--url", "http://nowhere.invalid", "--data_path", folder))
    assert re.match("error: cannot reach nowhere.invalid: .*resolve", line)
    assert content(folder) == {}


def test_a_day_the_server_lacks_is_known_before_any_is_fetched(server, folder):
    assert f"{server.url}/day_2.gz: the server answers HTTP 404" in error(
        download("0-3", "--url", server.url, "--data_path", folder)
    )
    assert not server.sent


@pytest.mark.parametrize("place", ["/logs", "/old"])
def test_a_size_the_server_does_not_say_is_an_error(server, folder, place):
    server.sends_length = False  # the size of the redirect itself does not count
    url = server.url.replace("/logs", place)
    assert "does not say its size" in error(download("0", "--url", url, "--data_path", folder))


def test_more_than_the_disk_holds_is_known_before_any_is_fetched(server, folder):
    server.added = 10**18
    line = error(download("0", "--url", server.url, "--data_path", folder))
    assert "1000000000.0 GB are missing" in line
    assert not server.sent


@pytest.mark.skipif(shutil.which("flock") is None, reason="no flock")
def test_two_downloads_do_not_write_to_one_folder(server, folder):
    folder.mkdir()
    held = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert "another download writes to" in error(download("0", "--url", server.url, "--data_path", folder))
    finally:
        os.close(held)
    assert not server.sent


def test_a_folder_that_cannot_be_made_is_one_line(server, tmp_path):
    (tmp_path / "file").write_text("in the way")
    line = error(download("0", "--url", server.url, "--data_path", tmp_path / "file" / "folder"))
    assert "--data_path" in line
    assert "cannot be written" in line


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["24"], "DAYS: '24'"),
        (["3-1"], "DAYS: '3-1'"),
        (["0,,1"], "DAYS: '0,,1'"),
        (["one"], "DAYS: 'one'"),
        (["0", "1"], "'1': DAYS is given already"),
        (["--urls", "x"], "--urls: no such option"),
        (["--url", "criteo.com"], "--url: 'criteo.com', expected http"),
        (["--retries", "-1"], "--retries: '-1', expected a whole number"),
        (["--data_path="], "--data_path: '', expected a folder"),
    ],
)
def test_wrong_arguments_are_one_line(arguments, expected):
    assert expected in error(download(*arguments), status=2)


def test_help_names_the_defaults():
    done = download("--help")
    assert done.returncode == 0
    for text in ("default: 0-23", "https://storage.googleapis.com/criteo-cail-datasets", "default: data"):
        assert text in done.stdout
