"""The same model, to the bit, on one process and on several ranks, under both launches."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("mpi4py", reason="mpi4py is not installed: pip install .[mpi]")
PARITY = Path(__file__).resolve().parents[2] / "benchmarks" / "parity.py"


@pytest.mark.slow
def test_any_number_of_ranks_trains_the_same_model() -> None:
    done = subprocess.run(
        [sys.executable, str(PARITY), "--steps", "6"], capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    *layouts, last = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert [(found["launcher"], found["workers"], found["servers"]) for found in layouts] == [
        *[("alone", 1, 0)],
        *[("mpirun", 2, 0), ("mpirun", 4, 0), ("mpirun", 2, 2)],
        *[("dynamic", 2, 0), ("dynamic", 4, 0), ("dynamic", 2, 2)],
    ]
    assert (last["worst_rel_diff"], last["worst_auc_diff"]) == (0.0, 0.0)
