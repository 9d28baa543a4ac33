"""Raw Criteo lines: read from a file or generated, and cut into blocks at fixed source rows.

A chunk is bytes of whole lines, each ended by a newline. Rows are counted from 0; blank lines are no rows. Carriage
returns right before a newline or the end of the file belong to the end of the line.
"""

from __future__ import annotations

import gzip
from typing import BinaryIO, Callable, Iterable, Iterator, Tuple, Type, cast

import numpy as np
from isal import igzip, isal_zlib

from mindspore_rec.config import ConfigError, UserError
from mindspore_rec.features.line_scan import has_blank_line

CHUNK_BYTES = 1 << 20
MAX_LINE_BYTES = 1 << 20
_GZIP_MAGIC = b"\x1f\x8b"

#: What reading a gzip file that breaks off or was changed raises.
DAMAGE: Tuple[Type[BaseException], ...] = (EOFError, cast(Type[Exception], isal_zlib.error), gzip.BadGzipFile)


def file_chunks(path: str, first_row: int) -> Iterator[bytes]:
    """Chunks of a file from ``first_row`` on, plain or gzip (told by its first bytes).

    Raises ConfigError for a file that cannot be opened, UserError for one that breaks off, is damaged or has lines of
    more than 1 MiB; what came before it was yielded.
    """
    try:
        with open(path, "rb") as raw, open_lines(raw) as lines:
            yield from drop_rows(line_chunks(lines, path), first_row)
    except DAMAGE as error:
        raise UserError(f"data_file: {path} is damaged: {error}") from None
    except OSError as error:
        raise ConfigError(f"data_file: cannot read {path}: {error.strerror}") from None


def generated_chunks(lines: Callable[[int, int], bytes], first_row: int, rows: int) -> Iterator[bytes]:
    """Endless chunks of ``rows`` rows from ``lines(start_row, rows)``, from ``first_row`` on."""
    while True:
        yield lines(first_row, rows)
        first_row += rows


def drop_rows(chunks: Iterable[bytes], rows: int) -> Iterator[bytes]:
    r"""``chunks`` without their first ``rows`` rows.

    >>> list(drop_rows([b"a\nb\n", b"c\nd\n"], 3))
    [b'd\n']
    """
    for chunk in chunks:
        dropped = min(rows, chunk.count(b"\n")) if rows else 0
        rows -= dropped
        rest = chunk[end_of_rows(chunk, dropped) :]
        if rest:
            yield rest


def take_rows(chunks: Iterable[bytes], rows: int) -> Iterator[bytes]:
    r"""The first ``rows`` rows of ``chunks``.

    >>> list(take_rows([b"a\nb\n", b"c\nd\n"], 3))
    [b'a\nb\n', b'c\n']
    """
    left = rows
    for chunk in chunks if rows > 0 else ():
        held = chunk.count(b"\n")
        yield chunk if held <= left else chunk[: end_of_rows(chunk, left)]
        left -= held
        if left <= 0:
            return


def cut_blocks(chunks: Iterable[bytes], first_row: int, block_rows: int) -> Iterator[Tuple[int, bytes]]:
    r"""(first row, lines) of blocks that end where the row number is a multiple of ``block_rows``, or at the end.

    Args:
        chunks: whole lines.
        first_row: source row of the first of them.

    >>> list(cut_blocks([b"b\nc\nd\n", b"e\n"], 1, 2))
    [(1, b'b\n'), (2, b'c\nd\n'), (4, b'e\n')]
    """
    left = b""
    row = first_row
    for chunk in chunks:
        lines = left + chunk if left else chunk
        ends = np.flatnonzero(np.frombuffer(lines, np.uint8) == ord("\n")) + 1
        taken = start = 0
        while taken + (rows := block_rows - row % block_rows) <= len(ends):
            end = int(ends[taken + rows - 1])
            yield row, lines[start:end]
            taken, row, start = taken + rows, row + rows, end
        left = lines[start:]
    if left:
        yield row, left


def open_lines(raw: BinaryIO) -> BinaryIO:
    """The content of an open file: itself, or unpacked where its first bytes say gzip."""
    zipped = raw.read(len(_GZIP_MAGIC)) == _GZIP_MAGIC
    raw.seek(0)
    if not zipped:
        return raw
    return cast(BinaryIO, igzip.IGzipFile(fileobj=raw))  # type: ignore[no-untyped-call, unused-ignore]


def line_chunks(file: BinaryIO, path: str) -> Iterator[bytes]:
    """Chunks of an open file. UserError for a line of more than 1 MiB; those before it are yielded."""
    left = b""
    while data := file.read(min(CHUNK_BYTES, MAX_LINE_BYTES)):  # so only the first line to end in it may be too long
        end = data.rfind(b"\n") + 1
        _check_line(len(left) + (data.index(b"\n") if end else len(data)), path)
        if end:
            yield _without_blank_lines(b"".join((left, memoryview(data)[:end])))
            left = data[end:]
        else:
            left += data
    if left:
        yield _without_blank_lines(left + b"\n")


def _check_line(size: int, path: str) -> None:
    if size > MAX_LINE_BYTES:
        raise UserError(f"{path} has a line of more than {MAX_LINE_BYTES} bytes: no rows of text")


def _without_blank_lines(chunk: bytes) -> bytes:
    left = b"\r" in chunk
    if left:
        chunk = chunk.replace(b"\r\n", b"\n")
        left = b"\r\n" in chunk
    if left or has_blank_line(np.frombuffer(chunk, np.uint8)):  # ten times as fast as a search for two newlines
        lines = (line.rstrip(b"\r") for line in chunk.split(b"\n"))
        chunk = b"".join(line + b"\n" for line in lines if line)
    return chunk


def end_of_rows(chunk: bytes, rows: int) -> int:
    """Where the first ``rows`` rows of a chunk end."""
    position = 0
    for _ in range(rows):
        position = chunk.index(b"\n", position) + 1
    return position
