"""Checkpoints of a trainer at work: how long training waits for them, how large and how fast they are, what they cost.

    python benchmarks/checkpointing.py

Wide&Deep with 5.86M rows a table, the default stream at batch 4096, checkpoints in run/. Stalls are the
time the training thread spends in the checkpoint callback. Throughput is compared between segments with a delta every
5 s and segments without any checkpoint, in turn. Prints one JSON line.
"""

from __future__ import annotations

import argparse
import gc
import json
import shutil
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional, Tuple

import mindspore as ms
import numpy as np
from _criteo_rows import CHUNK
from _machine import machine
from mindspore import nn
from mindspore.train import Callback, RunContext
from tqdm import tqdm

from mindspore_rec import RecModel
from mindspore_rec.checkpoint.chain import read_state
from mindspore_rec.checkpoint.format import manifest_of
from mindspore_rec.checkpoint.manifest import Manifest
from mindspore_rec.checkpoint.store import CheckpointStore
from mindspore_rec.config import FeatureConfig, ModelConfig
from mindspore_rec.data.synthetic import SyntheticStream
from mindspore_rec.features.engine import make_engine
from mindspore_rec.logs import quiet_mindspore
from mindspore_rec.metrics.progressive import ProgressiveWindow
from mindspore_rec.models.rank.wide_deep.model import WideDeep
from mindspore_rec.train.losses import LogLoss
from mindspore_rec.train.online_checkpoint import Every, OnlineCheckpoint
from mindspore_rec.train.trainer_state import TrainerState
from mindspore_rec.train.window_monitor import WindowMonitor

BATCH = 4096
FULL_EVERY, FULLS = 40, 5
DELTA_STEPS = 50
SEGMENTS = 4  # of each kind
DELTA_SECONDS = 5.0
SEGMENT_STEPS = 110  # some 23 s
Batch = Tuple[np.ndarray, np.ndarray, np.ndarray]


class Feed:
    """Batches of the stream without an end, as a data set of `online_train`."""

    batch_size = BATCH

    def __init__(self, seed: int = 7) -> None:
        self._stream, self._engine, self._row = SyntheticStream(seed), make_engine(FeatureConfig()), 0

    def rows(self) -> Any:
        """The next rows."""
        self._row += CHUNK
        return self._engine.transform([self._stream.lines(self._row - CHUNK, CHUNK)], "block")

    def batches(self, count: int) -> List[Batch]:
        """The next batches, made before anybody is timed."""
        made: List[Batch] = []
        with tqdm(total=count, desc="batches", leave=False) as bar:
            while len(made) < count:
                rows = self.rows()
                for k in range(0, CHUNK - BATCH + 1, BATCH):
                    part = slice(k, k + BATCH)
                    made.append((rows.ids[part].copy(), rows.weights[part].copy(), rows.labels[part].copy()))
                bar.update(len(made) - bar.n)
        return made[:count]


class Batches:
    """A bounded data set."""

    batch_size = BATCH

    def __init__(self, batches: List[Batch]) -> None:
        self._batches = batches

    def get_dataset_size(self) -> int:
        """How many batches there are."""
        return len(self._batches)

    def create_tuple_iterator(self, **options: Any) -> Iterator[Tuple[ms.Tensor, ...]]:
        """The batches."""
        for batch in self._batches:
            yield tuple(ms.Tensor.from_numpy(column) for column in batch)


class Timed(OnlineCheckpoint):
    """Notes how long training waits in it, and when steps end."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.stalls: List[float] = []
        self.seconds: List[float] = []
        self.manifests: List[Manifest] = []

    def on_train_step_end(self, run_context: RunContext) -> None:
        begin = time.perf_counter()
        before = self._begun_step
        super().on_train_step_end(run_context)
        if self._begun_step != before:
            self.stalls.append(time.perf_counter() - begin)

    def _note(self, written: Optional[Any]) -> None:
        super()._note(written)
        if written is not None and written.manifest is not None:
            self.seconds.append(written.seconds)
            self.manifests.append(written.manifest)


class StepTimes(Callback):
    """When steps ended."""

    def __init__(self) -> None:
        super().__init__()
        self.ends: List[float] = []

    def on_train_step_end(self, run_context: RunContext) -> None:
        self.ends.append(time.perf_counter())

    def samples_per_s(self, skip: int = 3) -> float:
        """Rows over the time of all steps but the first."""
        return BATCH * (len(self.ends) - 1 - skip) / (self.ends[-1] - self.ends[skip])


def fill(state: TrainerState, feed: Feed, rows: int) -> None:
    """Give the stream's ids rows until each table has so many."""
    tables = [lookup.table for lookup in state.lookups]
    with tqdm(total=rows, desc="rows", unit_scale=True, leave=False) as bar:
        while len(tables[0]) < rows:
            ids = feed.rows().ids
            for table in tables:
                table.prepare(ids)
            bar.update(len(tables[0]) - bar.n)
    for lookup in state.lookups:
        lookup.refresh_stamp()


