"""Read a part of the data, the files of a split or a pass, chunk by chunk."""

from __future__ import annotations

from typing import Iterator, NamedTuple, Sequence

from mindspore_rec.config import UserError
from mindspore_rec.data.parsed_rows import ParsedRows
from mindspore_rec.data.part_folder import PartFile, open_part_file
from mindspore_rec.data.part_formats import PartFormat


class PartChunk(NamedTuple):
    """Consecutive rows of a file: its path, the number of the first of them, and what they hold.

    Row numbers, those of rejects too, count from 0 in each file; blank lines of text are no rows.
    """

    path: str
    first_row: int
    parsed: ParsedRows


def read_part(files: Sequence[PartFile], format: PartFormat) -> Iterator[PartChunk]:
    """All rows of the files, in order. One chunk is held at a time.

    Args:
        files: as ``list_part`` gives them; those of several splits one list behind the other.
        format: one of ``data/part_formats.py``.

    Raises:
        UserError: a file is missing, cannot be read, is damaged, or has other slots than those before it; what came
            before was yielded.

    Example:
        >>> import fsspec
        >>> from mindspore_rec.data.part_folder import list_part
        >>> from mindspore_rec.data.part_formats import feasign_slot
        >>> from mindspore_rec.data.slot_schema import SlotSchema
        >>> folder = fsspec.filesystem("memory")
        >>> folder.pipe("/20190720/0000/part-0", b"0:1 7:2 8:3 9:2\\n1:1 5:3\\n5:3\\n")
        >>> for chunk in read_part(list_part("memory://20190720/0000"), feasign_slot(SlotSchema.from_keys("1 2 3"))):
        ...     chunk.path, len(chunk.parsed.rows), chunk.parsed.rejects
        ('memory:///20190720/0000/part-0', 2, [RowReject(row=2, reason='label', raw=b'5:3')])
    """
    shape = None
    for file in files:
        row = 0
        for parsed in _chunks(file.path, format):
            found = (parsed.rows.num_slots, parsed.rows.dense.shape[1])
            shape = shape or found
            if found != shape:
                raise UserError(f"{file.path}: rows of {found[0]} slots, in the files before it of {shape[0]}")
            yield PartChunk(file.path, row, parsed.shifted(row))
            row += parsed.count


def _chunks(path: str, format: PartFormat) -> Iterator[ParsedRows]:
    with open_part_file(path) as file:
        try:
            yield from format(file, path)
        except OSError as error:
            raise UserError(f"{path}: cannot be read: {error.strerror or error}") from None
