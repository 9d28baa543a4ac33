#!/usr/bin/env bash
# The whole pipeline on this machine: installs into .venv, starts a broker, streams synthetic clicks, trains on them,
# prints a JSON summary. bash scripts/quickstart.sh --help lists the options.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

bash scripts/setup.sh
exec .venv/bin/python -m mindspore_rec quickstart "$@"
