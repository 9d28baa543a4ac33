"""What is saved after which pass."""

from __future__ import annotations

from mindspore_rec.checkpoint.save_plan import saves_by_frequency, saves_by_hour
from mindspore_rec.stream.pass_schedule import PassKey, PassSchedule

DAY = "20190720"


def numbers(schedule: PassSchedule, what: str, **frequency: int) -> list[int]:
    found = []
    for key in schedule.passes():
        saves = saves_by_frequency(schedule, key, **frequency) if frequency else saves_by_hour(schedule, key)
        if getattr(saves, what):
            found.append(key.number)
    return found


def test_by_frequency() -> None:
    schedule = PassSchedule(DAY, DAY, split_interval=60, split_per_pass=2)
    frequency = {"checkpoint_per_pass": 5, "delta_per_pass": 4}
    assert numbers(schedule, "checkpoint", **frequency) == [5, 10]
    assert numbers(schedule, "delta", **frequency) == [4, 8, 12]
    assert numbers(schedule, "end_of_day", **frequency) == [12]


def test_the_count_begins_anew_each_day() -> None:
    schedule = PassSchedule(DAY, "20190721", split_interval=360)
    done = [key for key in schedule.passes() if saves_by_frequency(schedule, key, 3, 99).checkpoint]
    assert done == [PassKey(DAY, 3), PassKey("20190721", 3)]


def test_by_hour_in_passes_of_an_hour() -> None:
    schedule = PassSchedule(DAY, DAY, split_interval=60)
    assert numbers(schedule, "checkpoint") == [1]
    assert numbers(schedule, "delta") == list(range(2, 25))
    assert numbers(schedule, "end_of_day") == [24]


def test_by_hour_in_passes_of_a_part_of_it() -> None:
    schedule = PassSchedule(DAY, DAY, split_interval=5, split_per_pass=4)
    assert numbers(schedule, "checkpoint") == [3]
    assert numbers(schedule, "delta") == list(range(6, 73, 3))


def test_by_hour_in_passes_that_cross_hours() -> None:
    for split_per_pass, last_of_hour_0 in ((9, 2), (18, 1), (48, 1)):  # 45, 90 and 240 minutes
        schedule = PassSchedule(DAY, DAY, split_interval=5, split_per_pass=split_per_pass)
        assert numbers(schedule, "checkpoint") == [last_of_hour_0]
        saved = numbers(schedule, "delta")
        assert saved[-1] == schedule.passes_per_day
        assert len(saved) == min(23, schedule.passes_per_day - 1)
