"""Rules of embedding tables as configuration keys name them."""

from __future__ import annotations

import re
from typing import Any, Dict, Tuple

from mindspore_rec.config import ConfigError, TableConfig
from mindspore_rec.embedding.admission import Admission, Always, MinCount, MinCountSketch, Probability
from mindspore_rec.embedding.eviction import Eviction, LeastFrequent, LeastRecent, Unseen

_SECONDS = {"s": 1, "min": 60, "h": 3600}
_MIN_SKETCH = 4096


def table_arguments(config: TableConfig) -> Dict[str, Any]:
    """Return the arguments of `HashEmbeddingLookup` that the keys stand for.

    Raises:
        ConfigError: keys contradict each other.
    """
    return {
        "admission": admission_of(config),
        "eviction": eviction_of(config),
        "max_rows": config.max_table_rows,
        "max_bytes": int(config.max_table_bytes),
        "row_type": config.row_type,
        "statistics": config.statistics,
    }


def admission_of(config: TableConfig) -> Admission:
    """Return the rule for new ids.

    >>> admission_of(TableConfig(admit_after=5))
    MinCount(count=5)
    """
    if config.admit_probability < 1 and config.admit_after > 1:
        raise ConfigError(
            f"admit_probability = {config.admit_probability}: expected 1 where admit_after is {config.admit_after}"
        )
    if config.admit_memory and config.admit_after == 1:
        raise ConfigError(f"admit_memory = {int(config.admit_memory)}: expected 0 where admit_after is 1")
    if 0 < config.admit_memory < _MIN_SKETCH:
        raise ConfigError(f"admit_memory = {int(config.admit_memory)}: expected 0, or at least {_MIN_SKETCH} bytes")
    if config.admit_probability < 1:
        return Probability(config.admit_probability)
    if config.admit_after == 1:
        return Always()
    if config.admit_memory:
        return MinCountSketch(config.admit_after, int(config.admit_memory))
    return MinCount(config.admit_after)


def eviction_of(config: TableConfig) -> Tuple[Eviction, ...]:
    """Return the rules for old ids.

    >>> eviction_of(TableConfig(evict_after="12h", when_full="least_recent"))
    (Unseen(steps=0, seconds=43200, days=0, every_steps=100), LeastRecent(share=0.05))
    """
    rules: Tuple[Eviction, ...] = ()
    found = re.fullmatch(r"(\d+)(step|s|min|h|d)", config.evict_after)
    if found:
        count, unit = int(found[1]), found[2]
        if not count:
            raise ConfigError(f"evict_after = {config.evict_after!r}: expected a positive time, or nothing for never")
        given = {"step": {"steps": count}, "d": {"days": count}}.get(unit) or {"seconds": count * _SECONDS[unit]}
        rules += (Unseen(**given),)
    if config.when_full != "refuse":
        rules += (LeastRecent() if config.when_full == "least_recent" else LeastFrequent(),)
    return rules
