"""The logs of what a pass-by-pass run saved, which those who wait for a model read.

``donefile.txt`` has a line for each checkpoint: day, key, path, pass and 0, split by tabs. ``base_donefile.txt`` and
``patch_donefile.txt`` have a JSON object a line for each base and delta export: id, key, input, monitor_data. ``key``
ties a patch to its base; it is the time the base was made, in seconds since 1970.

PaddleRec truncates these files and writes them again, so a crash can lose them. Here a line is added by replacing the
file: a reader sees all lines before, or those and the new one.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Tuple, TypeVar

from mindspore_rec.checkpoint.array_file import sync_folder
from mindspore_rec.checkpoint.errors import CheckpointError
from mindspore_rec.published_file import published
from mindspore_rec.stream.pass_schedule import PassKey, day_of

logger = logging.getLogger(__name__)

DONEFILE = "donefile.txt"
BASE_DONEFILE = "base_donefile.txt"
PATCH_DONEFILE = "patch_donefile.txt"
_FIELDS = {"id", "key", "input", "monitor_data"}
_BATCH_PASS = -1  # PaddleRec's number of the state a day begins with; ours is 0, as in its path

Line = TypeVar("Line")


@dataclass(frozen=True)
class SavedCheckpoint:
    """A line of ``donefile.txt``.

    Attributes:
        at: day and pass.
        key: of the base it follows.
        path: its folder, ending in a slash.

    Examples:
        >>> line = SavedCheckpoint(PassKey("20190720", 6), 1563600000, "model/20190720/6/").line()
        >>> line
        '20190720\\t1563600000\\tmodel/20190720/6/\\t6\\t0'
        >>> SavedCheckpoint.read(line).at
        PassKey(day='20190720', number=6)
    """

    at: PassKey
    key: int
    path: str

    def line(self) -> str:
        """As it is written."""
        return f"{self.at.day}\t{self.key}\t{self.path}\t{self.at.number}\t0"

    @classmethod
    def read(cls, line: str) -> SavedCheckpoint:
        """Read a line.

        Raises:
            ValueError: it is none.
        """
        fields = line.split("\t")
        if len(fields) != 5 or fields[4] != "0" or not fields[2]:
            raise ValueError("expected day, key, path, pass and 0, split by tabs")
        day_of(fields[0])
        number = 0 if fields[3] == str(_BATCH_PASS) else _count(fields[3], "pass")
        return cls(PassKey(fields[0], number), _count(fields[1], "key"), fields[2])


@dataclass(frozen=True)
class SavedExport:
    """A line of ``base_donefile.txt`` or ``patch_donefile.txt``.

    Attributes:
        id: seconds since 1970 when it was saved.
        key: of the base: its own, or the one a patch follows.
        input: its folder.
        monitor_data: metrics of the pass it was made after, as text.

    Examples:
        >>> SavedExport(1563600060, 1563600000, "model/20190720/delta-6", "AUC=0.7").line()
        '{"id": "1563600060", "key": "1563600000", "input": "model/20190720/delta-6", "monitor_data": "AUC=0.7"}'
    """

    id: int
    key: int
    input: str
    monitor_data: str = ""

    def line(self) -> str:
        """As it is written; numbers are text, as PaddleRec has them."""
        fields = {"id": str(self.id), "key": str(self.key), "input": self.input, "monitor_data": self.monitor_data}
        return json.dumps(fields, ensure_ascii=False)

    @classmethod
    def read(cls, line: str) -> SavedExport:
        """Read a line.

        Raises:
            ValueError: it is none.
        """
        fields = json.loads(line, object_pairs_hook=_once)
        if not isinstance(fields, dict) or set(fields) != _FIELDS:
            raise ValueError(f"expected a JSON object of {', '.join(sorted(_FIELDS))}")
        if not all(isinstance(value, str) for value in fields.values()):
            raise ValueError("expected text in every field")
        return cls(_count(fields["id"], "id"), _count(fields["key"], "key"), fields["input"], fields["monitor_data"])


def add_checkpoint(folder: Path, saved: SavedCheckpoint) -> bool:
    """Add a line to ``donefile.txt`` in ``folder``; False, and nothing is written, where its day and pass are there.

    Raises:
        CheckpointError: a line that is there is none: it is not built upon.
        ValueError: a field holds what ends it.
        OSError: it cannot be written.
    """
    if any(before.at == saved.at for before in checkpoints(folder)):
        return False
    if any(character in saved.path for character in "\t\r\n"):
        raise ValueError(f"path {saved.path!r}: expected no tab and no end of line in it")
    _append(folder / DONEFILE, saved.line())
    logger.info("write %s/%s %s succeed", saved.at.day, saved.at.number, DONEFILE)
    return True


def add_base(folder: Path, saved: SavedExport) -> bool:
    """As `add_checkpoint`, to ``base_donefile.txt``; False where its input is there."""
    return _add_export(folder, BASE_DONEFILE, saved)


def add_patch(folder: Path, saved: SavedExport) -> bool:
    """As `add_checkpoint`, to ``patch_donefile.txt``; False where its input is there."""
    return _add_export(folder, PATCH_DONEFILE, saved)


def checkpoints(folder: Path) -> List[SavedCheckpoint]:
    """The lines of ``donefile.txt`` in ``folder``, oldest first; none where it is not there.

    Raises:
        CheckpointError: a line is none; the message has its number.
    """
    return _read(folder / DONEFILE, SavedCheckpoint.read)


def bases(folder: Path) -> List[SavedExport]:
    """As `checkpoints`, of ``base_donefile.txt``."""
    return _read(folder / BASE_DONEFILE, SavedExport.read)


def patches(folder: Path) -> List[SavedExport]:
    """As `checkpoints`, of ``patch_donefile.txt``."""
    return _read(folder / PATCH_DONEFILE, SavedExport.read)


def newest(folder: Path, whole: Callable[[str], bool]) -> Optional[SavedCheckpoint]:
    """The checkpoint to go on from: the latest of ``donefile.txt`` whose folder ``whole`` finds complete.

    Args:
        whole: takes the path of a line; one it refuses is said and passed over.

    Raises:
        CheckpointError: a line is none.
    """
    for saved in sorted(checkpoints(folder), key=lambda saved: saved.at, reverse=True):
        if whole(saved.path):
            return saved
        logger.error("skipping %s, which %s names: it is not whole", saved.path, folder / DONEFILE)
    return None


def _add_export(folder: Path, name: str, saved: SavedExport) -> bool:
    if any(before.input == saved.input for before in _read(folder / name, SavedExport.read)):
        return False
    _append(folder / name, saved.line())
    return True


def _append(path: Path, line: str) -> None:
    before = path.read_text("utf-8") if path.exists() else ""
    with published(path) as part:
        part.write_text(f"{before}{line}\n", "utf-8")
    sync_folder(path.parent)


def _read(path: Path, parse: Callable[[str], Line]) -> List[Line]:
    try:
        text = path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        return []
    except UnicodeDecodeError:
        raise CheckpointError(f"{path}: not UTF-8 text") from None
    if text and not text.endswith("\n"):
        raise CheckpointError(f"{path}: the last line is cut off")
    found = []
    for number, line in enumerate(text.split("\n")[:-1], 1):
        if not line:  # PaddleRec leaves one before each it adds
            continue
        try:
            found.append(parse(line))
        except (ValueError, RecursionError) as error:
            raise CheckpointError(f"{path}: line {number} is damaged: {error}") from None
    return found


def _count(text: str, name: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise ValueError(f"{name} {text!r} is no whole number of at least 0")
    return int(text)


def _once(pairs: List[Tuple[str, Any]]) -> Dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("a field is given twice")
    return fields
