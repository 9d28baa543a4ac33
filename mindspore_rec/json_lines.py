"""Files of JSON objects, one a line, that a program adds to as it goes on.

A kill while lines are added leaves those before them, and at most a part of a line at the end: it is not read, and cut
off when the next line is added.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, BinaryIO, Dict, Iterable, Iterator, Tuple

from mindspore_rec.config import UserError

MAX_LINE_BYTES = 1 << 20


def append_lines(path: Path, objects: Iterable[Dict[str, Any]]) -> None:
    """Add objects to a file, made where there is none; they are on disk when it returns. One process at a time.

    Raises:
        ValueError: an object holds what JSON has not, such as nan, or is too long; nothing is added.
        OSError: the file cannot be written.
    """
    lines = [json.dumps(fields, ensure_ascii=False, allow_nan=False).encode() + b"\n" for fields in objects]
    if any(len(line) > MAX_LINE_BYTES for line in lines):
        raise ValueError(f"a line for {path} is longer than {MAX_LINE_BYTES} bytes")
    with open(path, "a+b", buffering=0) as file:
        end = _end_of_last_line(file)
        if end != file.seek(0, os.SEEK_END):
            file.truncate(end)
        file.write(b"".join(lines))
        os.fsync(file.fileno())


def read_lines(path: Path) -> Iterator[Tuple[int, Dict[str, Any]]]:
    """The number, from 1, and object of each line; none where there is no such file.

    Raises:
        UserError: a line is no JSON object or too long, or the file cannot be read.
    """
    try:
        with open(path, "rb") as file:
            yield from _objects(file, path)
    except FileNotFoundError:
        return
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None


def _objects(file: BinaryIO, path: Path) -> Iterator[Tuple[int, Dict[str, Any]]]:
    for number, line in enumerate(iter(lambda: file.readline(MAX_LINE_BYTES + 1), b""), 1):
        if len(line) > MAX_LINE_BYTES:
            raise UserError(f"{path}: line {number} is longer than {MAX_LINE_BYTES} bytes")
        if not line.endswith(b"\n"):  # being written, or cut off by a kill
            return
        try:
            fields = json.loads(line)
        except (ValueError, RecursionError):
            fields = None
        if not isinstance(fields, dict):
            raise UserError(f"{path}: line {number} is damaged: expected a JSON object")
        yield number, fields


def _end_of_last_line(file: Any) -> int:
    """The byte after the last newline, 0 where there is none."""
    end = file.seek(0, os.SEEK_END)
    while end:
        start = max(end - 4096, 0)
        file.seek(start)
        place = file.read(end - start).rfind(b"\n")
        if place >= 0:
            return int(start + place + 1)
        end = start
    return 0
