#!/usr/bin/env bash
# Kills producer, consumer, trainer and Apache Kafka with SIGKILL while they work, starts them again, and compares the
# end with an undisturbed run. Needs Java and Maven. bash scripts/chaos.sh --help lists the options.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

bash scripts/setup.sh
exec .venv/bin/python -m mindspore_rec chaos "$@"