def full_checkpoints(state: TrainerState, monitor: WindowMonitor, feed: Feed, folder: Path) -> Dict[str, object]:
    """Stalls, seconds to write and to restore."""
    store = CheckpointStore(folder, keep=1)
    callback = Timed(store, state, Every(steps=FULL_EVERY))
    times = StepTimes()
    batches = feed.batches(FULL_EVERY * FULLS + 1)
    state.model.online_train(Batches(batches), callbacks=[monitor, callback, times])
    stalls = [1e3 * seconds for seconds in callback.stalls]
    steps = np.diff(times.ends)
    begin = time.perf_counter()
    found = read_state(callback.last_path or folder)
    state.restore(found)
    restore_s = time.perf_counter() - begin
    size = sum(manifest_of(callback.last_path or folder).files.values())
    del found
    gc.collect()
    return {
        "stall_ms_p50": round(statistics.median(stalls), 1),
        "stall_ms_max": round(max(stalls), 1),
        "write_s": round(statistics.median(callback.seconds), 2),
        "restore_s": round(restore_s, 2),
        "full_mib": size >> 20,
        "step_ms": round(1e3 * float(np.median(steps)), 1),
        "longest_step_ms": round(1e3 * float(steps[1:].max()), 1),
    }


def deltas(state: TrainerState, monitor: WindowMonitor, feed: Feed, folder: Path) -> Dict[str, object]:
    """Bytes, stall and seconds of deltas after 50 steps each, on one full checkpoint."""
    store = CheckpointStore(folder / "deltas", keep=1)
    callback = Timed(store, state, Every(), Every(steps=DELTA_STEPS))
    state.model.online_train(Batches(feed.batches(5 * DELTA_STEPS + 1)), callbacks=[monitor, callback])
    base, first = store.paths()[0], callback.manifests[1:5]
    size = sum(manifest_of(base).files.values())
    dense = manifest_of(base).files["dense.safetensors"]
    ratios, touched = [], []
    whole = manifest_of(base)
    for manifest in first:
        tables = {name: about.rows[""].changed for name, about in manifest.groups.items() if "" in about.rows}
        ideal = sum(
            whole.files[f"{name}.safetensors"] * changed / whole.groups[name].rows[""].total
            for name, changed in tables.items()
        )
        ratios.append(sum(manifest.files.values()) / (ideal + dense))
        touched.append(sum(tables.values()) // len(tables))
    return {
        "touched_rows": int(statistics.median(touched)),
        "rows": {name: about.rows[""].total for name, about in first[-1].groups.items() if "" in about.rows},
        "delta_mib": round(statistics.median(sum(manifest.files.values()) for manifest in first) / 2**20, 1),
        "delta_share_of_full": round(sum(first[-1].files.values()) / size, 3),
        "delta_bytes_over_ideal": round(max(ratios), 3),
        "delta_stall_ms": round(1e3 * max(callback.stalls[1:5]), 1),
        "delta_publish_s": round(max(callback.seconds[1:5]), 2),
        "delta_publish_s_p50": round(statistics.median(callback.seconds[1:5]), 2),
    }


def throughput(state: TrainerState, monitor: WindowMonitor, feed: Feed, folder: Path) -> Dict[str, object]:
    """Samples a second with a delta every 5 s and without, in turn."""
    store = CheckpointStore(folder / "throughput", keep=1)
    found: Dict[str, List[float]] = {"with": [], "without": []}
    count = 0
    for segment in range(2 * SEGMENTS):
        base = Timed(store, state, Every(steps=1))  # in both kinds, and not timed: a delta adds to one
        state.model.online_train(Batches(feed.batches(1)), callbacks=[monitor, base])
        batches, times = feed.batches(SEGMENT_STEPS), StepTimes()
        callbacks: List[Callback] = [monitor, times]
        kind = "without" if segment % 4 in (1, 2) else "with"
        if kind == "with":
            saver = Timed(store, state, Every(), Every(seconds=DELTA_SECONDS), restored=base.manifests[-1])
            callbacks.append(saver)
        state.model.online_train(Batches(batches), callbacks=callbacks)
        if kind == "with":
            count += sum(manifest.kind == "delta" for manifest in saver.manifests)
        found[kind].append(times.samples_per_s())
    loss = 1 - statistics.median(found["with"]) / statistics.median(found["without"])
    return {
        "throughput_loss": round(loss, 4),
        "samples_per_s_without": [round(value) for value in found["without"]],
        "samples_per_s_with": [round(value) for value in found["with"]],
        "deltas_meanwhile": count,
    }


def _folder() -> Path:
    """A new folder on the disk of the repository, which a temporary one may not be on."""
    runs = Path(__file__).resolve().parents[1] / "run"
    runs.mkdir(exist_ok=True)
    return Path(tempfile.mkdtemp(prefix="checkpointing-", dir=runs))


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=5_860_000, help="rows of each table")
    given = parser.parse_args()
    quiet_mindspore()
    ms.set_context(mode=ms.GRAPH_MODE, device_target="CPU")
    network = WideDeep(ModelConfig())
    optimizer = nn.Adam(network.trainable_params(), learning_rate=1e-3)
    window = ProgressiveWindow(100_000)
    state, monitor = TrainerState(RecModel(network, LogLoss(), optimizer), window), WindowMonitor(window)
    feed, folder = Feed(), _folder()
    try:
        fill(state, feed, given.rows)
        found = {part.__name__: part(state, monitor, feed, folder) for part in (full_checkpoints, deltas, throughput)}
    finally:
        shutil.rmtree(folder)
    print(json.dumps({**{key: value for part in found.values() for key, value in part.items()}, "machine": machine()}))


if __name__ == "__main__":
    main()
