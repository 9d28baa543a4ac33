"""What differs between two checkpoints, whatever the order of the rows in their tables."""

from __future__ import annotations

from typing import Dict, List

import numpy as np

from mindspore_rec.checkpoint.array_file import Arrays
from mindspore_rec.checkpoint.format import TABLE, Checkpoint
from mindspore_rec.checkpoint.merge import IDS, row_columns, row_prefixes


def differences(first: Checkpoint, second: Checkpoint) -> List[str]:
    """One line for each array or field that is not the same to the bit; none where the two states are equal."""
    digests = {"" if state.manifest is None else state.manifest.digest for state in (first, second)}
    found = [f"digests {' and '.join(digest[:16] for digest in sorted(digests))}"] if len(digests) > 1 else []
    found += [f"meta {key}" for key in _unequal(first.meta, second.meta)]
    found += [f"group {name} is in one of them only" for name in sorted(first.groups.keys() ^ second.groups.keys())]
    for group in sorted(first.groups.keys() & second.groups.keys()):
        ours, theirs = first.groups[group], second.groups[group]
        if group.startswith(TABLE):
            ours, theirs = _by_id(ours), _by_id(theirs)
        found += [f"array {name} is in one {group} only" for name in sorted(ours.keys() ^ theirs.keys())]
        found += [_line(group, name, ours, theirs) for name in sorted(ours.keys() & theirs.keys())]
    return [line for line in found if line]


def _unequal(first: Dict[str, object], second: Dict[str, object]) -> List[str]:
    return sorted(key for key in first.keys() | second.keys() if first.get(key) != second.get(key))


def _by_id(arrays: Arrays) -> Arrays:
    """A table's arrays with its rows, and the ids that wait for one, in the order of their ids."""
    ordered = dict(arrays)
    for prefix in row_prefixes(arrays):
        columns = row_columns(arrays, prefix)
        order = np.argsort(columns[IDS])
        ordered.update({prefix + name: column[order] for name, column in columns.items()})
    return ordered


def _line(group: str, name: str, ours: Arrays, theirs: Arrays) -> str:
    a, b = ours[name], theirs[name]
    if a.dtype != b.dtype or a.shape != b.shape:
        return f"{group}/{name}: {a.dtype}{list(a.shape)} and {b.dtype}{list(b.shape)}"
    if a.tobytes() == b.tobytes():
        return ""
    count = a.shape[0] if a.ndim else 1
    rows = [np.frombuffer(array.tobytes(), np.uint8).reshape(count, -1) for array in (a, b)]  # -0.0 is not 0.0
    return f"{group}/{name}: {(rows[0] != rows[1]).any(axis=1).sum()} of {count} rows differ"
