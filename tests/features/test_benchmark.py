"""benchmarks/features.py runs on a small scale; its own checks compare the arrays."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "features.py"
RATES = ("numba_tsv_dict", "numba_tsv_hash", "numba_json_hash", "pandas", "reference_apply")


def test_one_json_line_with_every_key() -> None:
    sizes = ["--rows", "3000", "--entries", "5000", "--repeats", "1"]
    done = subprocess.run([sys.executable, str(BENCHMARK), *sizes], capture_output=True, text=True, check=True)
    (line,) = done.stdout.splitlines()
    result = json.loads(line)
    assert all(result[key] > 0 for key in RATES)
    assert abs(result["reference_ratio"] - result["numba_tsv_dict"] / result["reference_apply"]) < 1
    assert result["dict_entries"] >= 5000 and result["machine"]
