"""Every benchmark finds what it uses of the package: most of them take too long to run here."""

import subprocess
import sys

from tests.source_tree import REPOSITORY

BENCHMARKS = REPOSITORY / "benchmarks"


def test_all_benchmarks_can_be_imported():
    names = sorted(path.stem for path in BENCHMARKS.glob("*.py"))
    code = "import importlib, sys\nfor name in sys.argv[1:]:\n    importlib.import_module(name)"
    done = subprocess.run(
        [sys.executable, "-c", code, *names], cwd=BENCHMARKS, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
