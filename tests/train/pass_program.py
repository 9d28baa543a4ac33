"""One rank of a run of passes: says what it trained, and what it holds then.

Its argument is JSON: save, data and out (folders), and options: servers, staleness, runner, dataset.
"""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path
from typing import Any, Dict, List, Optional

from mindspore_rec.config import UserError
from mindspore_rec.distributed.ranks import Ranks, open_exchange
from mindspore_rec.stream.pass_schedule import PassKey
from mindspore_rec.train.part_metrics import PartMetrics
from mindspore_rec.train.pass_loop import NoReports, train_passes
from mindspore_rec.train.place import Place
from tests.train.small_passes import digest_of, passes_of


class Rows(NoReports):
    """How many rows of this rank were predicted and trained in each stage, and how many were expected."""

    def __init__(self) -> None:
        self.told: List[List[Optional[int]]] = []

    def begin_stage(self, key: PassKey, stage: str, rows: Optional[int]) -> None:
        self.told.append([0, rows])

    def advance(self, rows: int) -> None:
        self.told[-1][0] = (self.told[-1][0] or 0) + rows


class Gauc(Rows):
    """Also the AUC within groups."""

    def __init__(self) -> None:
        super().__init__()
        self.gauc: List[Optional[float]] = []

    def end_stage(self, key: PassKey, stage: str, metrics: PartMetrics) -> None:
        self.gauc.append(metrics.gauc)


def main(given: Dict[str, Any]) -> int:
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    exchange = open_exchange(Ranks.of_environment())
    place = Place(exchange, given.get("servers", 0), given.get("staleness", 0))
    passes = passes_of(
        Path(given["save"]),
        given["data"],
        place=place,
        dataset=given.get("dataset"),
        settings=given.get("settings"),
        **given.get("runner", {}),
    )
    reports = Gauc()
    try:
        trained = train_passes(passes, reports)
    except UserError as error:
        logging.error("%s", error)
        return error.exit_status
    progress = passes.job.rec_model.progress
    said = {
        "trained": [[one.key.day, one.key.number, one.infer.line(), one.train.line()] for one in trained],
        "infer": [one.infer._asdict() for one in trained],
        "train": [one.train._asdict() for one in trained],
        "rows": reports.told,
        "gauc": reports.gauc,
        "tables": [len(table) for table in passes.job.tables],
        "progress": [progress.step, progress.rows_trained, progress.rows_rejected],
        "digest": digest_of(passes.job) if exchange.size == 1 else "",
    }
    exchange.close()
    (Path(given["out"]) / f"rank-{exchange.rank}.json").write_text(json.dumps(said))
    return 0


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.argv[1])))
