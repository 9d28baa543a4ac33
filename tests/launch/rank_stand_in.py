"""Stands in for dist_online_train.py: knows its rank, works until it is asked to end, then writes its checkpoint.

rank_stand_in.py FOLDER [key=value ...]; keys: end=STATUS at once, mistake=TEXT told before that, deaf=RANK ignores
SIGTERM, lines=N written first, loses=RANK dies by SIGKILL in its first life, once all work, child=1 leaves a process,
saving=SECONDS of a checkpoint.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType
from typing import List, Optional, TextIO


def say(text: str, file: TextIO = sys.stdout) -> None:
    file.write(f"{text}\n")
    file.flush()


def main() -> int:
    folder = Path(sys.argv[1])
    options = dict(word.split("=", 1) for word in sys.argv[2:] if "=" in word)
    rank = os.environ.get("OMPI_COMM_WORLD_RANK") or os.environ["MS_NODE_ID"]
    signals: List[int] = []

    def note(number: int, frame: Optional[FrameType]) -> None:
        signals.append(number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, note)
    for index in range(int(options.get("lines", 0))):
        say(f"line {index}")
    say(f"rank {rank} got {' '.join(sys.argv[2:])}")
    say(f"rank {rank} warns", sys.stderr)
    life = folder / f"life.{rank}"
    with life.open("a") as file:
        file.write(f"{os.getpid()}\n")
    if options.get("loses") == rank and len(life.read_text("utf-8").split()) == 1:
        size = int(os.environ.get("OMPI_COMM_WORLD_SIZE") or os.environ["MS_WORKER_NUM"])
        while len(list(folder.glob("life.*"))) < size:
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGKILL)
    if "child" in options:
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
    if "mistake" in options:
        say(f"error: {options['mistake']}", sys.stderr)
    if "end" in options:
        return int(options["end"])
    deadline = time.monotonic() + 120
    while not signals or options.get("deaf") == rank:
        time.sleep(0.05)
        if time.monotonic() > deadline:
            return 99
    time.sleep(float(options.get("saving", 0.2)))  # a second signal would come in this time
    (folder / f"checkpoint.{rank}").write_text(" ".join(map(str, signals)), "utf-8")
    say(f"rank {rank} saved")
    return 0


if __name__ == "__main__":
    sys.exit(main())
