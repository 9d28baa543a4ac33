"""Runs: counts of distinct values in the order of their hashes, put on disk, and merged in bounded memory.

A run on disk is one safetensors file with, for each category field k, ``k.hashes`` uint64, ``k.counts`` uint32,
``k.offsets`` int64 and ``k.values`` uint8 (see ``CountedValues``), and a text of its writer's in the header.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, Iterable, List, Sequence, Tuple, Union

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file

from mindspore_rec.data.value_counts import CountedValues, take_values
from mindspore_rec.features.batch import Int64, UInt64
from mindspore_rec.published_file import published

_DTYPES = {"hashes": np.uint64, "counts": np.uint32, "offsets": np.int64, "values": np.uint8}
_BYTES_PER_VALUE = 120  # while values of 8 bytes are merged: what was read, the order, the result


#: Counts of each category field: a file of `write_run`, or still in memory.
Run = Union[Path, Sequence[CountedValues]]


def write_run(path: Path, fields: Iterable[CountedValues], text: str) -> None:
    """Write a run; it is there whole or not at all."""
    arrays: Dict[str, np.ndarray] = {}
    for k, content in enumerate(fields):
        arrays[f"{k}.hashes"] = content.hashes
        arrays[f"{k}.counts"] = content.counts.astype(np.uint32)
        arrays[f"{k}.offsets"] = content.offsets
        arrays[f"{k}.values"] = content.values
    with published(path) as part:
        save_file(arrays, str(part), {"text": text})


def read_text(path: Path) -> str:
    """The text a run was written with."""
    with safe_open(str(path), "numpy") as run:
        return str(run.metadata()["text"])


def merge_field(runs: Sequence[Run], field: int, threshold: int, memory: int) -> Tuple[CountedValues, int]:
    """Add up the counts of one field.

    Args:
        runs: all of them.
        field: from 0.
        threshold: values that occur fewer times in all are left out.
        memory: bytes to use, roughly; fields of more values are merged in ranges of hashes.

    Returns:
        the values with their counts, in the order of their hashes, and how many distinct ones there were before those
        below the threshold were left out.
    """
    ranges = max(1, -(-sum(_size(run, field) for run in runs) * _BYTES_PER_VALUE // memory))
    cuts = [_cuts(run, field, ranges) for run in runs]
    merged, distinct = [], 0
    for k in range(ranges):
        parts = [_read(run, field, int(cut[k]), int(cut[k + 1])) for run, cut in zip(runs, cuts)]
        values, count = _merge(parts, threshold)
        merged.append(values)
        distinct += count
    return (merged[0] if ranges == 1 else _concatenate(merged)), distinct


def _size(run: Run, field: int) -> int:
    if not isinstance(run, Path):
        return len(run[field])
    with safe_open(str(run), "numpy") as file:
        return int(file.get_slice(f"{field}.hashes").get_shape()[0])


def _hashes(run: Run, field: int) -> UInt64:
    if not isinstance(run, Path):
        return run[field].hashes
    with safe_open(str(run), "numpy") as file:
        hashes: UInt64 = file.get_tensor(f"{field}.hashes")
        return hashes


def _cuts(run: Run, field: int, ranges: int) -> Int64:
    """int64[ranges + 1]: where equal ranges of the hashes begin and end in the run."""
    if ranges == 1:
        return np.array([0, _size(run, field)], np.int64)
    bounds = np.array([(k << 64) // ranges for k in range(1, ranges)], np.uint64)
    hashes = _hashes(run, field)
    return np.concatenate(([0], np.searchsorted(hashes, bounds), [len(hashes)])).astype(np.int64)


def _read(run: Run, field: int, begin: int, end: int) -> CountedValues:
    if not isinstance(run, Path):
        return run[field].slice(begin, end)
    with safe_open(str(run), "numpy") as file:

        def part(name: str, first: int, last: int) -> Any:
            if first == last:  # get_slice refuses it at the end
                return np.empty(0, _DTYPES[name])
            return file.get_slice(f"{field}.{name}")[first:last]

        offsets = part("offsets", begin, end + 1)
        values = part("values", int(offsets[0]), int(offsets[-1]))
        counts = part("counts", begin, end).astype(np.int64)
        return CountedValues(part("hashes", begin, end), counts, offsets - offsets[0], values)


def _concatenate(parts: List[CountedValues]) -> CountedValues:
    starts = np.cumsum([0, *(len(part.values) for part in parts)])
    offsets = [part.offsets[:-1] + start for part, start in zip(parts, starts)]
    return CountedValues(
        np.concatenate([part.hashes for part in parts]),
        np.concatenate([part.counts for part in parts]),
        np.concatenate([*offsets, starts[-1:]]),
        np.concatenate([part.values for part in parts]),
    )


def _merge(parts: List[CountedValues], threshold: int) -> Tuple[CountedValues, int]:
    joined = parts[0] if len(parts) == 1 else _concatenate(parts)
    if not len(joined):
        return joined, 0
    order = np.argsort(joined.hashes, kind="stable")  # runs are sorted already, which this sort makes use of
    hashes = joined.hashes[order]
    first = np.flatnonzero(np.concatenate(([True], hashes[1:] != hashes[:-1])))
    counts = np.add.reduceat(joined.counts[order], first)
    kept = np.flatnonzero(counts >= threshold)
    offsets, values = take_values(joined.values, joined.offsets, order[first[kept]])
    return CountedValues(hashes[first[kept]], counts[kept], offsets, values), len(first)
