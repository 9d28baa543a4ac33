"""Days, passes and split folders."""

from __future__ import annotations

from typing import Any, Dict

import pytest

from mindspore_rec.config import ConfigError
from mindspore_rec.stream.pass_schedule import PassKey, PassSchedule, day_of, next_day

DAY = "20190720"


def test_the_defaults_are_a_pass_of_one_split_every_five_minutes() -> None:
    schedule = PassSchedule(DAY, DAY)
    assert (schedule.splits_per_day, schedule.passes_per_day) == (288, 288)
    assert schedule.folders(PassKey(DAY, 1)) == (f"{DAY}/0000",)
    assert schedule.folders(PassKey(DAY, 14)) == (f"{DAY}/0105",)
    assert schedule.folders(PassKey(DAY, 288)) == (f"{DAY}/2355",)


def test_every_split_is_in_one_pass() -> None:
    schedule = PassSchedule("20240228", "20240301", split_interval=10, split_per_pass=6)
    keys = list(schedule.passes())
    folders = [folder for key in keys for folder in schedule.folders(key)]
    assert len(keys) == 3 * 24 and keys == sorted(keys)
    days = ("20240228", "20240229", "20240301")
    times = [f"{hour:02d}{minute:02d}" for hour in range(24) for minute in range(0, 60, 10)]
    assert folders == [f"{day}/{time}" for day in days for time in times]
    assert tuple(schedule.days()) == days


def test_a_day_may_be_one_split() -> None:
    schedule = PassSchedule(DAY, DAY, split_interval=1440)
    assert schedule.passes_per_day == 1
    assert schedule.folders(PassKey(DAY, 1)) == (f"{DAY}/0000",)


def test_what_follows_a_pass() -> None:
    schedule = PassSchedule("20190730", "20190801", split_interval=720)
    follows = {
        ("20190730", 0): ("20190730", 1),
        ("20190730", 1): ("20190730", 2),
        ("20190730", 2): ("20190731", 1),
        ("20190731", 0): ("20190731", 1),
        ("20190801", 2): None,
        ("20190802", 0): None,
        ("20190901", 1): None,
        ("20180101", 2): ("20190730", 1),
        ("20190729", 288): ("20190730", 1),  # of a schedule with more passes
    }
    assert {key: schedule.after(PassKey(*key)) for key in follows} == follows
    for day in ("20190730", "20190802"):
        with pytest.raises(ConfigError) as error:
            schedule.after(PassKey(day, 3))
        said = f"split_interval = 720, split_per_pass = 1: a day has the passes 1 to 2, but {day} is trained to pass 3"
        assert said in str(error.value)
    assert schedule.ends_day(PassKey("20190730", 2)) and not schedule.ends_day(PassKey("20190730", 1))


def test_whether_the_end_of_a_day_is_due() -> None:
    schedule = PassSchedule("20190730", "20190801", split_interval=720)
    due = {
        None: False,
        ("20190730", 0): False,
        ("20190730", 1): False,
        ("20190730", 2): True,
        ("20190731", 0): False,
        ("20190801", 2): True,  # of the last day too
        ("20190802", 0): False,
        ("20190729", 2): True,
        ("20190729", 288): False,  # of a schedule with more passes
    }
    assert {key: schedule.end_of_day_due(key and PassKey(*key)) for key in due} == due
    with pytest.raises(ConfigError, match="20190730 is trained to pass 3"):
        schedule.end_of_day_due(PassKey("20190730", 3))


def test_passes_after_those_done() -> None:
    schedule = PassSchedule("20190730", "20190731", split_interval=720)
    assert list(schedule.passes(PassKey("20190730", 1))) == [("20190730", 2), ("20190731", 1), ("20190731", 2)]
    assert list(schedule.passes(PassKey("20190731", 2))) == []


@pytest.mark.parametrize(
    ("wrong", "part"),
    [
        ({"split_interval": 7}, "split_interval = 7: expected minutes that divide a day of 1440 without rest"),
        ({"split_interval": 0}, "split_interval = 0"),
        ({"split_interval": -5}, "split_interval = -5"),
        ({"split_interval": 2880}, "split_interval = 2880"),
        ({"split_per_pass": 7}, "split_per_pass = 7: expected a number that divides the 288 splits"),
        ({"split_per_pass": 0}, "split_per_pass = 0"),
        ({"split_per_pass": 577}, "split_per_pass = 577"),
        ({"start_day": "20190721"}, "end_day = '20190720': expected start_day, 20190721, or a day after it"),
        ({"start_day": "20190229"}, "start_day = '20190229': expected a day such as 20190720"),
        ({"end_day": "2019-07-20"}, "end_day = '2019-07-20': expected a day"),
        ({"end_day": "2019072"}, "end_day = '2019072'"),
        ({"end_day": ""}, "end_day = ''"),
    ],
)
def test_an_impossible_schedule_is_refused(wrong: Dict[str, Any], part: str) -> None:
    with pytest.raises(ConfigError) as error:
        PassSchedule(**{"start_day": DAY, "end_day": DAY, **wrong})
    assert part in str(error.value)


def test_days() -> None:
    assert next_day("20200228") == "20200229"
    assert list(PassSchedule("99981230", "99981231").days()) == ["99981230", "99981231"]
    assert PassSchedule("99981231", "99981231", 1440).after(PassKey("99981231", 1)) is None
    assert day_of("19700101").year == 1970
    for wrong in ("2020022٩", "00000000", "20201301", "19691231", "00010101", "99990101", "99991231"):
        with pytest.raises(ValueError, match="is no day such as"):
            day_of(wrong)


@pytest.mark.parametrize("number", [0, 289])
def test_a_pass_no_day_has(number: int) -> None:
    with pytest.raises(ValueError, match="a day has the passes 1 to 288"):
        PassSchedule(DAY, DAY).folders(PassKey(DAY, number))
