"""Trees of synthetic passes: files and donefiles in their order, work that goes on, what is refused."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Dict, List, Tuple

import pytest

from mindspore_rec.config import UserError
from mindspore_rec.data.pass_files import list_pass
from mindspore_rec.data.synthetic_passes import SplitRows, split_rows
from mindspore_rec.data.synthetic_tree import Pace, Splits, write_tree
from mindspore_rec.stream.pass_schedule import PassSchedule
from mindspore_rec.stream.ready_parts import Part

SCHEDULE = PassSchedule("20190720", "20190721", 360, 2)
NAMES = [name for key in SCHEDULE.passes() for name in SCHEDULE.folders(key)]
AT_ONCE = Pace()
SPLITS = Splits(seed=7, rows=25, files=2, donefile="data.done")


def contents(root: Path) -> Dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


class Clock:
    """Time that passes only while one sleeps, and what is there at each moment."""

    def __init__(self, root: Path) -> None:
        self.now, self.root = 50.0, root
        self.seen: List[Tuple[float, List[str], List[str]]] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        there = contents(self.root)
        done = sorted({name.rpartition("/")[0] for name in there if name.endswith("data.done")})
        parts = sorted({name.rpartition("/")[0] for name in there if "part-" in name})
        self.seen.append((self.now - 50.0, parts, done))
        self.now += seconds


def write(root: Path, splits: Splits = SPLITS, pace: Pace = AT_ONCE) -> Tuple[int, List[Tuple[str, SplitRows]], Clock]:
    told: List[Tuple[str, SplitRows]] = []

    def written(name: str, rows: SplitRows) -> None:
        assert len(list((root / name).glob("part-*"))) == splits.files
        told.append((name, rows))

    clock = Clock(root)
    return write_tree(root, SCHEDULE, splits, written, pace, clock, clock.sleep), told, clock


def test_all_at_once(tmp_path: Path) -> None:
    root = tmp_path / "new" / "data"
    count, told, clock = write(root)
    assert count == len(NAMES) and clock.seen == []
    there = contents(root)
    files = ("data.done", "part-00000", "part-00001")
    assert set(there) == {f"{name}/{file}" for name in NAMES for file in files}
    assert [name for name, _ in told] == NAMES
    for (name, rows), minute in zip(told, [0, 360, 720, 1080] * 2):
        wanted = split_rows(7, name[:8], minute, 25)
        assert rows.lines == wanted.lines
        parts = [there[f"{name}/{file}"] for file in files[1:]]
        assert b"".join(parts) == b"".join(wanted.lines)
        assert [part.count(b"\n") for part in parts] == [12, 13]
        assert there[f"{name}/data.done"] == b""
    for key in SCHEDULE.passes():
        part = Part(key, tuple(f"{root}/{folder}" for folder in SCHEDULE.folders(key)))
        assert len(list_pass(part, "data.done")) == 4


def test_without_a_donefile(tmp_path: Path) -> None:
    splits = Splits(seed=7, rows=25, files=1)
    assert write(tmp_path, splits)[0] == len(NAMES)
    assert set(contents(tmp_path)) == {f"{name}/part-00000" for name in NAMES}
    assert write(tmp_path, splits)[0] == 0


def test_live_splits_come_one_by_one_and_one_late(tmp_path: Path) -> None:
    _, told, clock = write(tmp_path, pace=Pace(interval=10, donefile_after=4, late_split=3, late_by=25))
    late = NAMES[2]
    in_time = [name for name in NAMES if name != late]
    for moment, parts, done in clock.seen:
        wanted = [name for name in in_time if NAMES.index(name) * 10 <= moment] + [late] * (moment >= 45)
        assert parts == sorted(wanted)
        wanted = [name for name in in_time if NAMES.index(name) * 10 + 4 <= moment] + [late] * (moment >= 49)
        assert done == sorted(wanted)
    assert clock.now - 50 == 74
    assert [name for name, _ in told] == [*NAMES[:2], *NAMES[3:5], late, *NAMES[5:]]  # at 45 s, before that of 50 s


def test_a_writer_that_was_killed_goes_on(tmp_path: Path) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    write(whole)
    write(broken)
    for name in NAMES[5:]:
        (broken / name / "data.done").unlink()
    (broken / NAMES[6] / "part-00001").rename(broken / NAMES[6] / ".part-00001.part")
    for file in ("part-00000", "part-00001"):
        (broken / NAMES[7] / file).unlink()
    before = {path: path.stat().st_mtime_ns for path in broken.rglob("part-*")}
    count, told, clock = write(broken, pace=Pace(interval=10))
    assert count == 3 and clock.now - 50 == 20  # only what is missing is waited for
    assert sorted(name for name, _ in told) == NAMES
    assert contents(broken) == contents(whole)
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_other_rows_and_files_are_left_alone(tmp_path: Path) -> None:
    write(tmp_path)
    before = contents(tmp_path)
    with pytest.raises(UserError, match=r"part-00000 holds other rows: give the same options"):
        write(tmp_path, Splits(seed=8, rows=25, files=2, donefile="data.done"))
    with pytest.raises(UserError, match=r"0000/part-00001 is no file of this tree"):
        write(tmp_path, Splits(seed=7, rows=25, files=1, donefile="data.done"))
    assert contents(tmp_path) == before
    theirs = tmp_path / "other" / NAMES[0] / "theirs"
    theirs.parent.mkdir(parents=True)
    theirs.touch()
    with pytest.raises(UserError, match="theirs is no file of this tree"):
        write(tmp_path / "other")


def test_a_folder_that_cannot_be_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=rf"cannot write .*file.*: {os.strerror(20)}"):
        write(tmp_path / "file" / "inner")
