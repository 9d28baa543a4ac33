"""Turn raw rows from Kafka into windows of ids and weights for the trainers.

    python consumer.py --num_shards=1 --address=127.0.0.1

Run it before or after the trainer, kill it and start it again as you like: the trainer says where to continue. Ctrl-C
or SIGTERM ends it with status 0.
"""

from __future__ import annotations

from mindspore_rec.cli.options import load, run_cli
from mindspore_rec.config import ConsumerConfig
from mindspore_rec.logs import setup_logging
from mindspore_rec.stream.consumer import Consumer, stop_on_signals


def main() -> int:
    """Read the configuration and serve until told to stop."""
    config = load(ConsumerConfig, "Turn raw rows from Kafka into windows of ids and weights for the trainers.")
    setup_logging()
    Consumer(config).run(stop_on_signals())
    return 0


if __name__ == "__main__":
    run_cli(main)
