from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from mindspore_rec.stream.frame import FrameError
from mindspore_rec.stream.objects import join, split

ROWS = np.arange(12, dtype=np.float32).reshape(6, 2)


def round_trip(obj: Any, num_shards: int) -> Any:
    return [join(structure, arrays) for structure, arrays in split(obj, num_shards)]


def test_an_array_is_split_into_consecutive_rows() -> None:
    parts = round_trip(ROWS, 3)
    assert [part.tolist() for part in parts] == [ROWS[:2].tolist(), ROWS[2:4].tolist(), ROWS[4:].tolist()]


def test_containers_keep_their_kind() -> None:
    first, second = round_trip((ROWS, ROWS[:, 0]), 2)
    assert type(first) is tuple and second[1].tolist() == [6, 8, 10]
    assert type(round_trip([ROWS], 1)[0]) is list
    named = round_trip({"a": ROWS, 3: ROWS[:, 1]}, 2)[1]
    assert list(named) == ["a", 3] and named[3].tolist() == [7, 9, 11]


def test_a_data_frame_keeps_columns_dtypes_and_index() -> None:
    frame = pd.DataFrame({"b": [1, 2, 3, 4], "a": [0.5, 1.5, 2.5, 3.5], "ok": [True, False, True, False]})
    frame.index = [3, 5, 7, 9]
    for part, expected in zip(round_trip(frame, 2), (frame.iloc[:2], frame.iloc[2:])):
        pd.testing.assert_frame_equal(part, expected)
    doubled = pd.DataFrame(np.arange(4).reshape(2, 2), columns=["x", "x"])
    pd.testing.assert_frame_equal(round_trip(doubled, 1)[0], doubled)


def test_big_endian_numbers_are_turned() -> None:
    part = round_trip(np.array([1, 2], ">i4"), 1)[0]
    assert part.dtype == np.dtype("<i4") and part.tolist() == [1, 2]


@pytest.mark.parametrize(
    ("obj", "match"),
    [
        (ROWS[:5], "5 rows do not divide evenly over 2 shards"),
        ((ROWS, ROWS[:4]), "one number of rows"),
        ((), "one number of rows"),
        ("text", "str"),
        ({"a": [1, 2]}, "list"),
        ({(1, 2): ROWS}, "names"),
        (np.float32(3), "float32"),
        (np.array(3), "ndarray with rows"),
        (np.array(["a", "b"]), "dtype"),
        (pd.DataFrame({"a": ["x", "y"]}), "cannot send dtype"),
        (pd.DataFrame({"a": [1, 2]}, index=["x", "y"]), "cannot send dtype"),
    ],
)
def test_what_cannot_be_split_is_refused(obj: Any, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        split(obj, 2)


@pytest.mark.parametrize(
    ("structure", "count"),
    [
        (None, 1),
        ([], 1),
        ({}, 1),
        ({"kind": []}, 1),
        ({"kind": "pickle"}, 1),
        ({"kind": "array"}, 2),
        ({"kind": "dict", "names": "ab"}, 2),
        ({"kind": "dict", "names": ["a"]}, 2),
        ({"kind": "frame", "names": ["a", "b"]}, 2),
    ],
)
def test_a_structure_that_does_not_fit_is_refused(structure: Any, count: int) -> None:
    with pytest.raises(FrameError):
        join(structure, [ROWS] * count)
