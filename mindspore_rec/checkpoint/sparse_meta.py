"""NAME.meta beside a table saved as text: what its columns mean, and which files it is made of."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, List, Sequence, Tuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mindspore_rec.checkpoint.errors import CheckpointError
from mindspore_rec.embedding.delta_score import NAME as DELTA_SCORE
from mindspore_rec.embedding.table_rows import TableRows

FORMAT_VERSION = 1
MAX_META_BYTES = 1 << 20
MAX_COLUMNS = 1 << 16
MAX_ROWS = 2**31 - 1  # of a table
_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*")
_MEANINGS = {
    "id": "unsigned 64-bit id",
    "unseen_days": "days that ended since it was last trained",
    DELTA_SCORE: "how much its score grew since an export saved it",
    "show": "how often it occurred, decayed",
    "click": "how often it was clicked, decayed",
}


Width = Annotated[int, Field(ge=1, le=MAX_COLUMNS)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Column(_Part):
    """Columns side by side.

    Attributes:
        name: of them.
        width: how many they are.
        meaning: for people to read.
    """

    name: str
    width: int = Field(ge=1)
    meaning: str


class Shard(_Part):
    """A file of rows, those of a rank.

    Attributes:
        file: its name.
        rows: lines in it.
        bytes: its size.
        crc32c: its CRC-32C, 8 hex digits.
    """

    file: str
    rows: int = Field(ge=0, le=MAX_ROWS)
    bytes: int = Field(ge=0)
    crc32c: str = Field(pattern=r"^[0-9a-f]{8}$")


class SparseMeta(_Part):
    """The file.

    Attributes:
        format_version: of the format, docs/sparse_text.md.
        table: its name.
        dim: weights of a row.
        slots: name and width of each slot, delta_score among them where the table keeps it.
        columns: of a line, in order.
        rows: in all files.
        shards: how many files there are.
        files: they.
    """

    format_version: int
    table: str
    dim: Width
    slots: List[Tuple[str, Width]]
    columns: List[Column]
    rows: int = Field(ge=0, le=MAX_ROWS)
    shards: int = Field(ge=1)
    files: List[Shard]

    def to_json(self) -> bytes:
        """Return the content of the file."""
        return self.model_dump_json(indent=1).encode() + b"\n"


def shard_file(name: str, rank: int) -> str:
    """Return the name of the file of a rank.

    >>> shard_file("deep", 3)
    'deep-003.txt'
    """
    return f"{name}-{rank:03d}.txt"


def layout_of(name: str, rows: TableRows) -> Tuple[int, List[Tuple[str, int]]]:
    """Return the weights of a row, and name and width of each slot.

    Raises:
        CheckpointError: no file can have the table's name, or there are too many columns.
    """
    _check_name(name)
    dim, slots = rows.weights.shape[1], [(slot, values.shape[1]) for slot, values in rows.slots.items()]
    width = _width(columns_of(dim, slots))
    if width > MAX_COLUMNS:
        raise CheckpointError(f"table {name!r} has {width} columns: expected at most {MAX_COLUMNS} as text")
    return dim, slots


def columns_of(dim: int, slots: Sequence[Tuple[str, int]]) -> List[Column]:
    """Return the columns of a line.

    >>> [(column.name, column.width) for column in columns_of(8, [("g2sum", 1), ("delta_score", 1)])][3:]
    [('show', 1), ('click', 1), ('weight', 8), ('g2sum', 1)]
    """
    columns = [Column(name=column, width=1, meaning=meaning) for column, meaning in _MEANINGS.items()]
    columns.append(Column(name="weight", width=dim, meaning="weights of its row"))
    columns += [
        Column(name=slot, width=width, meaning="optimizer slot") for slot, width in slots if slot != DELTA_SCORE
    ]
    return columns


def names_of(columns: Sequence[Column]) -> List[str]:
    """Return the name of each column of a line: show, weight_3."""
    return [f"{some.name}_{k}" if some.width > 1 else some.name for some in columns for k in range(some.width)]


def meta_of(name: str, rows: TableRows, shards: Sequence[Shard]) -> SparseMeta:
    """Return what to write for a table of such rows in these files.

    Raises:
        CheckpointError: see `layout_of`.
    """
    dim, slots = layout_of(name, rows)
    return SparseMeta(
        format_version=FORMAT_VERSION,
        table=name,
        dim=dim,
        slots=slots,
        columns=columns_of(dim, slots),
        rows=sum(shard.rows for shard in shards),
        shards=len(shards),
        files=list(shards),
    )


def read_meta(folder: Path, name: str) -> SparseMeta:
    """Read the file of a table and check that it agrees with itself.

    Args:
        folder: where it is.

    Raises:
        CheckpointError: it is missing or damaged, or of another version; the message says which.
    """
    _check_name(name)
    path = folder / f"{name}.meta"
    try:
        with path.open("rb") as file:
            content = file.read(MAX_META_BYTES + 1)
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror}") from None
    if len(content) > MAX_META_BYTES:
        raise CheckpointError(f"{path} is larger than {MAX_META_BYTES} bytes")
    try:
        version = _Version.model_validate_json(content).format_version
        if version != FORMAT_VERSION:
            raise CheckpointError(f"{path} has format {version}; this version reads {FORMAT_VERSION}")
        meta = SparseMeta.model_validate_json(content)
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise CheckpointError(f"{path}: {place + ': ' if place else ''}{first['msg']}") from None
    _check(path, "table", meta.table == name, repr(name))
    _check(path, "slots", len(dict(meta.slots)) == len(meta.slots), "each slot once")
    _check(path, "slots", dict(meta.slots).get(DELTA_SCORE, 1) == 1, f"one {DELTA_SCORE} a row")
    _check(path, "columns", meta.columns == columns_of(meta.dim, meta.slots), "those of dim and slots")
    _check(path, "columns", _width(meta.columns) <= MAX_COLUMNS, f"at most {MAX_COLUMNS}")
    _check(path, "shards", meta.shards == len(meta.files), "as many as there are files")
    _check(path, "rows", meta.rows == sum(shard.rows for shard in meta.files), "those of all files")
    names = [shard.file for shard in meta.files]
    named = all(re.fullmatch(rf"{re.escape(name)}-[0-9]{{3,6}}\.txt", file) for file in names)
    _check(path, "files", named and len(set(names)) == len(names), "names of shards, each once")
    return meta


class _Version(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True)

    format_version: int


def _check(path: Path, key: str, good: bool, expected: str) -> None:
    if not good:
        raise CheckpointError(f"{path}: {key}: expected {expected}")


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise CheckpointError(f"table {name!r} cannot be saved as text: expected a name of letters, digits, _, - and .")


def _width(columns: Sequence[Column]) -> int:
    return sum(column.width for column in columns)
