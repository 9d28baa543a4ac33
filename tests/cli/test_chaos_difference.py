"""Two states are equal to the bit, whatever the order of their rows; and what is not is named."""

from __future__ import annotations

from typing import Any, Dict

import numpy as np
import pytest

from mindspore_rec.checkpoint.format import Checkpoint
from mindspore_rec.cli.chaos_difference import differences


def state(rows: int = 5, order: Any = None) -> Checkpoint:
    chosen = np.arange(rows) if order is None else np.array(order)
    table = {
        "ids": (np.arange(rows, dtype=np.int64) * 7 - 9)[chosen],
        "rows": np.arange(rows * 3, dtype=np.float32).reshape(rows, 3)[chosen],
        "step": np.array([12]),
    }
    groups: Dict[str, Dict[str, np.ndarray]] = {
        "dense": {"out.weight": np.ones((2, 2), np.float32)},
        "table-deep": table,
        "audit": {"counts": np.ones(9, np.uint8)},
    }
    return Checkpoint(groups, {"progress": {"rows_trained": 9, "position": {"next": {"0": [3, 0]}}}})


def test_equal_states_have_no_differences() -> None:
    assert differences(state(), state()) == []
    assert differences(state(), state(order=[3, 0, 4, 2, 1])) == []


@pytest.mark.parametrize(
    ("group", "name", "index", "value", "line"),
    [
        ("dense", "out.weight", (0, 1), np.nextafter(np.float32(1), np.float32(2)), "dense/out.weight: 1 of 2 rows"),
        ("table-deep", "rows", (2, 0), 0.0, "table-deep/rows: 1 of 5 rows differ"),
        ("table-deep", "step", 0, 13, "table-deep/step: 1 of 1 rows differ"),
        ("audit", "counts", 3, 2, "audit/counts: 1 of 9 rows differ"),
    ],
)
def test_a_changed_value_is_named(group: str, name: str, index: Any, value: Any, line: str) -> None:
    other = state(order=[4, 3, 2, 1, 0])
    other.groups[group][name][index] = value
    found = differences(state(), other)
    assert len(found) == 1
    assert found[0].startswith(line)


def test_negative_zero_is_another_value() -> None:
    other = state()
    other.groups["table-deep"]["rows"][0, 0] = -0.0
    assert differences(state(), other) == ["table-deep/rows: 1 of 5 rows differ"]


def test_what_is_only_there_once_is_named() -> None:
    other = state(rows=6)
    del other.groups["audit"]
    other.groups["dense"]["bias"] = np.zeros(2)
    other.meta["progress"] = {"rows_trained": 8}
    assert differences(state(), other) == [
        "meta progress",
        "group audit is in one of them only",
        "array bias is in one dense only",
        "table-deep/ids: int64[5] and int64[6]",
        "table-deep/rows: float32[5, 3] and float32[6, 3]",
    ]
