#!/usr/bin/env bash
# Pass-by-pass training while its data are being written, with the trainer killed twice with SIGKILL; then once more
# without a break, and the two ends compared. Prints a JSON summary. --help lists the options.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

bash scripts/setup.sh
exec .venv/bin/python -m mindspore_rec streaming-demo "$@"
