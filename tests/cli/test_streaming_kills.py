"""When the trainer of the streaming demo is killed."""

from __future__ import annotations

from typing import Set

from mindspore_rec import kill_points
from mindspore_rec.cli.streaming_kills import SAVING, Batches, draw

BATCHES = Batches(predicted=8, trained=32)


def test_the_first_is_in_the_middle_of_the_training_of_a_pass() -> None:
    numbers: Set[int] = set()
    for seed in range(300):
        first = draw(12, BATCHES, seed)[0]
        number, batch = divmod(first.times - 1, 40)  # from 0
        assert first.point == "pass-rows"
        assert 8 <= batch < 39  # at least one is trained and one is left
        assert first.what.startswith(f"in pass {number + 1} of the run, {batch - 7} of 32")
        numbers.add(number + 1)
    assert numbers == {2, 3, 4, 5, 6}


def test_the_second_is_while_saving() -> None:
    plans = [draw(12, BATCHES, seed)[1] for seed in range(300)]
    for point, most in SAVING.items():
        assert {kill.times for kill in plans if kill.point == point} == set(range(1, most + 1))
    assert {kill.point for kill in plans} == set(SAVING)
    assert plans[0].order == f"{plans[0].point}:{plans[0].times}"


def test_the_same_seed_gives_the_same_kills() -> None:
    assert draw(12, BATCHES, 3) == draw(12, BATCHES, 3)
    assert len({tuple(draw(12, BATCHES, seed)) for seed in range(20)}) > 10


def test_the_points_are_there() -> None:
    assert {"pass-rows", *SAVING} <= {*kill_points.POINTS, *kill_points.PASS_POINTS}
    assert {*kill_points.PASS_POINTS} <= {"pass-rows", *SAVING}


def test_the_last_batch_may_be_short() -> None:
    assert Batches.of(1, 512, 128) == Batches(1, 1)
    assert Batches.of(4000, 512, 128) == BATCHES
