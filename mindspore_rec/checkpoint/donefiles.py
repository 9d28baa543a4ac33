"""The logs of what a pass-by-pass run saved, which those who wait for a model read.

``donefile.txt`` has a line for each checkpoint: day, key, path, pass and 0, split by tabs. ``base_donefile.txt`` and
``patch_donefile.txt`` have a JSON object a line for each base and delta export: id, key, input, monitor_data. ``key``
ties a patch to its base; it is the time the base was made, in seconds since 1970.

PaddleRec truncates these files and writes them again, so a crash can lose them. Here a line is added by replacing the
file: a reader sees all lines before, or those and the new one. A day trained again adds lines for passes that have one:
the last line of a pass, or of an export's folder, is the one that counts.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Dict, Hashable, List, Optional, Tuple, TypeVar

from mindspore_rec.checkpoint.array_file import sync_folder
from mindspore_rec.checkpoint.errors import CheckpointError
from mindspore_rec.published_file import published
from mindspore_rec.stream.pass_schedule import PassKey, day_of

logger = logging.getLogger(__name__)

DONEFILE = "donefile.txt"
BASE_DONEFILE = "base_donefile.txt"
PATCH_DONEFILE = "patch_donefile.txt"
_FIELDS = {"id", "key", "input", "monitor_data"}
MAX_BYTES = 64 << 20  # some half a million lines
_BATCH_PASS = -1  # PaddleRec's number of the state a day begins with; ours is 0, as in its path

Line = TypeVar("Line", "SavedCheckpoint", "SavedExport")


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
    """Add a line to ``donefile.txt`` in ``folder``; False, and nothing is written, where the last one of its day and
    pass is the same.

    Raises:
        CheckpointError: a line that is there is none: it is not built upon; or the file would become too long.
        ValueError: it would not be read as it is: a field holds what ends it, a number is negative, a day is none.
        OSError: it cannot be written.
    """
    if any(character in saved.path for character in "\t\r\n"):
        raise ValueError(f"path {saved.path!r}: expected no tab and no end of line in it")
    if not _add(folder / DONEFILE, saved, SavedCheckpoint.read, _pass_of):
        return False
    logger.info("write %s/%s %s succeed", saved.at.day, saved.at.number, DONEFILE)
    return True


def add_base(folder: Path, saved: SavedExport) -> bool:
    """As `add_checkpoint`, to ``base_donefile.txt``; False where the last line of its input is the same."""
    return _add(folder / BASE_DONEFILE, saved, SavedExport.read, _input_of)


def add_patch(folder: Path, saved: SavedExport) -> bool:
    """As `add_checkpoint`, to ``patch_donefile.txt``; False where the last line of its input is the same."""
    return _add(folder / PATCH_DONEFILE, saved, SavedExport.read, _input_of)


def checkpoints(folder: Path) -> List[SavedCheckpoint]:
    """The lines of ``donefile.txt`` in ``folder``, oldest first, the last one of each day and pass; none where it is
    not there.

    Raises:
        CheckpointError: a line is none, and the message has its number; or the file is longer than 64 MiB.
    """
    return _last(_parsed(_text(folder / DONEFILE), folder / DONEFILE, SavedCheckpoint.read), _pass_of)


def bases(folder: Path) -> List[SavedExport]:
    """As `checkpoints`, of ``base_donefile.txt``: the last line of each input."""
    return _last(_parsed(_text(folder / BASE_DONEFILE), folder / BASE_DONEFILE, SavedExport.read), _input_of)


def patches(folder: Path) -> List[SavedExport]:
    """As `checkpoints`, of ``patch_donefile.txt``: the last line of each input."""
    return _last(_parsed(_text(folder / PATCH_DONEFILE), folder / PATCH_DONEFILE, SavedExport.read), _input_of)


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


def _pass_of(saved: SavedCheckpoint) -> PassKey:
    return saved.at


def _input_of(saved: SavedExport) -> str:
    return saved.input


def _add(path: Path, saved: Line, parse: Callable[[str], Line], name: Callable[[Line], Hashable]) -> bool:
    before = _text(path)
    if saved in [old for old in _last(_parsed(before, path, parse), name) if name(old) == name(saved)]:
        return False
    line = f"{saved.line()}\n"
    try:
        again = _parsed(line.encode("utf-8").decode("utf-8"), path, parse)
    except (CheckpointError, UnicodeEncodeError) as error:
        raise ValueError(f"{saved} cannot be written to {path}: {error}") from None
    if again != [saved]:
        raise ValueError(f"{saved} cannot be written to {path}: it would be read as {again}")
    content = f"{before}{line}".encode()
    if len(content) > MAX_BYTES:
        raise CheckpointError(f"{path}: one line more than the {MAX_BYTES} bytes that are read of it; move it away")
    with published(path) as part:
        part.write_bytes(content)
    sync_folder(path.parent)
    return True


def _last(lines: List[Line], name: Callable[[Line], Hashable]) -> List[Line]:
    """The last line of each name, in the order of these."""
    found: Dict[Hashable, Line] = {}
    for line in lines:
        found.pop(name(line), None)
        found[name(line)] = line
    return list(found.values())


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return ""
    if len(content) > MAX_BYTES:
        raise CheckpointError(f"{path}: longer than {MAX_BYTES} bytes, so it is no log of what was saved")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        raise CheckpointError(f"{path}: not UTF-8 text") from None


def _parsed(text: str, path: Path, parse: Callable[[str], Line]) -> List[Line]:
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
