"""Files of JSON lines: what a kill leaves is whole, and what is damaged is told."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mindspore_rec import json_lines
from mindspore_rec.config import UserError
from mindspore_rec.json_lines import append_lines, read_lines
from tests.source_tree import REPOSITORY

WRITER = """
import itertools, sys
from pathlib import Path
from mindspore_rec.json_lines import append_lines
for number in itertools.count():
    append_lines(Path(sys.argv[1]), [{"number": number, "half": k, "text": "x" * 3000} for k in range(2)])
"""


def test_lines_are_added(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    assert list(read_lines(path)) == []
    append_lines(path, [{"a": 1}, {"b": "ä"}])
    append_lines(path, [])
    append_lines(path, [{"c": None}])
    assert list(read_lines(path)) == [(1, {"a": 1}), (2, {"b": "ä"}), (3, {"c": None})]


@pytest.mark.parametrize("rest", [b'{"a": 2', b"x" * 10_000, b'{"a": 2}'])
def test_a_line_that_was_cut_off_is_not_read_and_replaced(rest: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    append_lines(path, [{"a": 1}])
    path.write_bytes(path.read_bytes() + rest)
    assert list(read_lines(path)) == [(1, {"a": 1})]
    append_lines(path, [{"a": 3}])
    assert path.read_bytes() == b'{"a": 1}\n{"a": 3}\n'
    path.write_bytes(rest)
    append_lines(path, [{"a": 3}])
    assert path.read_bytes() == b'{"a": 3}\n'


def test_a_writer_may_be_killed_at_any_moment(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    environ = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    for times in range(1, 4):
        size = path.stat().st_size if path.exists() else 0
        process = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], env=environ)
        deadline = time.monotonic() + 60
        while (path.stat().st_size if path.exists() else 0) < size + 40_000 * times:
            assert process.poll() is None and time.monotonic() < deadline
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert len(list(read_lines(path))) > 10
    append_lines(path, [{"number": -1}])
    assert [fields["number"] for _, fields in read_lines(path)][-1] == -1


@pytest.mark.parametrize("damaged", [b"{", b"[1]", b"3", b"", b"\xff", b"[" * 100_000])
def test_a_damaged_line_is_named(damaged: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"a": 1}\n' + damaged + b"\n")
    with pytest.raises(UserError, match=r"a\.jsonl: line 2 is damaged: expected a JSON object"):
        list(read_lines(path))


def test_a_long_line_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_lines, "MAX_LINE_BYTES", 20)
    path = tmp_path / "a.jsonl"
    with pytest.raises(ValueError, match="longer than 20 bytes"):
        append_lines(path, [{"a": 1}, {"a": "x" * 20}])
    assert not path.exists()
    path.write_text(json.dumps({"a": "x" * 20}) + "\n")
    with pytest.raises(UserError, match="line 1 is longer than 20 bytes"):
        list(read_lines(path))


def test_what_json_has_not_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        append_lines(tmp_path / "a.jsonl", [{"a": 1}, {"a": math.nan}])
    assert not (tmp_path / "a.jsonl").exists()


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read: Is a directory"):
        list(read_lines(tmp_path))
