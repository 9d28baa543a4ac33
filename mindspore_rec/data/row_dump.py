"""Values of rows as text, a line a row, in files that have their name once they are whole.

A line is an id and a column a field, split by tabs: ``20190720/0005/part-0:17<TAB>probability:1:0.25``. The id is what
the row was read from, day, split and file, and its number in the file, counted from 0. A field is its name, how many
numbers it has and the numbers, as `text_of_rows` writes them.
"""

from __future__ import annotations

import math
import os
import re
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Iterator, List, Mapping, Optional, Sequence, Type
from urllib.parse import quote

import numpy as np

from mindspore_rec.config import UserError
from mindspore_rec.features.batch import Float32, Int64
from mindspore_rec.features.number_text import text_of_rows
from mindspore_rec.published_file import published

_NUMBERS_AT_ONCE = 1 << 20  # that are made text before they are written
_FOLDERS = 3  # of a path that name a file of the data: day, split, file


class RowDump:
    """A file of values of rows that is being written, as ``.NAME.part`` until it is published.

    Args:
        path: of the file; one that is there is replaced.
        fields: names of the values, in the order of the columns.
        files: paths that the origins of rows count.

    Raises:
        UserError: by each method, the file cannot be written.
    """

    def __init__(self, path: Path, fields: Sequence[str], files: Sequence[str]) -> None:
        self._path, self._part = path, path.with_name(f".{path.name}.part")
        self._fields = tuple(fields)
        self._files = [_named(file) for file in files]
        with _told(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._part.open("wb")

    def put(self, origins: Int64, values: Mapping[str, Float32]) -> None:
        """Append rows.

        Args:
            origins: int64[n, 2], as of `SlotRows`.
            values: float32[n, ...] by the name of the field; further ones are left out.
        """
        given = [values[name] for name in self._fields]
        columns = [value.reshape(len(origins), math.prod(value.shape[1:])) for value in given]
        rows = max(_NUMBERS_AT_ONCE // max(sum(column.shape[1] for column in columns), 1), 1)
        for begin in range(0, len(origins), rows):
            end = begin + rows
            parts = [_ids(self._files, origins[begin:end])]
            parts += [_columns(name, column[begin:end]) for name, column in zip(self._fields, columns)]
            with _told(self._path):
                self._file.write(b"".join(b"\t".join(row) + b"\n" for row in zip(*parts)))

    def publish(self) -> None:
        """Give the file its name."""
        with _told(self._path):
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            os.replace(self._part, self._path)

    def close(self) -> None:
        """Write what was put; a file without its name is left for those who look for what went wrong."""
        with _told(self._path):
            self._file.close()

    def __enter__(self) -> RowDump:
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self.close()


def remove_dumps(folder: Path, ranks: int) -> None:
    """Remove the files of a folder, as `dump_name` names them, that are of other ranks than the first so many.

    Raises:
        UserError: one of them cannot be removed.
    """
    for path in folder.glob("part-*"):
        number = path.name[len("part-") :]
        if number.isdigit() and int(number) >= ranks:
            with _told(path):
                path.unlink(missing_ok=True)


def dump_name(rank: int) -> str:
    """The name of a rank's file.

    >>> dump_name(3)
    'part-00003'
    """
    return f"part-{rank:05d}"


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write a file with a line for each array, ``NAME:SIZE:V1:V2...``; one that is there is replaced.

    Args:
        path: of the file.
        arrays: of any shape, written as float32.

    Raises:
        UserError: it cannot be written.
    """
    with _told(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with published(path) as part, part.open("wb") as file:
            for name, array in arrays.items():
                flat = array.astype(np.float32, copy=False).reshape(1, -1)
                file.write(b"%s:%d" % (name.encode(), flat.size))
                for begin in range(0, flat.size, _NUMBERS_AT_ONCE):
                    file.write(text_of_rows(flat[:, begin : begin + _NUMBERS_AT_ONCE])[0])
                file.write(b"\n")


def _named(path: str) -> bytes:
    """What ids of rows of a file begin with; no white space.

    >>> _named("s3://clicks/20190720/0005/part 0")
    b'20190720/0005/part%200'
    """
    name = "/".join(path.split("/")[-_FOLDERS:])
    return re.sub(r"\s", lambda space: quote(space[0]), name).encode()


def _ids(files: Sequence[bytes], origins: Int64) -> List[bytes]:
    return [b"%s:%d" % (files[file], row) for file, row in origins.tolist()]


def _columns(name: str, values: Float32) -> List[bytes]:
    begin = b"%s:%d" % (name.encode(), values.shape[1])
    return [begin + text for text in text_of_rows(values.astype(np.float32, copy=False))]


@contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror or error}") from None
