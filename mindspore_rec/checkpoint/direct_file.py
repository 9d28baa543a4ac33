"""A new file whose content bypasses the page cache.

A checkpoint is written once and hardly read again. Through the page cache each of its bytes is copied by the kernel,
into memory that the kernel has to find first: processor time that training on the same cores lacks.
"""

from __future__ import annotations

import errno
import mmap
import os
from pathlib import Path
from typing import Optional

from crc32c import crc32c

_PAGE = 4096  # what places, sizes and memory are aligned to: enough for any disk
_STAGE_BYTES = 1 << 18  # of each array: more is memory to find anew for every checkpoint, less is slower


class DirectFile:
    """A file of a given size, written at any place; direct where the file system can (not in memory, say).

    Raises:
        FileExistsError: it exists.
        OSError: it cannot be written.
    """

    def __init__(self, path: Path, size: int) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        self._direct: Optional[int] = None
        try:
            os.truncate(self._file, size)
            self._direct = os.open(path, os.O_WRONLY | os.O_DIRECT)
        except OSError as error:
            if error.errno != errno.EINVAL:
                self.close()
                raise

    def write(self, content: memoryview, place: int) -> None:
        """Write bytes at any place."""
        _write_all(self._file, content, place)

    def write_pages(self, content: memoryview, place: int) -> None:
        """Write whole pages, of memory and at a place that are aligned to them."""
        if self._direct is not None:
            try:
                _write_all(self._direct, content, place)
                return
            except OSError as error:
                if error.errno != errno.EINVAL:
                    raise
                os.close(self._direct)
                self._direct = None
        self.write(content, place)

    def sync(self) -> None:
        """Have all of it on disk."""
        os.fsync(self._file)

    def close(self) -> None:
        """Give the file back."""
        for descriptor in (self._file, self._direct):
            if descriptor is not None:
                os.close(descriptor)


class Span:
    """Bytes of a file from `begin` to `end`, written in order: whole pages directly, what is around them not.

    Attributes:
        crc: CRC-32C of what was appended.
        size: bytes of it.
    """

    def __init__(self, file: DirectFile, begin: int, end: int) -> None:
        self.crc, self.size = 0, end - begin
        self._file, self._place, self._end = file, begin, end
        self._first_page = -(-begin // _PAGE) * _PAGE
        self._stage: Optional[mmap.mmap] = None
        self._staged = 0

    def append(self, content: memoryview) -> None:
        """Write the next bytes."""
        self.crc = crc32c(content, self.crc)
        if self._end - self._first_page < _STAGE_BYTES:  # not worth the memory
            self._write(content)
            return
        head = max(min(self._first_page - self._place, len(content)), 0)
        self._write(content[:head])
        content = content[head:]
        while content:
            if self._stage is None:
                self._stage = mmap.mmap(-1, _STAGE_BYTES)
            part = content[: _STAGE_BYTES - self._staged]
            self._stage[self._staged : self._staged + len(part)] = part
            self._staged += len(part)
            content = content[len(part) :]
            if self._staged == _STAGE_BYTES:
                self._flush()

    def finish(self) -> None:
        """Write what is left; all bytes were appended."""
        self._flush()
        self._stage = None
        if self._place != self._end:
            raise ValueError(f"{self._end - self._place} of {self.size} bytes were not written")

    def _flush(self) -> None:
        if self._stage is None or not self._staged:
            return
        pages = self._staged // _PAGE * _PAGE
        staged = memoryview(self._stage)
        if pages:
            self._file.write_pages(staged[:pages], self._place)
            self._place += pages
        self._write(staged[pages : self._staged])
        self._staged = 0

    def _write(self, content: memoryview) -> None:
        if content:
            self._file.write(content, self._place)
            self._place += len(content)


def _write_all(descriptor: int, content: memoryview, place: int) -> None:
    while content:
        written = os.pwrite(descriptor, content, place)
        content, place = content[written:], place + written
