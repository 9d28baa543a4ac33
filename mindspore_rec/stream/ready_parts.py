"""The folders of each pass, as soon as they are complete; which of their files are read, `data/part_folder.py` says.

A split folder is ready when the file ``data_donefile`` is in it; without one nothing is waited for, so every folder
must be there at the start. `ready_parts` looks at one pass at a time and never past the end of the schedule, so it may
run ahead of the training in a thread of its own (``prefetch``).
"""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from typing import Iterator, List, Optional, Protocol, Tuple

from mindspore_rec.config import ConfigError, UserError
from mindspore_rec.stream.pass_schedule import PassKey, PassSchedule

logger = logging.getLogger(__name__)


class Folders(Protocol):
    """What is asked of the filesystem the data are on; paths are text, split by slashes.

    `LocalFolders` is one, and `PartFolders` of `data/pass_files.py`, which takes URLs too.
    """

    def is_folder(self, path: str) -> bool:
        """Whether there is such a folder."""

    def is_file(self, path: str) -> bool:
        """Whether there is such a file."""


class LocalFolders:
    """Folders of this host."""

    def is_folder(self, path: str) -> bool:
        """See `Folders`."""
        return os.path.isdir(os.path.expanduser(path))

    def is_file(self, path: str) -> bool:
        """See `Folders`."""
        return os.path.isfile(os.path.expanduser(path))


class Stop(Protocol):
    """What ends the waiting: ``threading.Event`` is one."""

    def is_set(self) -> bool:
        """Whether to end."""

    def wait(self, timeout: float) -> bool:
        """Sleep for ``timeout`` seconds or until asked to end; whether to end."""


@dataclass(frozen=True)
class Part:
    """The data of a pass.

    Attributes:
        key: day and pass.
        folders: its split folders, in order.
    """

    key: PassKey
    folders: Tuple[str, ...]


def ready_parts(
    schedule: PassSchedule,
    train_data_dir: str,
    stop: Stop,
    *,
    data_donefile: str = "",
    data_sleep_second: float = 10,
    done: Optional[PassKey] = None,
    folders: Optional[Folders] = None,
) -> Iterator[Part]:
    """The passes of a schedule in order, each when all of its splits are ready; ends with it, or where ``stop`` is set.

    Args:
        schedule: days and passes.
        train_data_dir: folder of the days.
        stop: waits between two looks.
        data_donefile: name of the file that says a split is complete; empty: nothing is waited for.
        data_sleep_second: seconds between two looks.
        done: last pass that is trained already.
        folders: of the filesystem; default: this host's.

    Raises:
        ConfigError: at once, where there is no train_data_dir, or ``data_donefile`` is no name.
        UserError: at once, where nothing is waited for and a split folder is not there; it names the first.
    """
    there = LocalFolders() if folders is None else folders
    if not train_data_dir or not there.is_folder(train_data_dir):
        raise ConfigError(f"train_data_dir = {train_data_dir!r}: expected a folder that is there")
    if "/" in data_donefile or data_donefile in (".", ".."):
        raise ConfigError(f"data_donefile = {data_donefile!r}: expected the name of a file in each split, no path")
    if not data_donefile:
        _check_folders(schedule, train_data_dir, done, there)
    return _parts(schedule, train_data_dir, stop, data_donefile, data_sleep_second, done, there)


def _parts(
    schedule: PassSchedule,
    train_data_dir: str,
    stop: Stop,
    data_donefile: str,
    data_sleep_second: float,
    done: Optional[PassKey],
    there: Folders,
) -> Iterator[Part]:
    for key in schedule.passes(done):
        splits = _paths(schedule, train_data_dir, key)
        for split in splits:
            if data_donefile and not _ready(f"{split}/{data_donefile}", stop, data_sleep_second, there):
                return
        if stop.is_set():
            return
        yield Part(key, tuple(splits))


def _ready(donefile: str, stop: Stop, seconds: float, there: Folders) -> bool:
    while not there.is_file(donefile):
        logger.info("wait for data ready: %s", donefile)
        if stop.wait(seconds):
            return False
    return True


def _paths(schedule: PassSchedule, train_data_dir: str, key: PassKey) -> List[str]:
    root = train_data_dir if train_data_dir.endswith("/") else f"{train_data_dir}/"  # hdfs:/// keeps its slashes
    return [root + folder for folder in schedule.folders(key)]


def _check_folders(schedule: PassSchedule, train_data_dir: str, done: Optional[PassKey], there: Folders) -> None:
    for key in schedule.passes(done):
        for path in _paths(schedule, train_data_dir, key):
            if not there.is_folder(path):
                raise UserError(
                    f"train_data_dir: the split folder {path!r} is not there; expected those of all passes up to "
                    f"{schedule.end_day}, or a data_donefile to wait for"
                )
