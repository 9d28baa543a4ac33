"""A process that gives way has the niceness it was given, also among sessions; one that does not is left alone."""

import subprocess
import sys
from pathlib import Path

import pytest

CODE = """
import os, sys
from pathlib import Path
from mindspore_rec.process_priority import give_way
give_way(int(sys.argv[1]))
group = Path("/proc/self/autogroup")
print(os.getpriority(os.PRIO_PROCESS, 0), group.read_text().split()[-1] if group.exists() else sys.argv[1])
"""


@pytest.mark.parametrize("nice", [0, 7])
def test_a_process_gives_way(nice: int) -> None:
    command = [sys.executable, "-c", CODE, str(nice)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, start_new_session=True)
    before = int(subprocess.run(["nice"], capture_output=True, text=True, check=True).stdout)
    process, group = map(int, done.stdout.split())
    assert process == (nice or before)
    if Path("/proc/self/autogroup").exists():
        assert group == nice
