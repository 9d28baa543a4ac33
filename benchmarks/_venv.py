"""Run a benchmark with the repository's own Python: ``import _venv`` first starts it again in ``.venv``, if there is one."""

from __future__ import annotations

import os
import sys
from pathlib import Path

_VENV = Path(__file__).resolve().parent.parent / ".venv"
_PYTHON = _VENV / "bin" / "python"

if _PYTHON.exists() and Path(sys.prefix).resolve() != _VENV.resolve():
    os.execv(_PYTHON, [str(_PYTHON), *sys.argv])  # noqa: S606
