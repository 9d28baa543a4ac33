"""A rank of `scaling.py`: steps of the first rank alone and of all ranks together, in turn, and their times.

In turn within one process, so that both meet the same machine: the other ranks wait while the first is alone. One
process without a launcher trains with `exact_rows` in place of together.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from pathlib import Path
from typing import Any, Dict, Iterator, List, Tuple

import numpy as np
from _ranks_job import COLUMNS
from _step_split import Split, SplitExchange

from mindspore_rec.config import ModelConfig
from mindspore_rec.distributed.exchange import Alone, Exchange
from mindspore_rec.distributed.ranks import Ranks, open_exchange
from mindspore_rec.distributed.rounds import Rounds
from mindspore_rec.logs import quiet_mindspore

EXACT_ROWS = 1024
Batch = Tuple[np.ndarray, ...]


def batches(folder: Path, rank: int, size: int, rows: int) -> Iterator[Batch]:
    """This rank's batches: of every `size` in the file the one with its number, over and over."""
    columns = [np.load(folder / f"{name}.npy", mmap_mode="r") for name in COLUMNS]
    while True:
        for first in range(rank * rows, len(columns[0]) - size * rows + 1, size * rows):
            yield tuple(np.array(column[first : first + rows]) for column in columns)


def make_step(exchange: Exchange, exact_rows: int = 0) -> Any:
    """The product's own step of the default model, with tables of its own."""
    from mindspore import nn

    from mindspore_rec.models.rank.wide_deep.model import WideDeep
    from mindspore_rec.train.losses import LogLoss
    from mindspore_rec.train.step import TrainStep

    config = ModelConfig()
    network = WideDeep(config)
    optimizer = nn.Adam(network.trainable_params(), config.dense_learning_rate)
    return TrainStep(network, LogLoss(), optimizer, exchange, exact_rows=exact_rows)


def train(step: Any, given: List[Batch], exchange: Exchange) -> List[float]:
    """Train batches in step with the other ranks, as `online_train` does; seconds from end to end of steps."""
    ends = [time.perf_counter()]
    for batch, _ in filter(None, Rounds(((batch, None) for batch in given), exchange, lambda: False)):
        step(*batch)
        ends.append(time.perf_counter())
    return np.diff(ends).tolist()


def split_steps(steps: Dict[str, Any], part: List[Batch], exchange: SplitExchange, split: Split) -> Dict[str, Any]:
    """Milliseconds of the parts of a step of this rank alone, and of all ranks where they meet before they talk."""
    found = {}
    split.of_steps(*steps.values())
    for name, step in steps.items():
        exchange.meet()
        exchange.meets = name == "together"
        split.restart()
        if exchange.meets or exchange.rank == 0:
            train(step, part, exchange if exchange.meets else Alone())
        found[name] = {label: 1e3 * seconds / len(part) for label, seconds in split.seconds.items()}
    return found


def run(given: argparse.Namespace) -> None:
    """Measure; the first rank writes what it found."""
    quiet_mindspore()
    import mindspore as ms

    ms.set_context(mode=ms.GRAPH_MODE, device_target="CPU")
    ranks, split = Ranks.of_environment(), Split()
    exchange = SplitExchange(open_exchange(ranks), split)
    rows = ModelConfig().batch_size
    feed = batches(given.folder, ranks.rank, ranks.size, rows)
    alone = make_step(Alone())
    other = make_step(exchange) if ranks.size > 1 else make_step(Alone(), EXACT_ROWS)
    found: Dict[str, Any] = {"alone": [], "other": [], "cores": len(os.sched_getaffinity(0))}
    seconds: List[float] = []
    for number in range(given.rounds + 1):
        part = [next(feed) for _ in range(given.steps)]
        mine = train(alone, part, Alone()) if ranks.rank == 0 else []
        exchange.meet()  # the others have waited here
        exchange.sent = 0
        ours = train(other, part, exchange)
        if number and ranks.rank == 0:  # the first round compiles, the first step wakes threads
            seconds += mine[1:]
            found["alone"].append(rows / statistics.median(mine[1:]))
            found["other"].append(ranks.size * rows / statistics.median(ours[1:]))
    found["bytes_per_sample"] = exchange.sent / (given.steps * rows)
    found["distinct_ids"] = float(np.mean([len(np.unique(ids)) for ids, _, _ in part]))
    if ranks.size > 1:
        found["step_ms"] = split_steps({"alone": alone, "together": other}, part, exchange, split)
    if ranks.rank == 0:
        found["spread_ms"] = 1e3 * float(np.diff(np.percentile(seconds, [16, 84]))[0]) / 2
        given.report.write_text(json.dumps(found), "utf-8")
    exchange.close()


def main() -> None:
    """Be one rank."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--folder", type=Path, required=True, help="of the rows")
    parser.add_argument("--report", type=Path, required=True)
    parser.add_argument("--rounds", type=int, required=True)
    parser.add_argument("--steps", type=int, required=True, help="of a round, the first is not counted")
    run(parser.parse_args())


if __name__ == "__main__":
    main()
