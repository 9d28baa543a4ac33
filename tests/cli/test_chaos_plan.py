"""The plan of `scripts/chaos.sh`: drawn from the seed, spread over the run, everybody's turn."""

from __future__ import annotations

from collections import Counter

import pytest

from mindspore_rec import kill_points
from mindspore_rec.cli.chaos_plan import LEAST_SHARE, POINTS, PROCESSES, draw


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("kills", [8, 10, 13, 20, 57, 100, 1000])
def test_each_process_has_its_share(kills: int, seed: int) -> None:
    plan = draw(kills, 2_000_000, seed)
    assert len(plan) == kills
    counts = Counter(kill.process for kill in plan)
    assert set(counts) == set(PROCESSES)
    assert min(counts.values()) >= LEAST_SHARE * kills


@pytest.mark.parametrize("kills", range(4, 60))
def test_few_kills_are_shared_as_well_as_they_can_be(kills: int) -> None:
    plan = draw(kills, 100_000, 3)
    assert len(plan) == kills
    counts = Counter(kill.process for kill in plan)
    assert min(counts.values()) >= (LEAST_SHARE * kills if kills != 7 else 1)


def test_a_seed_gives_one_plan() -> None:
    assert draw(50, 1_000_000, 7) == draw(50, 1_000_000, 7)
    assert draw(50, 1_000_000, 7) != draw(50, 1_000_000, 8)


@pytest.mark.parametrize("seed", range(5))
def test_kills_are_spread_over_the_rows(seed: int) -> None:
    rows = [kill.rows for kill in draw(40, 1_000_000, seed)]
    assert rows == sorted(rows)
    assert rows[0] > 0
    assert rows[-1] < 900_000
    gaps = [after - before for before, after in zip(rows, rows[1:])]
    assert max(gaps) <= 2 * 1_000_000 / 40
    assert len(set(gaps)) > 20


def test_a_quarter_is_at_named_points_and_all_of_them_occur() -> None:
    plan = draw(100, 2_000_000, 1)
    named = Counter(kill.point for kill in plan if kill.point)
    assert sum(named.values()) == 25
    assert set(named) == set(kill_points.POINTS)
    assert max(named.values()) - min(named.values()) <= 1
    for kill in plan:
        if kill.point:
            assert kill.process == POINTS[kill.point].process
            assert 1 <= kill.times <= POINTS[kill.point].most
            assert kill.order == f"{kill.point}:{kill.times}"


def test_the_points_are_those_of_the_code() -> None:
    assert set(POINTS) == set(kill_points.POINTS)
    assert {kill.point for kill in draw(40, 100, 1, ["compile", "send"])} == {"compile", "send", None}
