"""Work over ranges of rows and over items, in threads where there are cores."""

import threading
from typing import List, Tuple

import pytest

from mindspore_rec.embedding import ranges
from mindspore_rec.embedding.ranges import SERIAL_BELOW, in_parallel, over_ranges


@pytest.fixture(params=[1, 2, 3])
def threads(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(ranges, "host_threads", lambda: request.param)
    return int(request.param)


@pytest.mark.parametrize("count", [0, 1, 2, 5, SERIAL_BELOW + 1])
def test_ranges_cover_all_rows_once(threads: int, count: int) -> None:
    seen: List[Tuple[int, int]] = []
    over_ranges(lambda start, stop: seen.append((start, stop)), count, 1, threads)
    rows = sorted(row for start, stop in seen for row in range(start, stop))
    assert rows == list(range(count))


def test_results_come_in_the_order_of_items(threads: int) -> None:
    assert in_parallel(lambda item: item * 2, list(range(7))) == [0, 2, 4, 6, 8, 10, 12]
    assert in_parallel(abs, []) == []


def test_items_run_side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranges, "host_threads", lambda: 2)
    both = threading.Barrier(2, timeout=30)
    assert sorted(in_parallel(lambda _: both.wait(), ["a", "b"])) == [0, 1]


@pytest.mark.parametrize("bad", [0, 1, 2])
def test_the_first_error_is_raised_after_all_have_ended(threads: int, bad: int) -> None:
    ended: List[int] = []

    def call(item: int) -> None:
        if item == bad:
            raise ValueError(f"item {item}")
        ended.append(item)

    with pytest.raises(ValueError, match=f"item {bad}"):
        in_parallel(call, [0, 1, 2])
    expected = [0, 1, 2][:bad] if threads == 1 else [item for item in (0, 1, 2) if item != bad]
    assert sorted(ended) == expected
