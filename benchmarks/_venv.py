"""``import _venv``, before any package, starts a benchmark again with the repository's ``.venv``, if there is one."""

from __future__ import annotations

import os
import sys
from pathlib import Path

_VENV = Path(__file__).resolve().parent.parent / ".venv"
_PYTHON = _VENV / "bin" / "python"

if _PYTHON.exists() and Path(sys.prefix).resolve() != _VENV.resolve():
    os.execv(_PYTHON, [str(_PYTHON), *sys.argv])  # noqa: S606
