"""Samples a second of a pass of slot_dnn, its files parsed on the way, against the same rows from memory; a JSON line.

    python benchmarks/pass_training.py [--rows 8192] [--batch_size 32] [--repeats 5]

Lines have 300 slots and some 450 values each, as the real ones that MSREC_SAMPLE_DIR holds: how many values a slot has
is drawn from these, ids from a power law in each slot. Batches are those of its config_online.yaml. The two ways take
turns with one model, whose tables know the ids from a pass before. ``parse_samples_per_s`` is parsing alone,
``predict_samples_per_s`` predicting from memory.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Callable, Dict, Iterator, List

import _venv  # noqa: F401
import numpy as np
from _machine import machine

from mindspore_rec.data.part_folder import PartFile
from mindspore_rec.data.part_reader import PartReader, ReadRows, part_data
from mindspore_rec.job_config import DatasetConfig
from mindspore_rec.logs import quiet_mindspore

SLOTS = range(2, 302)
FILES = 8
IDS_A_SLOT, SKEW = 50_000, 1.3
VALUES_A_ROW = (455, 30)  # mean and deviation of the ten real rows, for where they are not at hand
CLICKS = 0.2


def layouts() -> List[List[int]]:
    """The slots of the values of rows, in order."""
    sample = Path(os.environ.get("MSREC_SAMPLE_DIR", ".")) / "slot_dnn_sample.txt"
    if sample.exists():
        lines = sample.read_text().splitlines()
        return [[int(token.rpartition(":")[2]) for token in line.split()[1:]] for line in lines]
    rng = np.random.default_rng(1)
    counts = rng.normal(*VALUES_A_ROW, 10).astype(int)
    return [sorted(rng.choice(SLOTS, count).tolist()) for count in counts]


def write(folder: Path, rows: int) -> List[PartFile]:
    """Files of slot text with so many rows in all."""
    rng, found = np.random.default_rng(0), layouts()
    names = rng.integers(2**63, 2**64, (len(SLOTS), IDS_A_SLOT), np.uint64)
    for number in range(FILES):
        lines = []
        for row in range(number, rows, FILES):
            slots = np.array(found[row % len(found)])
            ranks = np.minimum(rng.zipf(SKEW, slots.size), IDS_A_SLOT) - 1
            ids = names[slots - SLOTS[0], ranks]
            tokens = [f"{id}:{slot}" for id, slot in zip(ids.tolist(), slots.tolist())]
            lines.append(" ".join([f"{int(rng.random() < CLICKS)}:1", *tokens]))
        (folder / f"part-{number}").write_text("\n".join(lines) + "\n")
    return [PartFile(str(folder / f"part-{number}"), None) for number in range(FILES)]


def rates(ways: Dict[str, Callable[[], None]], rows: int, repeats: int) -> Dict[str, List[float]]:
    """Rows a second of each way, which take turns; the first turn does not count."""
    found: Dict[str, List[float]] = {name: [] for name in ways}
    for turn in range(repeats + 1):
        for name in list(ways) if turn % 2 else reversed(list(ways)):
            begin = time.perf_counter()
            ways[name]()
            if turn:
                found[name].append(rows / (time.perf_counter() - begin))
        print(f"turn {turn} of {repeats}", file=sys.stderr)
    return found


def measure(folder: Path, rows: int, batch_size: int, repeats: int) -> Dict[str, object]:
    """The figures."""
    quiet_mindspore()
    from mindspore_rec.models.model_file import PACKAGE, Model, load_model_file
    from mindspore_rec.train.device import use_device
    from mindspore_rec.train.job_model import JobModel
    from mindspore_rec.train.part_dataset import PartDataset

    use_device("CPU")
    keys = " ".join(map(str, [1, *SLOTS]))
    config = DatasetConfig(name="slots", data_path=str(folder), data_format="feasign_slot", sparse_slots=keys)
    data, files = part_data(config), write(folder, rows)
    reader = PartReader(data, config.thread_num)
    file = load_model_file(PACKAGE / "rank" / "slot_dnn" / "model.py")
    job = JobModel(Model(file, file.settings(), data.schema, data.padding_id, {}), clock=lambda: 0.0)
    in_memory: List[ReadRows] = list(reader.read(files))

    def dataset(read: Callable[[], Iterator[ReadRows]]) -> PartDataset:
        return PartDataset(read, data.schema, batch_size)

    found = rates(
        {
            "parsed": lambda: job.train(dataset(lambda: reader.read(files))) and None,
            "memory": lambda: job.train(dataset(lambda: iter(in_memory))) and None,
            "predict": lambda: job.predict(dataset(lambda: iter(in_memory))) and None,
            "parse": lambda: [None for _ in reader.read(files)] and None,
        },
        rows,
        repeats,
    )
    middle = {name: statistics.median(each) for name, each in found.items()}
    ratios = [parsed / memory for parsed, memory in zip(found["parsed"], found["memory"])]
    return {
        "ratio": round(statistics.median(ratios), 3),
        "parsed_samples_per_s": round(middle["parsed"], 1),
        "memory_samples_per_s": round(middle["memory"], 1),
        "parse_samples_per_s": round(middle["parse"], 1),
        "predict_samples_per_s": round(middle["predict"], 1),
        "values_a_row": round(sum(chunk.rows.ids.size for chunk in in_memory) / rows, 1),
        "batch_size": batch_size,
        "rows": rows,
        "machine": machine(),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=8192)
    parser.add_argument("--batch_size", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(measure(Path(folder), given.rows, given.batch_size, given.repeats)))


if __name__ == "__main__":
    main()
