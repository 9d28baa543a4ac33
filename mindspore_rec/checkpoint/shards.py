"""Tables spread over ranks: each rank's share is a group of its own, and any number of ranks can take them over."""

from __future__ import annotations

import re
from typing import Callable, Dict, List, Mapping, Tuple

import numpy as np

from mindspore_rec.checkpoint.array_file import Arrays
from mindspore_rec.checkpoint.merge import REMOVED, row_columns, row_prefixes

_SHARD = re.compile(r"(.+)\.(\d+)-of-(\d+)")
_LARGEST_COUNT = np.iinfo(np.uint16).max


def shard_name(group: str, rank: int, size: int) -> str:
    """Return what a rank's share of a group is called; with one rank it is the group.

    >>> shard_name("table-deep", 1, 4), shard_name("table-deep", 0, 1)
    ('table-deep.1-of-4', 'table-deep')
    """
    return f"{group}.{rank}-of-{size}" if size > 1 else group


def shard_of(group: str) -> Tuple[str, int, int]:
    """Return the group, rank and number of ranks that a name says.

    >>> shard_of("table-deep.1-of-4"), shard_of("dense")
    (('table-deep', 1, 4), ('dense', 0, 1))
    """
    found = _SHARD.fullmatch(group)
    return (found[1], int(found[2]), int(found[3])) if found else (group, 0, 1)


def join_shards(groups: Mapping[str, Arrays]) -> Dict[str, Arrays]:
    """Return the groups with the shares of each put together, as a single process would have them.

    Rows are joined, counters and sketches added up; the rest is equal on all ranks.
    """
    shares: Dict[str, List[Arrays]] = {}
    for group in sorted(groups, key=lambda name: shard_of(name)):
        shares.setdefault(shard_of(group)[0], []).append(groups[group])
    return {group: _join(parts) if len(parts) > 1 else parts[0] for group, parts in shares.items()}


def share_of(arrays: Arrays, mine: Callable[[np.ndarray], np.ndarray]) -> Arrays:
    """Return the arrays of a table with those rows alone whose ids are `mine`: bool[n] of int64[n]."""
    share = dict(arrays)
    for prefix in row_prefixes(arrays):
        chosen = mine(arrays[f"{prefix}ids"])
        share.update({prefix + name: column[chosen] for name, column in row_columns(arrays, prefix).items()})
    return share


def _join(parts: List[Arrays]) -> Arrays:
    by_row = {prefix + name for prefix in row_prefixes(parts[0]) for name in row_columns(parts[0], prefix)}
    return {name: _join_arrays(name, [part[name] for part in parts], name in by_row) for name in parts[0]}


def _join_arrays(name: str, arrays: List[np.ndarray], by_row: bool) -> np.ndarray:
    if by_row or name.endswith(REMOVED):
        return np.concatenate(arrays)
    if name == "counters":
        return np.sum(arrays, axis=0, dtype=np.int64)
    if name.endswith("cells"):  # counts of ids that one rank alone has seen
        return np.minimum(np.sum(arrays, axis=0, dtype=np.int64), _LARGEST_COUNT).astype(arrays[0].dtype)
    return arrays[0]
