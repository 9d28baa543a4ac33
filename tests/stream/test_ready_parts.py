"""Waiting for the data of each pass: time is a list of looks, nothing sleeps."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Callable, List

import pytest

from mindspore_rec.config import ConfigError, UserError
from mindspore_rec.stream.pass_schedule import PassKey, PassSchedule
from mindspore_rec.stream.ready_parts import LocalFolders, Part, ready_parts

DAY = "20190720"
SCHEDULE = PassSchedule(DAY, DAY, split_interval=360, split_per_pass=2)  # splits 0000 0600 | 1200 1800


class Looks:
    """A stop whose waits are acted on at once; ``acts[n]`` happens in wait n, and a wait without one ends."""

    def __init__(self, *acts: Callable[[], object]) -> None:
        self.acts = list(acts)
        self.waits: List[float] = []
        self.stopped = False

    def is_set(self) -> bool:
        return self.stopped

    def wait(self, timeout: float) -> bool:
        self.waits.append(timeout)
        if len(self.waits) > len(self.acts):
            self.stopped = True
        else:
            self.acts[len(self.waits) - 1]()
        return self.stopped


def fill(folder: Path, *splits: str, done: str = "", day: str = DAY) -> None:
    for split in splits:
        path = folder / day / split
        path.mkdir(parents=True, exist_ok=True)
        (path / "part-1").write_text("1")
        (path / "part-0").write_text("1")
        if done:
            (path / done).touch()


def names(folder: Path, *splits: str) -> tuple[str, ...]:
    return tuple(f"{folder}/{DAY}/{split}" for split in splits)


def test_all_parts_in_order(tmp_path: Path) -> None:
    fill(tmp_path, "0000", "0600", "1200", "1800")
    looks = Looks()
    assert list(ready_parts(SCHEDULE, f"{tmp_path}/", looks)) == [
        Part(PassKey(DAY, 1), names(tmp_path, "0000", "0600")),
        Part(PassKey(DAY, 2), names(tmp_path, "1200", "1800")),
    ]
    assert looks.waits == []


def test_the_donefile_of_every_split_is_waited_for(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    fill(tmp_path, "0000", "1200", "1800", done="data.done")
    fill(tmp_path, "0600")
    looks = Looks(lambda: None, lambda: None, lambda: fill(tmp_path, "0600", done="data.done"))
    parts = ready_parts(SCHEDULE, str(tmp_path), looks, data_donefile="data.done", data_sleep_second=30)
    assert next(parts) == Part(PassKey(DAY, 1), names(tmp_path, "0000", "0600"))
    assert looks.waits == [30, 30, 30]
    assert caplog.messages == [f"wait for data ready: {tmp_path}/{DAY}/0600/data.done"] * 3
    assert next(parts) == Part(PassKey(DAY, 2), names(tmp_path, "1200", "1800"))
    assert next(parts, None) is None


def test_a_stop_ends_the_waiting(tmp_path: Path) -> None:
    fill(tmp_path, "0000", "0600", done="ok")
    looks = Looks(lambda: None)
    parts = ready_parts(SCHEDULE, str(tmp_path), looks, data_donefile="ok")
    assert [part.key.number for part in parts] == [1]
    assert looks.waits == [10, 10]


def test_a_stop_ends_parts_that_are_all_there(tmp_path: Path) -> None:
    fill(tmp_path, "0000", "0600", "1200", "1800")
    looks = Looks()
    parts = ready_parts(SCHEDULE, str(tmp_path), looks)
    next(parts)
    looks.stopped = True
    assert list(parts) == []


def test_goes_on_after_what_is_done(tmp_path: Path) -> None:
    fill(tmp_path, "1200", "1800")
    assert [part.key.number for part in ready_parts(SCHEDULE, str(tmp_path), Looks(), done=PassKey(DAY, 1))] == [2]
    assert list(ready_parts(SCHEDULE, str(tmp_path), Looks(), done=PassKey(DAY, 2))) == []


def test_a_missing_folder_is_an_error_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"train_data_dir = '.*none': expected a folder that is there"):
        ready_parts(SCHEDULE, str(tmp_path / "none"), Looks(), data_donefile="ok")
    with pytest.raises(ConfigError, match="train_data_dir = ''"):
        ready_parts(SCHEDULE, "", Looks())
    fill(tmp_path, "0000", "0600", "1200")
    with pytest.raises(UserError, match=rf"the split folder '.*/{DAY}/1800' is not there"):
        ready_parts(SCHEDULE, str(tmp_path), Looks())
    for name in ("a/b", ".", ".."):
        with pytest.raises(ConfigError, match=re.escape(f"data_donefile = {name!r}")):
            ready_parts(SCHEDULE, str(tmp_path), Looks(), data_donefile=name)


def test_no_folder_after_the_first_that_is_missing_is_looked_at(tmp_path: Path) -> None:
    fill(tmp_path, "0000", "0600")
    asked: List[str] = []

    class Asked(LocalFolders):
        def is_folder(self, path: str) -> bool:
            asked.append(path)
            assert len(asked) < 10
            return super().is_folder(path)

    with pytest.raises(UserError, match=f"{DAY}/1200"):
        ready_parts(PassSchedule(DAY, "99981231", 360), str(tmp_path), Looks(), folders=Asked())
    assert asked == [str(tmp_path), *(f"{tmp_path}/{DAY}/{split}" for split in ("0000", "0600", "1200"))]


def test_no_folder_past_the_end_is_looked_at(tmp_path: Path) -> None:
    fill(tmp_path, "0000", "0600", "1200", "1800", done="ok")
    fill(tmp_path, "0000", day="20190721")
    asked: List[str] = []

    class Asked(LocalFolders):
        def is_file(self, path: str) -> bool:
            asked.append(path)
            return super().is_file(path)

        def is_folder(self, path: str) -> bool:
            asked.append(path)
            return super().is_folder(path)

    assert len(list(ready_parts(SCHEDULE, str(tmp_path), Looks(), data_donefile="ok", folders=Asked()))) == 2
    assert asked[0] == str(tmp_path) and len(asked) == 5 and all(f"/{DAY}/" in path for path in asked[1:])


@pytest.mark.parametrize("root", ["/", "memory://", "hdfs:///", "s3://bucket", "s3://bucket/", "data"])
def test_folders_below_any_root(root: str) -> None:
    class All(LocalFolders):
        def is_folder(self, path: str) -> bool:
            return path.startswith(root)

    first = next(ready_parts(SCHEDULE, root, Looks(), folders=All()))
    slash = "" if root.endswith("/") else "/"
    assert first.folders == (f"{root}{slash}{DAY}/0000", f"{root}{slash}{DAY}/0600")
