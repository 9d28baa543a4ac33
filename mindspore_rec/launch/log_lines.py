"""Log files of ranks as they grow: the new lines of one, the last lines of any."""

from __future__ import annotations

import contextlib
import os
import select
from pathlib import Path
from typing import Callable, List

TAIL_BYTES = 1 << 16
PIECE = select.PIPE_BUF
"""A pipe that is ready takes so many bytes without blocking."""


class GrowingLog:
    """What comes into a log from now on; the file may not exist yet."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.start = size(path)
        self._offset = self.start

    def pass_on(self, take: Callable[[bytes], int], unfinished: bool = False) -> bool:
        """Hand on the bytes that came since, in pieces that end with a line where lines are not longer.

        Args:
            take: gets a piece and returns how much of it was taken; 0 for the time being none.
            unfinished: also a last line without its end.

        Returns:
            Whether all was taken.
        """
        end = size(self._path)
        while self._offset < end:
            piece = self._read(self._offset, PIECE)
            whole = piece.rfind(b"\n") + 1
            if whole or not (unfinished or len(piece) == PIECE):
                piece = piece[:whole]
            if not piece:
                break
            taken = take(piece)
            self._offset += taken
            if not taken:
                return False
        return True

    def tail(self, count: int) -> List[str]:
        """The last lines since this object was made, of at most 64 KiB."""
        data = self._read(max(self.start, size(self._path) - TAIL_BYTES), TAIL_BYTES)
        return data.decode("utf-8", "replace").splitlines()[-count:]

    def _read(self, offset: int, length: int) -> bytes:
        with contextlib.suppress(FileNotFoundError), self._path.open("rb") as file:
            file.seek(offset)
            return file.read(length)
        return b""


def write_if_ready(descriptor: int, piece: bytes) -> int:
    """Write to a file, pipe or terminal without waiting for its reader; a closed one swallows everything.

    Args:
        descriptor: where to.
        piece: at most `PIECE` bytes.

    Returns:
        Bytes written, 0 when the reader is behind.
    """
    try:
        ready = select.select([], [descriptor], [], 0)[1]
        return os.write(descriptor, piece) if ready else 0
    except OSError:
        return len(piece)


def size(path: Path) -> int:
    """Bytes of a file, 0 where there is none."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
