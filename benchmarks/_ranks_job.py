"""A rank of a benchmark job: trains Wide&Deep on rows from memory and leaves its state and times in a folder.

Global batch k is the same rows in every layout; worker r takes its contiguous slice.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any, Dict, Iterator, List, Tuple

import numpy as np

from mindspore_rec.config import ModelConfig
from mindspore_rec.distributed.exchange import Exchange
from mindspore_rec.distributed.ranks import Ranks, open_exchange
from mindspore_rec.logs import quiet_mindspore

COLUMNS = ("ids", "weights", "labels")


class Slices:
    """This worker's slices of the global batches, as a data set of `online_train`.

    Args:
        folder: of COLUMNS as .npy files.
        steps: global batches.
        global_rows: rows of each.
        worker, workers: which slice; worker >= workers: none.
    """

    def __init__(self, folder: Path, steps: int, global_rows: int, worker: int, workers: int) -> None:
        self._columns = [np.load(folder / f"{name}.npy", mmap_mode="r") for name in COLUMNS]
        self.batch_size = global_rows // workers
        self._steps = steps if worker < workers else 0
        self._first, self._stride = worker * self.batch_size, global_rows

    def get_dataset_size(self) -> int:
        """Batches of this worker."""
        return max(self._steps, 1)

    def create_tuple_iterator(self, **options: Any) -> Iterator[Tuple[Any, ...]]:
        """The slices."""
        from mindspore import Tensor

        for step in range(self._steps):
            first = step * self._stride + self._first
            yield tuple(Tensor(np.array(column[first : first + self.batch_size])) for column in self._columns)

    def empty_batch(self) -> Tuple[Any, ...]:
        """A batch without rows."""
        from mindspore import Tensor

        return tuple(Tensor(np.array(column[:0])) for column in self._columns)


class Counted:
    """An exchange that counts bytes sent to other ranks, and the seconds in it."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange, self.rank, self.size = exchange, exchange.rank, exchange.size
        self.sent, self.seconds = 0, 0.0

    def _timed(self, sent: int, call: Any, *given: Any) -> Any:
        begin = time.perf_counter()
        result = call(*given)
        self.seconds += time.perf_counter() - begin
        self.sent += sent
        return result

    def sum(self, array: np.ndarray) -> np.ndarray:
        """See `Exchange`."""
        sent = 2 * array.nbytes * (self.size - 1) // max(self.size, 1)
        found: np.ndarray = self._timed(sent, self._exchange.sum, array)
        return found

    def all_to_all(self, parts: List[np.ndarray]) -> List[np.ndarray]:
        """See `Exchange`."""
        sent = sum(part.nbytes for rank, part in enumerate(parts) if rank != self.rank)
        found: List[np.ndarray] = self._timed(sent, self._exchange.all_to_all, parts)
        return found

    def gather(self, array: np.ndarray) -> List[np.ndarray]:
        """See `Exchange`."""
        found: List[np.ndarray] = self._timed(array.nbytes * (self.size - 1), self._exchange.gather, array)
        return found

    def broadcast(self, content: bytes, root: int = 0) -> bytes:
        """See `Exchange`."""
        return self._exchange.broadcast(content, root)

    def close(self) -> None:
        """See `Exchange`."""
        self._exchange.close()


def run(given: argparse.Namespace) -> Dict[str, Any]:
    """Train and write what this rank has."""
    quiet_mindspore()
    import mindspore as ms
    from mindspore import nn
    from mindspore.train import Callback, RunContext

    from mindspore_rec import RecModel
    from mindspore_rec.metrics.progressive import ProgressiveWindow
    from mindspore_rec.models.rank.wide_deep.model import WideDeep
    from mindspore_rec.train.losses import LogLoss
    from mindspore_rec.train.trainer_state import TrainerState
    from mindspore_rec.train.window_monitor import WindowMonitor

    class StepEnds(Callback):
        def __init__(self) -> None:
            super().__init__()
            self.ends: List[float] = []

        def on_train_step_end(self, run_context: RunContext) -> None:
            self.ends.append(time.perf_counter())

    ms.set_context(mode=ms.GRAPH_MODE, device_target="CPU")
    ranks = Ranks.of_environment()
    if given.pin and ranks.rank < (os.cpu_count() or 1):
        os.sched_setaffinity(0, {sorted(os.sched_getaffinity(0))[ranks.rank]})
    exchange = Counted(open_exchange(ranks))
    servers = int(os.environ.get("MSREC_SERVER_NUM", "0"))
    workers = ranks.size - servers
    owners = range(workers, ranks.size) if servers else range(ranks.size)
    network = WideDeep(ModelConfig(batch_size=given.global_rows // workers))
    model = RecModel(
        network,
        LogLoss(),
        nn.Adam(network.trainable_params(), 1e-3),
        exchange=exchange,
        owners=owners,
        clock=lambda: 1e9,
        exact_rows=given.exact_rows,
    )
    window, ends = ProgressiveWindow(given.global_rows * given.steps), StepEnds()
    data = Slices(given.folder, given.steps, given.global_rows, ranks.rank, workers)
    model.online_train(data, callbacks=[WindowMonitor(window), ends])
    state = TrainerState(model, window).checkpoint({})
    tables = {name: arrays for name, arrays in state.groups.items() if name.startswith("table-")}
    if given.out:
        arrays = {f"{name}.{key}": arrays[key] for name, arrays in tables.items() for key in ("ids", "rows")}
        arrays.update({f"dense.{name}": array for name, array in state.groups["dense"].items()})
        np.savez(given.out / f"rank-{ranks.rank}.npz", **arrays)
    seconds = np.diff(ends.ends[3:])
    found = {
        "auc": window.auc(),
        "steps": len(ends.ends),
        "step_ms": round(1e3 * float(np.median(seconds)), 2),
        "samples_per_s": round(given.global_rows / float(np.median(seconds)), 1),
        "exchange_ms": round(1e3 * exchange.seconds / len(ends.ends), 2),
        "bytes_per_sample": round(exchange.sent * ranks.size / (given.global_rows * len(ends.ends)), 1),
        "rows": {name: int(arrays["ids"].size) for name, arrays in tables.items()},
    }
    exchange.close()
    if ranks.rank == 0 and given.report:
        given.report.write_text(json.dumps(found))
    return found


def main() -> None:
    """Run one rank."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--report", type=Path)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--global_rows", type=int, default=4096)
    parser.add_argument("--exact_rows", type=int, default=0)
    parser.add_argument("--pin", action="store_true")
    run(parser.parse_args())
    sys.stdout.flush()


if __name__ == "__main__":
    main()
