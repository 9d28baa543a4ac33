"""Fill a topic with click rows: Criteo's raw lines from a file, or a synthetic stream like them.

    python producer.py [--data_file day_0.tsv] [--partitions 2] [--format block|tsv|json] [--rate N] [--limit N]

Started again it goes on after the last row in the topic. Ctrl-C or SIGTERM ends it with status 0. The last line on
stdout is a JSON summary.
"""

from __future__ import annotations

import json
from functools import partial
from typing import Callable, Iterator

from mindspore_rec.cli.options import load, run_cli
from mindspore_rec.config import ProducerConfig
from mindspore_rec.data.synthetic import SyntheticStream
from mindspore_rec.logs import setup_logging
from mindspore_rec.stream.consumer import stop_on_signals
from mindspore_rec.stream.producer import produce
from mindspore_rec.stream.raw_lines import file_chunks, generated_chunks


def chunks_from(config: ProducerConfig) -> Callable[[int], Iterator[bytes]]:
    """The rows of the configured source, from a row on."""
    if config.data_file is not None:
        return partial(file_chunks, config.data_file)
    stream = SyntheticStream(config.seed, config.drift, config.churn)
    return partial(generated_chunks, stream.lines, rows=10_000)


def main() -> int:
    """Read the configuration and produce until the end."""
    config = load(ProducerConfig, "Fill a topic with click rows from a file, or with a synthetic stream like them.")
    setup_logging()
    summary = produce(config, chunks_from(config), stop_on_signals())
    print(json.dumps(summary), flush=True)
    return 0


if __name__ == "__main__":
    run_cli(main)
