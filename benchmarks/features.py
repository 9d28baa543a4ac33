"""Rows a second of the feature engines on one thread, as one JSON line.

    python benchmarks/features.py [--rows 100000] [--entries 2100000] [--repeats 11]

Rows look like Criteo's: skewed counts, 8-hex categories whose frequencies fall off as a power law, missing values, and
values the dictionary does not know. Every figure includes decoding the message. ``numba_tsv_*`` reads block messages of
1000 lines, one a call, as the consumer does; ``reference_apply`` is the row-wise pandas way: JSON, then three
``DataFrame.apply``. The arrays of all ways are compared in the run.
"""

from __future__ import annotations

import argparse
import json
import os
import pickle
import platform
import tempfile
import time
from pathlib import Path
from typing import Callable, Dict, List, Tuple

import _venv  # noqa: F401
import numpy as np
import pandas as pd

from mindspore_rec.config import FeatureConfig
from mindspore_rec.features.batch import Features
from mindspore_rec.features.engine import FeatureEngine, make_engine

DENSE, SLOTS = 13, 26
BLOCK_ROWS = 1000
# Shares of the dictionary: a few fields hold most of it, most fields are small.
SHARES = np.array([3000, 600, 350000, 220000, 300, 20, 12000, 600, 3, 60000, 5600, 330000, 3100, 27, 13000, 300000, 10,
                   4700, 2000, 4, 320000, 17, 15, 90000, 90, 65000], float)  # fmt: skip
MISSING = 0.12
UNKNOWN = 0.02

Dictionaries = Tuple[Dict[str, float], Dict[str, float], Dict[str, int]]


def category_texts(field: int, ranks: np.ndarray) -> List[str]:
    """Eight hex digits a value, different for each rank of a field."""
    mixed = (ranks.astype(np.uint64) * np.uint64(2654435761) + np.uint64(field * 40503)) & np.uint64(0xFFFFFFFF)
    return [f"{value:08x}" for value in mixed.tolist()]


def cardinalities(entries: int) -> np.ndarray:
    """int64[26] values of each field, ``entries`` or a few more together."""
    return np.ceil(SHARES / SHARES.sum() * entries).astype(np.int64)


def make_rows(rows: int, entries: int, rng: np.random.Generator) -> List[List[str]]:
    """Columns of texts: label, numbers, categories."""
    columns = [np.where(rng.random(rows) < 0.25, "1", "0").tolist()]
    for field in range(DENSE):
        counts = np.floor(np.exp(rng.normal(1.0 + 7.0 * (field == 4), 1.6, rows))).astype(np.int64)
        counts -= 3 * (field == 1)
        columns.append([str(count) for count in counts.tolist()])
    for field, size in enumerate(cardinalities(entries).tolist()):
        ranks = np.floor(size * rng.random(rows) ** 3).astype(np.int64)
        ranks[rng.random(rows) < UNKNOWN] += size
        columns.append(category_texts(field, ranks))
    for column in columns[1:]:
        for row in np.flatnonzero(rng.random(rows) < MISSING).tolist():
            column[row] = ""
    return columns


def make_dictionaries(columns: List[List[str]], entries: int) -> Dictionaries:
    """Largest and smallest numbers, and ids of values, as MindSpore's Criteo preprocessing writes them."""
    numbers = [[int(text) for text in column if text] for column in columns[1 : 1 + DENSE]]
    largest = {f"I{i + 1}": float(max(values)) for i, values in enumerate(numbers)}
    smallest = {f"I{i + 1}": float(min(values)) for i, values in enumerate(numbers)}
    ids = {f"I{i + 1}": i for i in range(DENSE)}
    ids.update({f"OOVC{i + 1}": DENSE + i for i in range(SLOTS)})
    for field, size in enumerate(cardinalities(entries).tolist()):
        for text in category_texts(field, np.arange(size)):
            ids[f"C{field + 1}_{text}"] = len(ids)
    return largest, smallest, ids


def dictionary_config(folder: Path, dictionaries: Dictionaries, engine: str = "numba") -> FeatureConfig:
    """Configuration with the dictionaries written to a folder."""
    paths = {}
    for key, values in zip(("max_dict", "min_dict", "map_dict"), dictionaries):
        paths[key] = str(folder / f"{key}.pkl")
        if not Path(paths[key]).exists():
            with open(paths[key], "wb") as file:
                pickle.dump(values, file)
    return FeatureConfig(engine=engine, **paths)


def block_messages(columns: List[List[str]]) -> List[bytes]:
    """Messages of 1000 lines."""
    lines = ["\t".join(row) for row in zip(*columns)]
    return ["\n".join(lines[i : i + BLOCK_ROWS]).encode() for i in range(0, len(lines), BLOCK_ROWS)]


def json_messages(columns: List[List[str]]) -> List[bytes]:
    """A JSON list a row, as a producer that reads with pandas writes it: integers, strings, null."""
    first = 1 + DENSE
    rows = ([int(x) if x else None for x in row[:first]] + [x or None for x in row[first:]] for row in zip(*columns))
    return [json.dumps(row).encode() for row in rows]


