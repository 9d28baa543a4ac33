"""A launch as a user starts one, and every process it left."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path
from types import TracebackType
from typing import Callable, List, Optional, Sequence, Type

import psutil

from mindspore_rec.distributed.launchers import without_launcher
from tests.source_tree import REPOSITORY
from tests.stream.free_ports import free_ports

DEADLINE = 60.0
STAND_IN = Path(__file__).with_name("rank_stand_in.py")
MARK = "LAUNCH_TEST_MARK"


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.02)


class Launched:
    """A command that is running, as the leader of its process group, as in a terminal; ended with the block."""

    def __init__(self, command: Sequence[str], folder: Path, stdout: Optional[int] = None) -> None:
        self.folder = folder
        self.mark = uuid.uuid4().hex
        self._out, self._errors = (folder / name for name in ("stdout", "stderr"))
        path = os.pathsep.join([str(REPOSITORY), *filter(None, [os.environ.get("PYTHONPATH")])])
        environ = {
            **without_launcher(),
            "PYTHONPATH": path,
            "PYTHON": sys.executable,
            MARK: self.mark,
            "TMPDIR": str(folder),
        }
        with self._out.open("wb") as out, self._errors.open("wb") as errors:
            self.process = subprocess.Popen(
                list(command),
                cwd=folder,
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=out if stdout is None else stdout,
                stderr=errors,
                start_new_session=True,
            )

    def __enter__(self) -> Launched:
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self.process.kill()
        self.process.wait()
        for process in self.left():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()

    def status(self) -> int:
        """Exit status of the launcher; then nothing it started may be there."""
        return self.process.wait(DEADLINE)

    def press_ctrl_c(self) -> None:
        """What a terminal does: SIGINT to the whole process group."""
        os.killpg(self.process.pid, signal.SIGINT)

    def left(self) -> List[psutil.Process]:
        """Processes that came of this launch, wherever they hang in the tree."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.environ().get(MARK) == self.mark and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found

    def lives(self, rank: int) -> List[int]:
        """Process ids of a rank's program, one a start."""
        path = self.folder / f"life.{rank}"
        return [int(line) for line in path.read_text("utf-8").splitlines()] if path.exists() else []

    def wait_for_ranks(self, size: int = 2, starts: int = 1) -> None:
        """Until each of them works."""
        wait_until(lambda: all(len(self.lives(rank)) >= starts for rank in range(size)) or self.ended())
        assert not self.ended(), self.errors()

    def ended(self) -> bool:
        """Whether the launcher has."""
        return self.process.poll() is not None

    def output(self) -> str:
        """Its stdout."""
        return self._out.read_text("utf-8")

    def errors(self) -> str:
        """Its stderr."""
        return self._errors.read_text("utf-8")

    def checkpoint(self, rank: int) -> Optional[str]:
        """The signals a rank got before it wrote its checkpoint; None if it wrote none."""
        path = self.folder / f"checkpoint.{rank}"
        return path.read_text("utf-8") if path.exists() else None

    def log(self, name: str) -> str:
        """A log of the launch."""
        return (self.folder / "log" / name).read_text("utf-8")


def launch(
    folder: Path,
    launcher: str,
    *options: str,
    arguments: Sequence[str] = (),
    ranks: int = 2,
    program: Path = STAND_IN,
    stdout: Optional[int] = None,
) -> Launched:
    """Two ranks of a program, by default the stand-in."""
    port = ["--sched_port", str(free_ports(1))] if launcher == "dynamic" else []
    own = ["--launcher", launcher, "--ranks", str(ranks), "--log_dir", "log", *port, *options]
    return Launched(
        [sys.executable, "-m", "mindspore_rec", "launch", *own, str(program), str(folder), *arguments], folder, stdout
    )
