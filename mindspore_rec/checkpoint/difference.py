"""What changed between two states: rows, and how far their weights moved."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Tuple

import numpy as np

from mindspore_rec.checkpoint.array_file import Arrays
from mindspore_rec.checkpoint.format import TABLE, Checkpoint
from mindspore_rec.embedding.explanation import values_of_rows


@dataclass(frozen=True)
class TableDifference:
    """What became of a table.

    Attributes:
        added, removed: ids there are only after, or only before.
        changed: ids of both whose weights or slots are others.
        moved: the ids, unsigned, whose weights moved most, each with the Euclidean distance.
    """

    added: int
    removed: int
    changed: int
    moved: List[Tuple[int, float]]


def difference(before: Checkpoint, after: Checkpoint, most: int = 5) -> Dict[str, TableDifference]:
    """Compare the tables of two states.

    Args:
        most: ids named in `moved`.
    """
    tables = {}
    for group in sorted(before.groups.keys() & after.groups.keys()):
        if group.startswith(TABLE):
            name = group[len(TABLE) :]
            about = after.meta.get("tables", {}).get(name, {})
            tables[name] = _difference(before.groups[group], after.groups[group], about, most)
    return tables


def _difference(before: Arrays, after: Arrays, about: Mapping[str, Any], most: int) -> TableDifference:
    both, old, new = np.intersect1d(before["ids"], after["ids"], assume_unique=True, return_indices=True)
    old_rows, new_rows = before["rows"][old], after["rows"][new]
    changed = np.flatnonzero((old_rows != new_rows).any(axis=1))
    weights = [values_of_rows(rows[changed], about)[:, : about["dim"]] for rows in (old_rows, new_rows)]
    distances = np.sqrt(np.square(weights[1] - weights[0]).sum(axis=1))
    farthest = np.argsort(-distances, kind="stable")[:most]
    ids = both[changed[farthest]].view(np.uint64)
    return TableDifference(
        added=after["ids"].size - both.size,
        removed=before["ids"].size - both.size,
        changed=int(changed.size),
        moved=[(int(i), round(float(d), 6)) for i, d in zip(ids, distances[farthest])],
    )
