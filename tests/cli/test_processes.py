"""Programs under one: output kept, ends noticed, nothing left behind."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import Callable, List

import psutil
import pytest

from mindspore_rec.cli.processes import Programs

DEADLINE = 60.0
FOREVER = "import time\nprint('ready', flush=True)\nwhile True: time.sleep(60)"


def start(programs: Programs, name: str, code: str, on_line: Callable[[str], None] = lambda line: None) -> None:
    programs.start(name, [sys.executable, "-u", "-c", code], os.environ, on_line)


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.01)


def ended(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_output_status_and_end(tmp_path: Path) -> None:
    lines: List[str] = []
    with Programs(tmp_path) as programs:
        code = "import os, sys\nprint(os.getcwd())\nsys.stdout.flush()\nprint('two', file=sys.stderr)\nsys.exit(3)"
        start(programs, "first", code, lines.append)
        assert programs.wait(DEADLINE) == "first"
        assert programs.status("first") == 3
    assert lines == [str(tmp_path), "two"] == list(programs.tail("first"))
    assert programs.log("first").read_text("utf-8") == f"{tmp_path}\ntwo\n"


def test_each_end_is_told_once(tmp_path: Path) -> None:
    with Programs(tmp_path) as programs:
        start(programs, "a", "pass")
        start(programs, "b", "pass")
        assert {programs.wait(DEADLINE), programs.wait(DEADLINE)} == {"a", "b"}
        assert programs.wait(0) is None


def test_leaving_the_block_ends_programs_and_what_they_started(tmp_path: Path) -> None:
    pids: List[int] = []
    code = f"import subprocess, sys\nprint(subprocess.Popen([sys.executable, '-c', {FOREVER!r}]).pid)\n{FOREVER}"
    with pytest.raises(ZeroDivisionError), Programs(tmp_path) as programs:  # noqa: PT012
        start(programs, "parent", code, lambda line: pids.append(int(line)) if line.isdigit() else None)
        wait_until(lambda: bool(pids))
        assert not ended(pids[0])
        raise ZeroDivisionError
    assert programs.status("parent") == -signal.SIGTERM
    wait_until(lambda: ended(pids[0]))


def test_a_program_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    code = f"import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n{FOREVER}"
    with Programs(tmp_path, grace=0.2) as programs:
        start(programs, "deaf", code)
        wait_until(lambda: list(programs.tail("deaf")) == ["ready"])
    assert programs.status("deaf") == -signal.SIGKILL


def test_a_program_may_finish_its_work_on_sigterm(tmp_path: Path) -> None:
    code = f"import signal, sys\nsignal.signal(signal.SIGTERM, lambda *_: (print('saved'), sys.exit(0)))\n{FOREVER}"
    with Programs(tmp_path) as programs:
        start(programs, "saver", code)
        wait_until(lambda: list(programs.tail("saver")) == ["ready"])
    assert programs.status("saver") == 0
    assert list(programs.tail("saver")) == ["ready", "saved"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_is_raised_by_wait_and_handlers_are_put_back(number: signal.Signals, tmp_path: Path) -> None:
    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt), Programs(tmp_path) as programs:  # noqa: PT012
        start(programs, "child", FOREVER)
        wait_until(lambda: list(programs.tail("child")) == ["ready"])
        os.kill(os.getpid(), number)
        programs.wait(DEADLINE)
    assert programs.status("child") == -signal.SIGTERM
    assert signal.getsignal(number) is before


def test_a_listener_that_fails_does_not_stop_the_log(tmp_path: Path) -> None:
    def broken(line: str) -> None:
        raise BrokenPipeError

    with Programs(tmp_path) as programs:
        start(programs, "talker", "for i in range(20000): print('line', i)", broken)
        assert programs.wait(DEADLINE) == "talker"
    assert programs.log("talker").read_text("utf-8").endswith("line 19999\n")


def test_silence_counts_from_the_last_line(tmp_path: Path) -> None:
    with Programs(tmp_path) as programs:
        start(programs, "child", FOREVER)
        wait_until(lambda: list(programs.tail("child")) == ["ready"])
        wait_until(lambda: programs.silence("child") > 0.05)
