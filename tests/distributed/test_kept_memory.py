"""Arrays made again and again are not mapped again, in a process of its own: what is kept cannot be given up."""

from __future__ import annotations

import subprocess
import sys

CODE = """
import resource, sys
import numpy as np
from mindspore_rec.distributed.kept_memory import keep_memory

def faults():
    start = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        arrays = [np.ones(size) for size in (300_000, 1_250_000, 700_000)]
        arrays.append(arrays[0] + 1)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - start

kept = sys.argv[1] == "keep" and keep_memory()
faults()
print(int(kept), faults())
"""


def faults(how: str) -> int:
    ran = subprocess.run([sys.executable, "-c", CODE, how], capture_output=True, text=True, check=True)
    kept, count = map(int, ran.stdout.split())
    assert kept == (how == "keep")
    return count


def test_arrays_that_come_and_go_keep_their_pages() -> None:
    assert 10 * faults("keep") < faults("leave")
