"""Train Wide&Deep on several ranks; started by mpirun_dist_online_train.sh or run_dist_online_train.sh.

Rank r reads shard r of the channel (`python consumer.py --num_shards=RANKS`), embedding tables are spread over all
ranks, and dense gradients are averaged over all rows. Rank 0 prints progress and, as its last line, a JSON summary.
"""

from __future__ import annotations

import json
import logging
import os
import signal
from contextlib import nullcontext
from typing import ContextManager

from online_train import DEFAULT_CONFIG, train

from mindspore_rec.checkpoint.folder_lock import held_folders
from mindspore_rec.cli.options import load, run_cli
from mindspore_rec.config import ConfigError, TrainConfig
from mindspore_rec.distributed.ranks import Ranks, open_exchange
from mindspore_rec.logs import setup_logging
from mindspore_rec.process_priority import give_way

logger = logging.getLogger(__name__)
SERVERS = "MSREC_SERVER_NUM"


def main() -> int:
    """Read the configuration, meet the other ranks, train, print the summary."""
    config = load(TrainConfig, "Train Wide&Deep on several ranks.", default_config=DEFAULT_CONFIG)
    ranks = Ranks.of_environment()
    servers = int(os.environ.get(SERVERS, "0"))
    if not 0 <= servers < ranks.size:
        raise ConfigError(f"{SERVERS} = {servers}: expected less than the {ranks.size} ranks")
    give_way(config.nice)
    setup_logging(logging.INFO if ranks.rank == 0 else logging.WARNING)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C, until training takes over both
    held: ContextManager[None] = nullcontext()
    if ranks.rank == 0:
        held = held_folders(checkpoint_path=config.checkpoint_path, publish_path=config.publish_path)
    try:
        with held:
            exchange = open_exchange(ranks)
            summary = train(config, exchange, servers)
            exchange.close()
    except KeyboardInterrupt:
        logger.info("stopped before training began")
        return 0
    if ranks.rank == 0:
        print(json.dumps(summary), flush=True)
    return 0


if __name__ == "__main__":
    run_cli(main)
