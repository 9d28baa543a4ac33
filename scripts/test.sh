#!/usr/bin/env bash
# Sets up .venv, then: ruff, mypy and the fast tests; with --slow as the first argument: only the slow tests.
# Further arguments go to pytest: bash scripts/test.sh tests/cli -k options
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

slow=no
if [ "${1:-}" = --slow ]; then
  slow=yes
  shift
fi

bash scripts/setup.sh </dev/null
python=.venv/bin/python
export PYTHONUNBUFFERED=1

if [ $slow = yes ]; then
  echo "== slow tests"
  status=0
  $python -m pytest -m slow -rs --durations=15 "$@" </dev/null || status=$?
  if [ $status = 5 ] && [ $# = 0 ]; then # pytest found no test
    echo "no slow tests"
    status=0
  fi
  exit $status
fi

echo "== ruff"
$python -m ruff check .
echo "== mypy"
$python -m mypy
echo "== tests"
# A file is run by one process, one file after another, as many at a time as there are cores, the longest files first
# (conftest.py; pytest-xdist would begin with those of the most tests).
$python -m pytest -m "not slow" -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder -rs --durations=15 "$@" </dev/null