def reference_apply(messages: List[bytes], dictionaries: Dictionaries) -> Tuple[np.ndarray, np.ndarray]:
    """The row-wise pandas way: decode JSON, then scale, map and split with one ``DataFrame.apply`` each."""
    largest, smallest, by_name = dictionaries
    lows = [smallest[f"I{i + 1}"] for i in range(DENSE)]
    ranges = [largest[f"I{i + 1}"] - low for i, low in enumerate(lows)]
    fields = [(f"C{i + 1}_", by_name[f"OOVC{i + 1}"]) for i in range(SLOTS)]
    frame = pd.DataFrame([json.loads(message) for message in messages], dtype=object)

    def scale(row: pd.Series) -> List[float]:
        scaled = [0.0 if x is None else (x - low) / size for x, low, size in zip(row.tolist(), lows, ranges)]
        return scaled + [1.0] * SLOTS

    def to_ids(row: pd.Series) -> List[int]:
        return [*range(DENSE), *(by_name.get(key + (x or ""), oov) for x, (key, oov) in zip(row.tolist(), fields))]

    frame["weights"] = frame.loc[:, 1:DENSE].apply(scale, axis=1)
    frame["ids"] = frame.loc[:, 1 + DENSE : DENSE + SLOTS].apply(to_ids, axis=1)
    columns = frame[["ids", "weights", 0]].apply(lambda row: row.tolist(), axis=1, result_type="expand")
    return np.array(columns[0].tolist(), np.int64), np.array(columns[1].tolist(), np.float32)


def rates(ways: Dict[str, Tuple[int, Callable[[], object]]], repeats: int) -> Dict[str, float]:
    """Rows a second of each way (its rows, its work): the median of several runs, the ways in turn."""
    seconds: Dict[str, List[float]] = {name: [] for name in ways}
    for _ in range(repeats):
        for name, (_, work) in ways.items():
            start = time.perf_counter()
            work()
            seconds[name].append(time.perf_counter() - start)
    return {name: rows / float(np.median(seconds[name])) for name, (rows, _) in ways.items()}


def each(engine: FeatureEngine, messages: List[List[bytes]], format: str) -> None:
    """One call a batch of messages, the arrays dropped."""
    for batch in messages:
        engine.transform(batch, format)


def check_same(one: Features, other: Features, rows: int) -> None:
    """All rows kept, all weights finite, the same arrays to the bit."""
    assert len(one) == len(other) == rows and np.isfinite(one.weights).all()
    assert one.ids.tobytes() == other.ids.tobytes()
    assert one.weights.tobytes() == other.weights.tobytes()
    assert one.labels.tobytes() == other.labels.tobytes()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000, help="rows of the numba figures")
    parser.add_argument("--entries", type=int, default=2_100_000, help="values in the dictionary")
    parser.add_argument("--repeats", type=int, default=11, help="runs of which the median is taken")
    options = parser.parse_args()
    columns = make_rows(options.rows, options.entries, np.random.default_rng(7))
    few = min(options.rows, 20_000)
    blocks = block_messages(columns)
    rows_as_json = json_messages(columns)
    dictionaries = make_dictionaries(columns, options.entries)
    with tempfile.TemporaryDirectory() as folder:
        by_dict = make_engine(dictionary_config(Path(folder), dictionaries))
        pandas_engine = make_engine(dictionary_config(Path(folder), dictionaries, "pandas"))
    by_hash = make_engine(FeatureConfig())

    some = blocks[: few // BLOCK_ROWS]
    expected = by_dict.transform(some, "block")
    check_same(expected, pandas_engine.transform(some, "block"), few)
    check_same(by_hash.transform(blocks, "block"), by_hash.transform(rows_as_json, "json"), options.rows)
    ids, weights = reference_apply(rows_as_json[:2000], dictionaries)
    assert np.array_equal(ids, expected.ids[:2000]) and np.allclose(weights, expected.weights[:2000], rtol=1e-6)

    per_call = [[message] for message in blocks]
    json_calls = [rows_as_json[i : i + BLOCK_ROWS] for i in range(0, options.rows, BLOCK_ROWS)]
    ways: Dict[str, Tuple[int, Callable[[], object]]] = {
        "numba_tsv_dict": (options.rows, lambda: each(by_dict, per_call, "block")),
        "numba_tsv_hash": (options.rows, lambda: each(by_hash, per_call, "block")),
        "numba_json_hash": (options.rows, lambda: each(by_hash, json_calls, "json")),
        "pandas": (few, lambda: pandas_engine.transform(some, "block")),
        "reference_apply": (2000, lambda: reference_apply(rows_as_json[:2000], dictionaries)),
    }
    measured = rates(ways, options.repeats)
    result = {name: round(value) for name, value in measured.items()}
    result["reference_ratio"] = round(measured["numba_tsv_dict"] / measured["reference_apply"], 1)
    result["dict_entries"] = sum(name.startswith("C") for name in dictionaries[2])
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    print(json.dumps({**result, "rows_per_call": BLOCK_ROWS, "machine": machine}))


if __name__ == "__main__":
    main()
