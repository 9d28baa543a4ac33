"""A ``train_data_dir`` of synthetic passes: all at once, or as a live system writes it, split by split.

A split folder gets ``part-00000`` and so on, each written under a hidden name and renamed, and when all of them are
there the donefile. What is there already stays: the same options give the same bytes, so a writer that was killed
is started again.
"""

from __future__ import annotations

import heapq
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, List, Tuple

from mindspore_rec.config import UserError
from mindspore_rec.data.synthetic_passes import SplitRows, split_rows
from mindspore_rec.published_file import published
from mindspore_rec.stream.pass_schedule import PassSchedule

Written = Callable[[str, SplitRows], None]


@dataclass(frozen=True)
class Splits:
    """What the splits of a tree hold.

    Attributes:
        seed: of the rows.
        rows: of a split.
        files: of a split, which share its rows.
        donefile: name of the file that says a split is complete; empty: none.
    """

    seed: int
    rows: int
    files: int
    donefile: str = ""


@dataclass(frozen=True)
class Pace:
    """When splits come, in seconds.

    Attributes:
        interval: from one split to the next.
        donefile_after: from the files of a split to its donefile.
        late_split: number from 1 of one that comes later than that, also than those after it; 0: none.
        late_by: how much.
    """

    interval: float = 0.0
    donefile_after: float = 0.0
    late_split: int = 0
    late_by: float = 0.0


def write_tree(
    root: Path,
    schedule: PassSchedule,
    splits: Splits,
    written: Written,
    pace: Pace = Pace(),
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> int:
    """Write the splits of a schedule that are not there yet; how many that were.

    Args:
        root: ``train_data_dir``, made where it is not there.
        schedule: days and splits.
        splits: what is in them.
        written: called with the name (``20190720/0300``) and rows of each split, old ones too, when its files are
            there and its donefile is not.
        pace: when they come; those that are there already are not waited for.
        clock, sleep: seconds, and a wait for some.

    Raises:
        UserError: a split folder holds something else, or cannot be written.
    """
    names = [name for key in schedule.passes() for name in schedule.folders(key)]
    try:
        root.mkdir(parents=True, exist_ok=True)
        missing = [name for name in names if not _is_complete(root / name, splits)]
        for name in sorted({*names} - {*missing}):
            _write_files(root / name, name, splits, written)
        started = clock()
        steps = [(_moment(number, pace), number, "files") for number in range(len(missing))]
        heapq.heapify(steps)
        while steps:
            moment, number, what = heapq.heappop(steps)
            _wait_until(started + moment, clock, sleep)
            name = missing[number]
            if what == "donefile":
                _publish(root / name / splits.donefile, b"")
                continue
            _write_files(root / name, name, splits, written)
            if splits.donefile:
                heapq.heappush(steps, (moment + pace.donefile_after, number, "donefile"))
    except OSError as error:
        raise UserError(f"cannot write {error.filename or root}: {error.strerror}") from None
    return len(missing)


def _moment(number: int, pace: Pace) -> float:
    return number * pace.interval + (pace.late_by if number + 1 == pace.late_split else 0.0)


def _wait_until(moment: float, clock: Callable[[], float], sleep: Callable[[float], None]) -> None:
    left = moment - clock()
    if left > 0:
        sleep(left)


def _is_complete(folder: Path, splits: Splits) -> bool:
    return (folder / (splits.donefile or _file_name(splits.files - 1))).exists()


def _write_files(folder: Path, name: str, splits: Splits, written: Written) -> None:
    day, time_of_day = name.split("/")
    rows = split_rows(splits.seed, day, int(time_of_day[:2]) * 60 + int(time_of_day[2:]), splits.rows)
    folder.mkdir(parents=True, exist_ok=True)
    parts = _parts(rows.lines, splits.files)
    others = {path.name for path in folder.iterdir() if not path.name.startswith(".")}
    others -= {file for file, _ in parts} | {splits.donefile}
    if others:
        raise UserError(f"{folder / min(others)} is no file of this tree: choose another folder")
    for file, content in parts:
        if not (folder / file).exists():
            _publish(folder / file, content)
        elif (folder / file).read_bytes() != content:
            raise UserError(f"{folder / file} holds other rows: give the same options, or choose another folder")
    written(name, rows)


def _parts(lines: List[bytes], files: int) -> List[Tuple[str, bytes]]:
    """Names and contents of the files of a split: as many lines each, or one more."""
    ends = [len(lines) * number // files for number in range(files + 1)]
    return [(_file_name(k), b"".join(lines[ends[k] : ends[k + 1]])) for k in range(files)]


def _file_name(number: int) -> str:
    return f"part-{number:05d}"


def _publish(path: Path, content: bytes) -> None:
    with published(path) as part:
        part.write_bytes(content)
