"""The embedding table alone: speed, memory, pauses while it grows, eviction; as one JSON line.

    python benchmarks/sparse_engine.py [--rows_max 50000000]

``lookup_ms`` and ``update_ms`` are for a batch of 4096 x 39 Zipf ids and rows of 16 floats under Adagrad, duplicates
found and gradients summed included; ``baseline_ratio`` is the time of the faster of NumPy (``np.unique`` and fancy
indexing) and, where installed, PyTorch (sparse embedding, Adagrad) over ours. ``step_ratio_across_sizes`` compares
whole training steps with uniform ids over 200k, 5.86M and ``rows_max`` rows. Memory is that of the process, beyond the
vectors and their optimizer state, at ``rows_max`` and at worst on the way. A pause is the longest lookup or update less
the median one while the table grows from 1M rows, by batches of which a tenth is new, and where all of it is; beside it
that of the same lookups once the table grows no more, which is the machine's share.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from typing import Callable, Dict, List, Optional, Tuple

import _venv  # noqa: F401
import numpy as np
import psutil
from _machine import machine
from tqdm import tqdm

from mindspore_rec.config import ModelConfig
from mindspore_rec.embedding.optimizers import Adagrad
from mindspore_rec.embedding.table import HashTable

BATCH, FIELDS, DIM = 4096, 39, 16
ROUNDS = 15
CONTROL_CALLS = 1000
STEPS = 41
LEARNING_RATE = 0.05
Call = Callable[[], object]


def zipf_ids(batches: int, vocabulary: int) -> np.ndarray:
    """int64[batches, BATCH * FIELDS], power-law ranks with exponent 1.05."""
    rng = np.random.default_rng(3)
    shares = np.cumsum(np.arange(1, vocabulary + 1) ** -1.05)
    return np.searchsorted(shares, rng.random((batches, BATCH * FIELDS)) * shares[-1]).astype(np.int64)


def ours(ids: np.ndarray, grads: np.ndarray, vocabulary: int) -> Tuple[Call, Call]:
    """Lookup and update of our table, which holds the whole vocabulary, over batches in turn."""
    table = HashTable(DIM, Adagrad(LEARNING_RATE))
    fill(table, 0, vocabulary)
    turn, batch = iter(np.tile(np.arange(len(ids)), 1000)), [table.prepare(ids[0])]
    out = np.empty_like(grads)  # as in a training step, which hands the same memory to the graph each time

    def lookup() -> None:
        batch[0] = table.prepare(ids[next(turn)])
        table.read(batch[0], out)

    return lookup, lambda: table.apply(batch[0], table.sum_gradients(batch[0], grads)[0])


def with_numpy(ids: np.ndarray, grads: np.ndarray, vocabulary: int) -> Tuple[Call, Call]:
    """The same in NumPy; the ids are row numbers, which spares it the hash table."""
    rows = np.zeros((vocabulary, DIM), np.float32)
    sums = np.full((vocabulary, DIM), 0.1, np.float32)
    turn = iter(np.tile(np.arange(len(ids)), 1000))
    found = [np.unique(ids[0], return_inverse=True)]

    def lookup() -> np.ndarray:
        found[0] = np.unique(ids[next(turn)], return_inverse=True)
        return rows[found[0][0]][found[0][1]]

    def update() -> None:
        unique, inverse = found[0]
        order = np.argsort(inverse, kind="stable")
        starts = np.concatenate(([0], np.flatnonzero(np.diff(inverse[order])) + 1))
        total = np.add.reduceat(grads[order], starts)
        sums[unique] += total**2
        rows[unique] -= LEARNING_RATE * total / np.sqrt(sums[unique])

    return lookup, update


def with_torch(ids: np.ndarray, grads: np.ndarray, vocabulary: int) -> Optional[Tuple[Call, Call]]:
    """The same in PyTorch, None where it is not installed; the ids are row numbers."""
    try:
        import torch
    except ImportError:
        return None
    embedding = torch.nn.Embedding(vocabulary, DIM, sparse=True)
    optimizer = torch.optim.Adagrad(embedding.parameters(), lr=LEARNING_RATE, initial_accumulator_value=0.1)
    turn, gradient = iter(np.tile(np.arange(len(ids)), 1000)), torch.from_numpy(grads)
    out = [embedding(torch.from_numpy(ids[0]))]

    def lookup() -> None:
        out[0] = embedding(torch.from_numpy(ids[next(turn)]))

    def update() -> None:
        optimizer.zero_grad()
        out[0].backward(gradient)
        optimizer.step()

    return lookup, update


def against_baselines() -> Dict[str, object]:
    """Times of lookup and update, ours and theirs in turn."""
    vocabulary = 2_000_000
    ids = zipf_ids(8, vocabulary)
    grads = np.random.default_rng(4).standard_normal((BATCH * FIELDS, DIM), dtype=np.float32) * 0.01
    ways = {"ours": ours(ids, grads, vocabulary), "numpy": with_numpy(ids, grads, vocabulary)}
    torch_calls = with_torch(ids, grads, vocabulary)
    if torch_calls is not None:
        ways["pytorch"] = torch_calls
    times: Dict[str, List[Tuple[float, float]]] = {name: [] for name in ways}
    for k in tqdm(range(ROUNDS + 2), desc="lookup and update", leave=False):
        for name, (lookup, update) in ways.items():
            for timed in (False, True):  # the first call lets the threads of the way before fall asleep
                begin = time.perf_counter()
                lookup()
                middle = time.perf_counter()
                update()
                if timed and k >= 2:
                    times[name].append((middle - begin, time.perf_counter() - middle))
    median = {name: tuple(statistics.median(column) for column in zip(*pairs)) for name, pairs in times.items()}
    baseline = min((name for name in ways if name != "ours"), key=lambda name: sum(median[name]))
    return {
        "lookup_ms": round(1e3 * median["ours"][0], 2),
        "update_ms": round(1e3 * median["ours"][1], 2),
        "baseline": baseline,
        "baseline_ratio": round(sum(median[baseline]) / sum(median["ours"]), 2),
    }


def fill(table: HashTable, begin: int, end: int) -> List[float]:
    """Give the ids of a range rows, a batch at a time; seconds of each call."""
    seconds = []
    step = BATCH * FIELDS
    for first in tqdm(range(begin, end, step), desc=f"to {end:,} rows", leave=False):
        ids = np.arange(first, min(first + step, end), dtype=np.int64)
        start = time.perf_counter()
        table.prepare(ids)
        seconds.append(time.perf_counter() - start)
    return seconds


def pause_ms(seconds: List[float], percentile: float = 100.0) -> float:
    """The longest call, or another percentile, less the median one; 0 without calls."""
    return round(1e3 * (float(np.percentile(seconds, percentile)) - statistics.median(seconds)), 1) if seconds else 0.0


def growth(rows: int) -> Dict[str, object]:
    """Memory and pauses while growing by batches of which a tenth is new; the time of a million evictions."""
    process, rng = psutil.Process(), np.random.default_rng(5)
    grads = np.full((BATCH * FIELDS, DIM), 0.01, np.float32)
    out, table = np.empty_like(grads), HashTable(DIM, Adagrad(LEARNING_RATE))
    table.apply(table.prepare(np.arange(1)), grads[:1])
    before = process.memory_info().rss
    fill(table, 1, min(1_000_000, rows))
    new, overhead = BATCH * FIELDS // 10, []
    calls: Dict[str, List[float]] = {"lookup": [], "update": []}
    with tqdm(total=rows, initial=len(table), desc="a tenth new", unit="row", unit_scale=True, leave=False) as bar:
        while len(table) < rows:
            first = len(table)
            fresh = np.arange(first, min(first + new, rows))
            ids = np.concatenate((fresh, rng.integers(0, first, BATCH * FIELDS - fresh.size)))
            start = time.perf_counter()
            batch = table.prepare(ids)
            table.read(batch, out)
            middle = time.perf_counter()
            table.apply(batch, table.sum_gradients(batch, grads)[0])
            calls["lookup"].append(middle - start)
            calls["update"].append(time.perf_counter() - middle)
            bar.update(len(table) - first)
            if first * 10 // rows != len(table) * 10 // rows:
                overhead.append((process.memory_info().rss - before) / len(table) - 2 * DIM * 4)
    still = []
    for _ in range(CONTROL_CALLS if calls["lookup"] else 0):
        ids = rng.integers(0, rows, BATCH * FIELDS)
        start = time.perf_counter()
        table.read(table.prepare(ids), out)
        still.append(time.perf_counter() - start)
    evicted = rng.permutation(rows)[: min(1_000_000, rows // 2)].astype(np.int64)
    resident = process.memory_info().rss
    start = time.perf_counter()
    table.evict(evicted)
    evict_s = time.perf_counter() - start
    fill(table, rows, rows + evicted.size)  # into the rows given back
    return {
        "rows_max": rows,
        "overhead_bytes_per_row": round(overhead[-1], 1),
        "overhead_worst": round(max(overhead), 1),
        "longest_pause_ms": max(pause_ms(calls["lookup"]), pause_ms(calls["update"])),
        "pause_ms_p99": max(pause_ms(calls["lookup"], 99.0), pause_ms(calls["update"], 99.0)),
        "longest_pause_without_growth_ms": pause_ms(still),
        "evict_million_s": round(evict_s, 3),
        "evicted_memory_reused": process.memory_info().rss - resident < 64 << 20,
    }


def growth_with_statistics(rows: int) -> Dict[str, object]:
    """Memory of a table that counts and dates its ids; and the longest pause where all ids of a batch are new."""
    process = psutil.Process()
    table = HashTable(DIM, Adagrad(LEARNING_RATE), statistics=True)
    fill(table, 0, 1)
    before = process.memory_info().rss
    fill(table, 1, min(1_000_000, rows))
    seconds = fill(table, min(1_000_000, rows), rows)
    overhead = (process.memory_info().rss - before) / len(table) - 2 * DIM * 4
    return {
        "overhead_bytes_per_row_with_stats": round(overhead, 1),
        "all_new_ms": round(1e3 * statistics.median(seconds), 1),
        "all_new_longest_pause_ms": pause_ms(seconds),
    }


def step_ratio(sizes: List[int]) -> Dict[str, object]:
    """Milliseconds of a whole training step at each size, and slowest over fastest."""
    import mindspore as ms
    from online_training import train_step

    ms.set_context(mode=ms.GRAPH_MODE, device_target="CPU")
    config = ModelConfig()
    rng = np.random.default_rng(6)
    weights = rng.random((BATCH, FIELDS), dtype=np.float32)
    labels = (rng.random((BATCH, 1)) < 0.25).astype(np.float32)
    step = train_step(config)
    times, filled = {}, 0
    for size in sizes:
        for lookup in (step.network.wide.table, step.network.deep.table):
            fill(lookup.table, filled, size)
        filled = size
        seconds = []
        for _ in range(STEPS + 2):
            ids = rng.integers(0, size, (BATCH, FIELDS))
            begin = time.perf_counter()
            step(ids, weights, labels)
            seconds.append(time.perf_counter() - begin)
        times[size] = statistics.median(seconds[2:])
    return {
        "step_ms": {str(size): round(1e3 * value, 1) for size, value in times.items()},
        "step_ratio_across_sizes": round(max(times.values()) / min(times.values()), 3),
    }


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows_max", type=int, default=50_000_000)
    rows = parser.parse_args().rows_max
    result = {**against_baselines(), **growth(rows), **growth_with_statistics(rows)}
    result.update(step_ratio([min(n, rows) for n in (200_000, 5_860_000, rows)]))
    print(json.dumps({**result, "machine": machine()}))


if __name__ == "__main__":
    main()
