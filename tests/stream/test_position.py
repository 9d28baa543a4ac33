from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mindspore_rec.stream.position import RowPosition, StreamPosition

counts = st.integers(0, 2**62)
positions = st.builds(
    StreamPosition,
    st.text(max_size=20),
    st.dictionaries(st.integers(0, 9999), st.builds(RowPosition, counts, counts), max_size=5),
    counts,
    counts,
    counts,
    counts,
)


@settings(derandomize=True, deadline=None)
@given(positions)
def test_json_keeps_a_position(position: StreamPosition) -> None:
    text = position.to_json()
    for source in (text, text.encode(), json.loads(text)):
        again = StreamPosition.from_json(source)
        assert again == position
        assert again.to_json() == text
        assert all(type(place) is RowPosition for place in again.next.values())


def test_equal_positions_give_equal_text() -> None:
    one = StreamPosition("t", {1: RowPosition(5, 0), 0: RowPosition(4, 2)}, 1)
    other = StreamPosition("t", {0: RowPosition(4, 2), 1: RowPosition(5, 0)}, 1)
    assert one.to_json() == other.to_json()
    assert one.rows == 0


GOOD = {"topic": "t", "next": {"0": [1, 2]}, "turn": 0, "window_rows": 0, "rows_taken": 0, "rows_rejected": 0}


@pytest.mark.parametrize(
    "source",
    [
        "",
        "[]",
        "{",
        {**GOOD, "turn": -1},
        {**GOOD, "turn": True},
        {**GOOD, "turn": "1"},
        {**GOOD, "topic": 3},
        {**GOOD, "next": {"0": [1]}},
        {**GOOD, "next": {"a": [1, 2]}},
        {**GOOD, "next": {"0": [1.5, 2]}},
        {**GOOD, "next": [1]},
        {key: value for key, value in GOOD.items() if key != "rows_taken"},
    ],
)
def test_anything_else_is_refused(source: object) -> None:
    assert StreamPosition.from_json(GOOD).next == {0: RowPosition(1, 2)}
    with pytest.raises(ValueError, match="not a stream position"):
        StreamPosition.from_json(source)  # type: ignore[arg-type]
