"""Days, their passes, and the folders each pass is read from: ``train_data_dir/YYYYMMDD/HHMM/``.

Every ``split_interval`` minutes of a day have a folder, a split, named by the time they begin; ``split_per_pass``
splits in a row are a pass. Passes count from 1 in each day; pass 0 of a day is the state its first pass begins with.
"""

from __future__ import annotations

import datetime
import re
from dataclasses import dataclass
from typing import Iterator, NamedTuple, Optional, Tuple

from mindspore_rec.config import ConfigError

MINUTES = 24 * 60
_DAY = "%Y%m%d"
_YEARS = range(1970, 9999)  # the day after the last one has eight digits too


class PassKey(NamedTuple):
    """A pass of a day, such as ``PassKey("20190720", 3)``; keys sort as time goes."""

    day: str
    number: int


def day_of(text: str) -> datetime.date:
    """The date of eight digits.

    Raises:
        ValueError: it is no date from 1970 to 9998.

    >>> day_of("20190720")
    datetime.date(2019, 7, 20)
    """
    digits = re.fullmatch("([0-9]{4})([0-9]{2})([0-9]{2})", text)
    try:
        if digits is not None and int(digits[1]) in _YEARS:
            return datetime.date(int(digits[1]), int(digits[2]), int(digits[3]))
    except ValueError:
        pass
    raise ValueError(f"{text!r} is no day such as 20190720")


def next_day(day: str) -> str:
    """The day after.

    >>> next_day("20191231")
    '20200101'
    """
    return (day_of(day) + datetime.timedelta(days=1)).strftime(_DAY)


@dataclass(frozen=True)
class PassSchedule:
    """The passes of all days from ``start_day`` to ``end_day``, both included.

    Args:
        start_day, end_day: eight digits, YYYYMMDD.
        split_interval: minutes in a split.
        split_per_pass: splits in a pass.

    Raises:
        ConfigError: a day is no date, the last is before the first, a day is no whole number of splits, or its splits
            are no whole number of passes: data at the end of the day would never be read.

    Examples:
        >>> schedule = PassSchedule("20190720", "20190721", split_interval=30, split_per_pass=2)
        >>> schedule.passes_per_day, schedule.folders(PassKey("20190720", 24))
        (24, ('20190720/2300', '20190720/2330'))
        >>> schedule.after(PassKey("20190720", 24))
        PassKey(day='20190721', number=1)
    """

    start_day: str
    end_day: str
    split_interval: int = 5
    split_per_pass: int = 1

    def __post_init__(self) -> None:
        for key in ("start_day", "end_day"):
            try:
                day_of(getattr(self, key))
            except ValueError:
                raise ConfigError(f"{key} = {getattr(self, key)!r}: expected a day such as 20190720") from None
        if self.end_day < self.start_day:
            raise ConfigError(f"end_day = {self.end_day!r}: expected start_day, {self.start_day}, or a day after it")
        if self.split_interval < 1 or MINUTES % self.split_interval:
            raise ConfigError(
                f"split_interval = {self.split_interval}: expected minutes that divide a day of {MINUTES} without rest"
            )
        if self.split_per_pass < 1 or self.splits_per_day % self.split_per_pass:
            raise ConfigError(
                f"split_per_pass = {self.split_per_pass}: expected a number that divides the {self.splits_per_day} "
                f"splits of a day without rest"
            )

    @property
    def splits_per_day(self) -> int:
        """Split folders in a day."""
        return MINUTES // self.split_interval

    @property
    def passes_per_day(self) -> int:
        """Passes in a day."""
        return self.splits_per_day // self.split_per_pass

    @property
    def pass_minutes(self) -> int:
        """Minutes of data in a pass."""
        return self.split_interval * self.split_per_pass

    @property
    def first(self) -> PassKey:
        """The first pass."""
        return PassKey(self.start_day, 1)

    def days(self) -> Iterator[str]:
        """The days in order."""
        day = self.start_day
        while day <= self.end_day:
            yield day
            day = next_day(day)

    def start_minute(self, number: int) -> int:
        """Minute of the day a pass begins with.

        Raises:
            ValueError: a day has no such pass.
        """
        if not 1 <= number <= self.passes_per_day:
            raise ValueError(f"pass {number}: a day has the passes 1 to {self.passes_per_day}")
        return (number - 1) * self.pass_minutes

    def folders(self, key: PassKey) -> Tuple[str, ...]:
        """The split folders of a pass in order, below ``train_data_dir``.

        Raises:
            ValueError: a day has no such pass.
        """
        start = self.start_minute(key.number)
        minutes = range(start, start + self.pass_minutes, self.split_interval)
        return tuple(f"{key.day}/{minute // 60:02d}{minute % 60:02d}" for minute in minutes)

    def ends_day(self, key: PassKey) -> bool:
        """Whether a pass is the last of its day."""
        return key.number == self.passes_per_day

    def after(self, key: PassKey) -> Optional[PassKey]:
        """The pass that follows a pass, or the end of the day before for pass 0; None after the last one.

        A key before the schedule, of a run that ended on an earlier day, is followed by the first pass, whatever its
        number: passes may have been of another length then.

        Raises:
            ConfigError: a day has no such pass: it was begun with passes of another length.
        """
        if key.day < self.start_day:
            return self.first
        self._check_number(key)
        following = PassKey(next_day(key.day), 1) if self.ends_day(key) else PassKey(key.day, key.number + 1)
        return following if following.day <= self.end_day else None

    def end_of_day_due(self, done: Optional[PassKey]) -> bool:
        """Whether a run that goes on from the state after ``done`` has to end that day first: shrink, base export,
        and the checkpoint that ages the rows.

        It ended, or was killed, between the checkpoint of the day's last pass and that of the end of the day,
        ``PassKey(next_day(day), 0)``. Nothing is due where there is no state. A day before ``start_day`` is taken to
        have had as many passes.

        Raises:
            ConfigError: a day of the schedule has no such pass.

        >>> schedule = PassSchedule("20190720", "20190721", split_interval=60)
        >>> [schedule.end_of_day_due(PassKey(*key)) for key in (("20190720", 24), ("20190721", 0), ("20190721", 6))]
        [True, False, False]
        """
        if done is None:
            return False
        if done.day >= self.start_day:
            self._check_number(done)
        return self.ends_day(done)

    def _check_number(self, key: PassKey) -> None:
        if not 0 <= key.number <= self.passes_per_day:
            raise ConfigError(
                f"split_interval = {self.split_interval}, split_per_pass = {self.split_per_pass}: a day has the passes "
                f"1 to {self.passes_per_day}, but {key.day} is trained to pass {key.number}; expected the values it "
                f"was begun with, or a later start_day"
            )

    def passes(self, done: Optional[PassKey] = None) -> Iterator[PassKey]:
        """The passes in order; those after ``done`` where it is given."""
        key = self.first if done is None else self.after(done)
        while key is not None:
            yield key
            key = self.after(key)
