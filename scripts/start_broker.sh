#!/usr/bin/env bash
# Runs one Tansu broker (pip alone, nothing kept) on 127.0.0.1 in the foreground until Ctrl-C.
# Usage: bash scripts/start_broker.sh [--port 9092] [--folder DIR]     log: DIR, or .cache/broker-tansu
set -euo pipefail
root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
python="$root/.venv/bin/python"
if [ ! -x "$python" ]; then
  echo "start_broker.sh: $python is missing; \`bash scripts/quickstart.sh\` makes it" >&2
  exit 1
fi
exec "$python" -m mindspore_rec.stream.brokers tansu "$@"
