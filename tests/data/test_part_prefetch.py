"""The next pass is waited for while one is trained."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Iterator, Optional

import pytest

from mindspore_rec.config import ConfigError
from mindspore_rec.data.part_prefetch import prefetched
from mindspore_rec.stream.pass_schedule import PassSchedule
from mindspore_rec.stream.ready_parts import Folders, LocalFolders, Part, Stop, ready_parts

DAY = "20190720"
SCHEDULE = PassSchedule(DAY, DAY, split_interval=360)
DEADLINE = 30


def split(folder: Path, name: str, *, done: bool) -> None:
    path = folder / DAY / name
    path.mkdir(parents=True, exist_ok=True)
    (path / "part-0").write_text("1")
    if done:
        (path / "ok").touch()


def parts(folder: Path, stop: Stop, folders: Optional[Folders] = None) -> Iterator[Part]:
    return ready_parts(SCHEDULE, str(folder), stop, data_donefile="ok", data_sleep_second=0.01, folders=folders)


def test_with_donefiles_and_not_past_the_end(tmp_path: Path) -> None:
    for name in ("0000", "0600"):
        split(tmp_path, name, done=True)
    ahead = prefetched(lambda stop: parts(tmp_path, stop), threading.Event())
    assert [next(ahead).key.number, next(ahead).key.number] == [1, 2]
    for name in ("1200", "1800"):
        split(tmp_path, name, done=True)
    assert [part.key.number for part in ahead] == [3, 4]


def test_one_is_ready_before_it_is_asked_for() -> None:
    made = threading.Semaphore(0)

    def items(stop: Stop) -> Iterator[int]:
        for number in range(3):
            made.release()
            yield number

    ahead = prefetched(items, threading.Event())
    assert next(ahead) == 0
    assert made.acquire(timeout=DEADLINE) and made.acquire(timeout=DEADLINE)
    assert list(ahead) == [1, 2]


def test_closing_ends_the_waiting(tmp_path: Path) -> None:
    split(tmp_path, "0000", done=True)
    split(tmp_path, "0600", done=False)
    looks = threading.Semaphore(0)

    class Looked(LocalFolders):
        def is_file(self, path: str) -> bool:
            if path.endswith("0600/ok"):
                looks.release()
            return super().is_file(path)

    ahead = prefetched(lambda stop: parts(tmp_path, stop, Looked()), threading.Event())
    next(ahead)
    assert looks.acquire(timeout=DEADLINE) and looks.acquire(timeout=DEADLINE), "the second look follows a wait"
    closing = threading.Thread(target=ahead.close, daemon=True)  # type: ignore[attr-defined]
    closing.start()
    closing.join(DEADLINE)
    assert not closing.is_alive()


def test_a_stop_ends_the_waiting(tmp_path: Path) -> None:
    split(tmp_path, "0000", done=True)
    stop = threading.Event()
    ahead = prefetched(lambda either: parts(tmp_path, either), stop)
    next(ahead)
    stop.set()
    assert list(ahead) == []


def test_an_error_before_any_work_is_raised_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="train_data_dir"):
        prefetched(lambda stop: parts(tmp_path / "none", stop), threading.Event())
