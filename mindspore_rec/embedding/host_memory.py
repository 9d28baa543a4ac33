"""How much memory this process may use: the host's, or that of the control group (container) it is in."""

from __future__ import annotations

from pathlib import Path
from typing import Optional, Tuple

import psutil

_GROUP_2 = Path("/sys/fs/cgroup")
_GROUP_1 = Path("/sys/fs/cgroup/memory")


def total() -> int:
    """Bytes of the host, or the limit of the control group where it is lower."""
    limit, _ = _group()
    host: int = psutil.virtual_memory().total
    return host if limit is None else min(host, limit)


def available() -> int:
    """Bytes that can still be used before the system must swap or kill."""
    limit, used = _group()
    host: int = psutil.virtual_memory().available
    return host if limit is None else max(0, min(host, limit - used))


def _group() -> Tuple[Optional[int], int]:
    """Limit of the control group, None where there is none, and what is in use of it, reclaimable caches left out."""
    for folder, limit_file, used_file, cache in (
        (_GROUP_2, "memory.max", "memory.current", "inactive_file"),
        (_GROUP_1, "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ):
        try:
            limit = (folder / limit_file).read_text().strip()
            used = int((folder / used_file).read_text())
            statistics = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
        except (OSError, ValueError):
            continue
        if limit.isdigit():
            return int(limit), used - int(statistics.get(cache, 0))
    return None, 0
