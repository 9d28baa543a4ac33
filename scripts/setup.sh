#!/usr/bin/env bash
# Makes .venv with Python 3.10-3.12 and installs the package in it. Does nothing when nothing changed.
# PYTHON=/path/to/python chooses the interpreter; SETUP_EXTRAS (default broker,dev,mpi) what is installed beside the package.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

venv=.venv
extras=${SETUP_EXTRAS:-broker,dev,mpi}
log=.cache/setup.log

say() { printf 'setup: %s\n' "$*"; }
fail() { printf 'setup: error: %s\n' "$*" >&2; exit 1; }

# Runs, is one of the versions MindSpore has wheels for, and can make a virtual environment.
usable() {
  "$1" -c 'import sys, ensurepip, venv; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))' >/dev/null 2>&1
}

find_python() {
  local candidate
  if [ -n "${PYTHON:-}" ]; then
    usable "$PYTHON" || fail "PYTHON=$PYTHON is no Python 3.10-3.12 with venv and pip"
    echo "$PYTHON"
    return
  fi
  for candidate in python3.11 python3.12 python3.10 python3 "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.1[012]*/bin/python3; do
    if usable "$candidate"; then
      echo "$candidate"
      return
    fi
  done
  fail "no Python 3.10, 3.11 or 3.12 with venv and pip found on PATH or under pyenv" \
    "(Debian, Ubuntu: apt install python3-venv; or: pyenv install 3.11; or: PYTHON=/path/to/python bash $0)"
}

[ "$(uname -s)" = Linux ] || fail "Linux is needed, this is $(uname -s) (use a container, or WSL 2)"
case "$(uname -m)" in
  x86_64 | aarch64) ;;
  *) fail "MindSpore has no wheels for $(uname -m), only for x86_64 and aarch64" ;;
esac

mkdir -p .cache
if command -v flock >/dev/null; then # two scripts started at once must not install into one .venv
  exec 9>.cache/setup.lock
  flock 9
fi

if [ -e $venv ] && ! $venv/bin/python -c '' >/dev/null 2>&1; then
  say "$venv has no working Python, making it again"
  rm -rf $venv
fi
if [ ! -e $venv ]; then
  python=$(find_python)
  say "1/2 virtual environment .venv with $("$python" --version)"
  "$python" -m venv $venv || { rm -rf $venv; fail "$python -m venv failed"; }
fi
usable $venv/bin/python || fail ".venv holds $($venv/bin/python --version), not Python 3.10-3.12 with pip: remove it and run this again"

stamp=$({ cat pyproject.toml setup.py; pwd; $venv/bin/python --version; echo "$extras"; } | sha256sum | cut -d ' ' -f 1)
if [ "$(cat $venv/setup.stamp 2>/dev/null)" = "$stamp" ]; then
  exit 0
fi
rm -f $venv/setup.stamp

say "2/2 installing the package with [$extras]: MindSpore alone is some 300 MB, the first time takes minutes (log: $log)"
started=$SECONDS
if ! $venv/bin/python -m pip install --disable-pip-version-check --no-input --progress-bar off -e ".[$extras]" 2>&1 </dev/null |
  tee $log | awk '/^Collecting / { printf "setup:   %s\n", $2; fflush() }
    /^Installing collected packages/ { print "setup:   unpacking"; fflush() }'; then
  grep -E '^ *(ERROR|error)' $log | head -n 5 >&2 || tail -n 5 $log >&2
  fail "pip could not install the package; all it said is in $log"
fi
echo "$stamp" >$venv/setup.stamp
say "done in $((SECONDS - started)) s"
