#!/usr/bin/env bash
# Runs one Tansu broker (pip alone, nothing kept) on 127.0.0.1 in the foreground until Ctrl-C.
# Usage: bash scripts/start_broker.sh [--port 9092] [--folder DIR]     log: DIR, or .cache/broker-tansu
set -euo pipefail
root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
python="$root/.venv/bin/python"
[ -x "$python" ] || bash "$root/scripts/setup.sh"
exec "$python" -m mindspore_rec.stream.brokers tansu "$@"
