"""What is saved after a pass.

PaddleRec's streaming trainer counts passes in the day (``pass_id % checkpoint_per_pass == 0``) and ends every day with
shrink, base and a checkpoint that ages the rows. Paddle's guide to streaming training saves by the hour instead.
"""

from __future__ import annotations

from typing import NamedTuple

from mindspore_rec.stream.pass_schedule import PassKey, PassSchedule


class Saves(NamedTuple):
    """What follows a pass, in this order.

    Attributes:
        checkpoint: all of the state, to go on from.
        delta: an export of what changed.
        end_of_day: shrink, then the base export, then the checkpoint that ages the rows. A run that goes on from the
            checkpoint of a day's last pass asks `PassSchedule.end_of_day_due` whether they are still to come.
    """

    checkpoint: bool
    delta: bool
    end_of_day: bool


def saves_by_frequency(schedule: PassSchedule, key: PassKey, checkpoint_per_pass: int, delta_per_pass: int) -> Saves:
    """What is saved after a pass: a checkpoint every ``checkpoint_per_pass`` passes of the day, a delta likewise.

    >>> schedule = PassSchedule("20190720", "20190720", split_interval=60)
    >>> saves_by_frequency(schedule, PassKey("20190720", 12), 6, 4)
    Saves(checkpoint=True, delta=True, end_of_day=False)
    >>> saves_by_frequency(schedule, PassKey("20190720", 8), 6, 4)
    Saves(checkpoint=False, delta=True, end_of_day=False)
    """
    return Saves(
        key.number % checkpoint_per_pass == 0, key.number % delta_per_pass == 0, end_of_day=schedule.ends_day(key)
    )


def saves_by_hour(schedule: PassSchedule, key: PassKey) -> Saves:
    """What is saved after a pass: at the end of hour 0 a checkpoint, at the end of the other hours a delta.

    The pass in which an hour ends saves for the hour it began in, so a pass of several hours saves once.

    >>> schedule = PassSchedule("20190720", "20190720", split_interval=30)
    >>> [saves_by_hour(schedule, PassKey("20190720", number))[:2] for number in (1, 2, 3, 4)]
    [(False, False), (True, False), (False, False), (False, True)]
    """
    start = schedule.start_minute(key.number)
    hour = start // 60
    ends_hour = (start + schedule.pass_minutes) // 60 > hour
    return Saves(ends_hour and hour == 0, ends_hour and hour > 0, end_of_day=schedule.ends_day(key))
