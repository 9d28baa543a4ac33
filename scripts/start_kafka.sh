#!/usr/bin/env bash
# Runs one Apache Kafka node on 127.0.0.1 in the foreground until Ctrl-C. Needs Java 17 and Maven.
# Usage: bash scripts/start_kafka.sh [--port 9092] [--folder DIR]     data and logs: DIR, or .cache/broker-kafka
set -euo pipefail
root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
python="$root/.venv/bin/python"
[ -x "$python" ] || bash "$root/scripts/setup.sh"
exec "$python" -m mindspore_rec.stream.brokers kafka "$@"
