"""Rows a second and memory of ``process_data.py``, beside the row-wise pandas way, as one JSON line.

    python benchmarks/criteo_processing.py [--rows 5000000] [--large_rows 20000000]

The day file is synthetic: 26 category fields of up to two million distinct values each. ``rows_per_s`` is over both
passes, from the start of the program to its end, MindRecord files written. Memory is the highest sum of the resident
memory of all processes of the program. Of the runs at 5M rows the median is given: the first is slower where a virtual
machine has to fetch its memory first. ``reference_ratio`` is against two ``DataFrame.apply`` passes in one process on
50,000 rows (statistics; ids and weights) and MindRecord samples of one row; both give the same arrays there, checked.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any, Dict, List, Tuple

import _venv  # noqa: F401
import numpy as np
import pandas as pd
import psutil
from _machine import machine
from tqdm import tqdm

from mindspore_rec.data.synthetic import SyntheticStream

PROGRAM = Path(__file__).resolve().parents[1] / "datasets" / "criteo_1tb" / "process_data.py"
DENSE, SLOTS, THRESHOLD = 13, 26, 6
POLL_SECONDS = 0.1  # looking for processes takes some milliseconds of a core
CHUNK = 200_000


def write_day(path: Path, rows: int) -> None:
    """Write a day file of the synthetic stream."""
    stream = SyntheticStream(seed=7)
    with path.open("wb") as file:
        for start in tqdm(range(0, rows, CHUNK), desc=f"writing {rows:,} rows", leave=False):
            file.write(stream.lines(start, min(CHUNK, rows - start)))


def resident(process: psutil.Process) -> int:
    """Bytes of resident memory of a process and those below it."""
    total = 0
    for one in [process, *process.children(recursive=True)]:
        try:
            total += one.memory_info().rss
        except psutil.NoSuchProcess:  # it ended meanwhile
            continue
    return total


def run_program(folder: Path, *arguments: str) -> Tuple[Dict[str, Any], float, float]:
    """Process a folder: the summary, seconds, and the highest memory in MiB."""
    command = [sys.executable, str(PROGRAM), "--data_path", str(folder), "--threshold", str(THRESHOLD), *arguments]
    begin = time.perf_counter()
    program = psutil.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    highest = 0
    while program.poll() is None:
        try:
            highest = max(highest, resident(program))
        except psutil.NoSuchProcess:
            break
        time.sleep(POLL_SECONDS)
    seconds = time.perf_counter() - begin
    assert program.wait() == 0, "process_data.py failed"
    return json.loads(program.stdout.read()), seconds, highest / 2**20


def reference(day: Path, out: Path) -> Tuple[np.ndarray, np.ndarray, float]:
    """Ids, weights and seconds of the row-wise pandas way."""
    from mindspore.mindrecord import FileWriter

    begin = time.perf_counter()
    frame = pd.read_csv(day, sep="\t", header=None, dtype=str, keep_default_na=False)
    highest, lowest = [-np.inf] * DENSE, [np.inf] * DENSE
    counts: List[Counter] = [Counter() for _ in range(SLOTS)]

    def count(row: pd.Series) -> None:
        texts = row.tolist()
        for i, text in enumerate(texts[1 : 1 + DENSE]):
            if text:
                highest[i], lowest[i] = max(highest[i], float(text)), min(lowest[i], float(text))
        for counter, text in zip(counts, texts[1 + DENSE :]):
            counter[text] += 1

    frame.apply(count, axis=1)
    names: Dict[str, int] = {}
    for i, counter in enumerate(counts):
        often = [(-seen, text.encode(), text) for text, seen in counter.items() if seen >= THRESHOLD]
        for _, _, text in sorted(often):
            names[f"C{i + 1}_{text}"] = DENSE + SLOTS + len(names)
    ranges = [high - low for high, low in zip(highest, lowest)]

    def encode(row: pd.Series) -> Tuple[List[int], List[float], float]:
        texts = row.tolist()
        weights = [
            (float(text) - low) / size if text and size else 0.0
            for text, low, size in zip(texts[1 : 1 + DENSE], lowest, ranges)
        ]
        ids = [names.get(f"C{i + 1}_{text}", DENSE + i) for i, text in enumerate(texts[1 + DENSE :])]
        return [*range(DENSE), *ids], weights + [1.0] * SLOTS, float(texts[0])

    rows = frame.apply(encode, axis=1)
    writer = FileWriter(str(out), shard_num=1, overwrite=True)
    kinds = {"id": "int64", "weight": "float32", "label": "float32"}
    writer.add_schema({name: {"type": kind, "shape": [-1]} for name, kind in kinds.items()}, "rows")
    samples = [
        {"id": np.array(ids), "weight": np.array(weights, np.float32), "label": np.array([label], np.float32)}
        for ids, weights, label in rows
    ]
    for start in range(0, len(samples), 1000):
        writer.write_raw_data(samples[start : start + 1000])
    writer.commit()
    seconds = time.perf_counter() - begin
    return np.array([s["id"] for s in samples]), np.array([s["weight"] for s in samples]), seconds


def compare(folder: Path, rows: int) -> float:
    """Rows a second of the row-wise way, after its arrays were found equal to those of the program's files."""
    from mindspore.dataset import MindDataset

    folder.mkdir()
    write_day(folder / "day_0", rows)
    run_program(folder, "--part_num", "1", "--test_size", "0")
    ids, weights, seconds = reference(folder / "day_0", folder / "rows.mindrecord")
    files = [str(path) for path in sorted((folder / "mindrecord").glob("*.mindrecord"))]
    blocks = MindDataset(files, ["id", "weight"], shuffle=False).create_tuple_iterator(num_epochs=1, output_numpy=True)
    read = [np.concatenate(columns) for columns in zip(*blocks)]
    assert np.array_equal(read[0], ids) and np.allclose(read[1], weights, rtol=1e-6)
    return rows / seconds


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--large_rows", type=int, default=20_000_000, help="of the second run; 0: none")
    parser.add_argument("--reference_rows", type=int, default=50_000)
    parser.add_argument("--repeats", type=int, default=3, help="runs over --rows of which the median is taken")
    parser.add_argument("--memory", default="1GiB", help="given to process_data.py")
    options = parser.parse_args()
    root = Path(tempfile.mkdtemp(prefix="criteo_processing-"))
    arguments = ["--part_num", "8", "--memory", options.memory, "--format", "mindrecord"]
    measured: Dict[int, List[Tuple[Dict[str, Any], float, float]]] = {}
    try:
        per_second = compare(root / "reference", options.reference_rows)
        for rows, repeats in ((options.rows, options.repeats), (options.large_rows, min(options.large_rows, 1))):
            folder = root / str(rows)
            folder.mkdir()
            write_day(folder / "day_0", rows)
            for _ in range(repeats):
                measured.setdefault(rows, []).append(run_program(folder, *arguments))
                for made in ("stats_dict", "mindrecord"):
                    shutil.rmtree(folder / made)
            shutil.rmtree(folder)
    finally:
        shutil.rmtree(root, ignore_errors=True)
    summaries, times, peaks = zip(*measured[options.rows])
    summary, seconds = summaries[0], statistics.median(times)
    assert summary["rows"] == options.rows == summary["train_rows"] + summary["test_rows"]
    large = measured.get(options.large_rows, [None])[0]
    result = {
        "rows": options.rows,
        "format": "mindrecord",
        "rows_per_s": round(options.rows / seconds),
        "peak_rss_mib": round(max(peaks)),
        "peak_rss_mib_20m": round(large[2]) if large else None,
        "rows_per_s_20m": round(options.large_rows / large[1]) if large else None,
        "reference_ratio": round(options.rows / seconds / per_second, 1),
        "reference_rows_per_s": round(per_second),
        "distinct_values": summary["distinct_values"],
        "kept_values": summary["kept_values"],
        "memory": options.memory,
        "machine": machine(),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
