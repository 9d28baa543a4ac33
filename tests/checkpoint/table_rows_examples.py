"""Rows of tables with every kind of value, and what two of them have to agree in."""

from typing import Dict, Optional

import numpy as np

from mindspore_rec.embedding.table_rows import TableRows

#: Name and width of slots, 0 for that of the weights.
SLOTS: Dict[str, Dict[str, int]] = {
    "none": {},
    "delta": {"delta_score": 1},
    "shared": {"g2sum": 1, "delta_score": 1},
    "adam": {"m": 0, "v": 0},
    "before": {"delta_score": 1, "z": 0, "n": 0},
}


def random_rows(seed: int, count: int, dim: int = 3, slots: Optional[Dict[str, int]] = None) -> TableRows:
    """Rows of any finite float32, many of them of few digits, and of any ids."""
    rng = np.random.default_rng(seed)

    def numbers(width: int) -> np.ndarray:
        values = rng.integers(0, 2**32, (count, width), dtype=np.uint32).view(np.float32)
        plain = (rng.integers(-999, 1000, (count, width)) / 8).astype(np.float32)
        return np.where(np.isfinite(values) & (rng.random((count, width)) < 0.5), values, plain)

    ids = np.sort(np.unique(rng.integers(0, 2**64, 2 * count + 5, dtype=np.uint64))[:count] >> rng.integers(0, 2) * 20)
    return TableRows(
        ids=ids.view(np.int64),
        weights=numbers(dim),
        slots={slot: numbers(width or dim) for slot, width in (slots or {}).items()},
        show=numbers(1)[:, 0],
        click=numbers(1)[:, 0],
        unseen_days=rng.integers(0, 2**31 - 1, count).astype(np.int32),
    )


def part_of(rows: TableRows, chosen: object) -> TableRows:
    """Some of the rows."""
    slots = {slot: values[chosen] for slot, values in rows.slots.items()}
    columns = (rows.show, rows.click, rows.unseen_days)
    return TableRows(rows.ids[chosen], rows.weights[chosen], slots, *(column[chosen] for column in columns))


def assert_same(found: TableRows, expected: TableRows) -> None:
    """To the bit, type and shape."""
    for name in ("ids", "weights", "show", "click", "unseen_days"):
        one, other = getattr(found, name), getattr(expected, name)
        assert (one.dtype, one.shape, one.tobytes()) == (other.dtype, other.shape, other.tobytes()), name
    assert list(found.slots) == list(expected.slots)
    for slot, values in expected.slots.items():
        one = found.slots[slot]
        assert (one.dtype, one.shape, one.tobytes()) == (values.dtype, values.shape, values.tobytes()), slot
