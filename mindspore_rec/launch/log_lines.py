"""Log files of ranks as they grow: the new lines of one, the last lines of any."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import List

TAIL_BYTES = 1 << 16


class GrowingLog:
    """What comes into a log from now on; the file may not exist yet."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.start = size(path)
        self._offset = self.start

    def whole_lines(self) -> bytes:
        """Bytes that came since, up to the last end of a line."""
        data = self._read(self._offset)
        end = data.rfind(b"\n") + 1
        self._offset += end
        return data[:end]

    def rest(self) -> bytes:
        """Bytes that came since, also half a line: for the end of the rank."""
        data = self._read(self._offset)
        self._offset += len(data)
        return data

    def tail(self, count: int) -> List[str]:
        """The last lines since this object was made, of at most 64 KiB."""
        data = self._read(max(self.start, size(self._path) - TAIL_BYTES))
        return data.decode("utf-8", "replace").splitlines()[-count:]

    def _read(self, offset: int) -> bytes:
        with contextlib.suppress(FileNotFoundError), self._path.open("rb") as file:
            file.seek(offset)
            return file.read()
        return b""


def size(path: Path) -> int:
    """Bytes of a file, 0 where there is none."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
