"""Points where a process is killed: at the Nth time, and only where that was asked for."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Dict

import pytest

from mindspore_rec.kill_points import FILE_VARIABLE, PASS_POINTS, POINTS, PUBLISH_POINTS, VARIABLE

REPOSITORY = Path(__file__).resolve().parents[1]
CODE = """
import sys, time
from mindspore_rec.kill_points import begins, reached
for k in range(4):
    reached("table-growth")
    sys.stdout.write(str(k)); sys.stdout.flush()
reached("send")
begins("compile")
end = time.monotonic() + float(sys.argv[1])
while time.monotonic() < end:
    pass
sys.stdout.write("end")
"""


def run(environ: Dict[str, str], seconds: float = 0.0) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", CODE, str(seconds)]
    clean = {key: value for key, value in os.environ.items() if key not in (VARIABLE, FILE_VARIABLE)}
    return subprocess.run(
        command, env={**clean, **environ}, cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=60
    )


@pytest.mark.parametrize("environ", [{}, {VARIABLE: "compaction:1"}, {VARIABLE: "table-growth:9"}])
def test_nothing_happens_unless_asked_for(environ: Dict[str, str]) -> None:
    done = run(environ)
    assert (done.returncode, done.stdout) == (0, "0123end")


@pytest.mark.parametrize(
    ("order", "printed"), [("table-growth:1", ""), ("table-growth", ""), ("table-growth:3", "01"), ("send:1", "0123")]
)
def test_the_process_is_killed_at_the_nth_time(order: str, printed: str) -> None:
    done = run({VARIABLE: order})
    assert (done.returncode, done.stdout) == (-signal.SIGKILL, printed)


def test_in_the_middle_of_what_begins() -> None:
    done = run({VARIABLE: "compile:1"}, seconds=30)
    assert (done.returncode, done.stdout) == (-signal.SIGKILL, "0123")


def test_a_file_says_so_later(tmp_path: Path) -> None:
    file = tmp_path / "order"
    assert run({FILE_VARIABLE: str(file)}).stdout == "0123end"
    file.write_text("table-growth:2")
    done = run({FILE_VARIABLE: str(file)})
    assert (done.returncode, done.stdout) == (-signal.SIGKILL, "0")


def test_every_point_is_in_the_code() -> None:
    sources = [path.read_text("utf-8") for path in (REPOSITORY / "mindspore_rec").rglob("*.py")]
    for point in (*POINTS, *PASS_POINTS, *PUBLISH_POINTS):
        assert any(f'reached("{point}")' in text or f'begins("{point}")' in text for text in sources), point
