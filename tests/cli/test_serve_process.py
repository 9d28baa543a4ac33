"""``python -m mindspore_rec serve`` over what a trainer published, as a process."""

import json
import shutil
import signal
import subprocess
import sys
import threading
import time

import httpx
import numpy as np
import pytest

from mindspore_rec.serving.predictor import Predictor
from mindspore_rec.serving.publication_folder import PublicationFolder
from tests.serving.published_runs import PublishedRun, random_batches
from tests.source_tree import REPOSITORY

PREDICT = "/v1/models/ctr:predict"
LINES = [f"{k % 5}\t{k / 7:.3f}\tv{k}\tsmall\tx{k % 3}" for k in range(40)]
DEADLINE = 120.0
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    path = tmp_path_factory.mktemp("published")
    PublishedRun(path, random_batches(4))
    return path


@pytest.fixture
def folder(published, tmp_path):
    """A copy of the publications, of which servers get the first."""
    shutil.copytree(published, tmp_path / "own")
    folder = PublicationFolder(tmp_path / "own")
    folder.point(1)
    return folder


class Serve:
    """The command, until the end of a `with` block."""

    def __init__(self, path, *keys):
        command = [sys.executable, "-m", "mindspore_rec", "serve", str(path), "--name", "ctr", "--port", "0", *keys]
        self.process = subprocess.Popen(
            command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def __enter__(self):
        self.line = self.process.stdout.readline().strip()
        self.client = httpx.Client(base_url=self.line.rpartition(" ")[2], timeout=DEADLINE)
        return self

    def __exit__(self, *error):
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()
        self.client.close()

    def stopped(self):
        self.process.send_signal(signal.SIGTERM)
        _, err = self.process.communicate(timeout=DEADLINE)
        return self.process.returncode, err


def until(condition):
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_requests_are_answered_while_versions_change_until_a_signal(folder, tmp_path):
    (tmp_path / "token").write_text("t0ken\n")
    expected = {}
    with Predictor(folder.path, follow=False) as predictor:
        for number in range(1, 5):
            predictor.rollback(number)
            expected[str(number)] = predictor.predict(LINES).outputs["probability"].tolist()
    with Serve(folder.path, "--token_file", str(tmp_path / "token"), "--poll_seconds", "0.02") as serve:
        assert serve.line == f"serving ctr version 1 on {serve.client.base_url}".rstrip("/")
        assert serve.client.post(PREDICT, json={"instances": LINES}).status_code == 401
        serve.client.headers["Authorization"] = "Bearer t0ken"
        stop, seen, wrong = threading.Event(), set(), []

        def ask():
            with httpx.Client(base_url=serve.client.base_url, headers=serve.client.headers, timeout=DEADLINE) as client:
                while not stop.is_set():
                    answer = client.post(PREDICT, json={"instances": LINES})
                    version = answer.headers.get("X-Model-Version", "")
                    seen.add(version)
                    found = answer.json().get("predictions", [])
                    if not found or not np.allclose(found, expected[version], atol=1e-6):
                        wrong.append((answer.status_code, answer.text[:200]))

        threads = [threading.Thread(target=ask) for _ in range(3)]
        for thread in threads:
            thread.start()
        for number in (1, 2, 4):
            folder.point(number)
            until(lambda number=number: str(number) in seen)
        assert serve.client.post("/v1/rollback", json={"version": 3}).json() == {"version": 3, "following": False}
        assert serve.client.post(PREDICT, json={"instances": LINES}).json()["model_version"] == "3"
        assert serve.client.post("/v1/follow", json={}).status_code == 200
        until(lambda: serve.client.get("/readyz").json()["version"] == 4)
        stop.set()
        for thread in threads:
            thread.join(DEADLINE)
        assert wrong == []
        assert seen >= {"1", "2", "4"}
        status = serve.client.get("/v1/status").json()
        assert (status["version"]["number"], status["following"], status["refused"]) == (4, True, "")
        assert [publication["version"] for publication in status["publications"]] == [1, 2, 3, 4]
        assert "msrec_serve_version 4.0" in serve.client.get("/metrics").text
        code, err = serve.stopped()
    assert code == 0
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("1\t2", "2 tab-separated fields, expected 5"),
        ("1\t2\ta\nb\tc\td", "a line break within the row"),
        ("x\t2\ta\tb\tc", "row 1: "),
        ({"I9": 1}, "field 'I9'"),
        (["1", {}, "a", "b", "c"], "row 1: "),
        ([1] * 9, "9 fields, expected 5"),
    ],
)
def test_bad_rows_are_named(shared, row, reason):
    answer = shared.client.post(PREDICT, json={"instances": [LINES[0], row]})
    assert answer.status_code == 400
    assert reason in answer.json()["error"]
    assert answer.json()["row"] == 1


@pytest.fixture(scope="module")
def shared(published):
    with Serve(published) as serve:
        yield serve


def test_columns_are_rows(shared):
    rows = [line.split("\t") for line in LINES]
    numbers = {f"I{k + 1}": [float(row[k]) for row in rows] for k in range(2)}
    categories = {f"C{k + 1}": [row[2 + k] for row in rows] for k in range(3)}
    by_column = shared.client.post(PREDICT, json={"inputs": {**numbers, **categories}}).json()["outputs"]
    by_row = shared.client.post(PREDICT, json={"instances": LINES}).json()["predictions"]
    np.testing.assert_allclose(by_column, by_row, atol=1e-6)


def test_the_first_version_is_waited_for(published, tmp_path):
    own = tmp_path / "later"
    process = subprocess.Popen(
        [sys.executable, "-m", "mindspore_rec", "serve", str(own), "--port", "0"],
        cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stderr.readline().endswith("later: nothing was published yet; waiting\n")
    shutil.copytree(published, tmp_path / "copied")
    (tmp_path / "copied").rename(own)
    assert process.stdout.readline().startswith("serving criteo version 4 on http://127.0.0.1:")
    process.terminate()
    process.communicate(timeout=DEADLINE)
    assert process.returncode == 0


def test_a_damaged_model_is_said_in_a_line(folder):
    current = folder.path / "publications" / "000001-full" / "manifest.json"
    content = json.loads(current.read_text())
    current.write_text(json.dumps({**content, "layout": "other"}))
    command = [sys.executable, "-m", "mindspore_rec", "serve", str(folder.path), "--port", "0"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=DEADLINE)
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (1, "", 1)
    assert done.stderr.startswith("error: ")
