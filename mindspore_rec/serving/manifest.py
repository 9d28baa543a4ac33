"""manifest.json of an exported model: what it is, what it is given, and what files it has; see docs/export.md."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any, Dict, Literal, NamedTuple, Optional, Tuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mindspore_rec.config import UserError

FORMAT_VERSION = 2  # that this version reads up to; 2 has rows of other types than float32
MANIFEST = "manifest.json"
MAX_BYTES = 64 << 20
FILE_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,199}")  # of tables and parameters
ROWS = "rows"  # the input of a graph that takes the place of ids
Layout = Literal["native", "paddle"]
RowType = Literal["float32", "float16", "int8"]


class ExportError(UserError):
    """An exported model cannot be written, or is damaged, incomplete, or not what it was expected to be."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


class FileOf(_Part):
    """A file: its bytes, and its CRC-32C in hex digits."""

    size: int = Field(ge=0)
    crc32c: str = Field(pattern=r"^[0-9a-f]{8}$")


class Share(NamedTuple):
    """What a rank wrote of a table: its file, and how many rows are in it."""

    file: FileOf
    rows: int


class GraphOf(_Part):
    """A MINDIR file.

    Attributes:
        file: its path in the export.
        inputs: name and shape of what it is given, in order, each without the batch, which may be of any size.
        outputs: names of what it returns, in order.
        slots: names of the slots whose rows it is given, in the order of the second axis of ``rows``.
        numbers: name and width of what its other input holds side by side.
    """

    file: str
    inputs: Tuple[Tuple[str, Tuple[int, ...]], ...]
    outputs: Tuple[str, ...]
    slots: Tuple[str, ...]
    numbers: Tuple[Tuple[str, int], ...] = ()


class TableOf(_Part):
    """An embedding table.

    Attributes:
        columns: begin and end of its values in the last axis of ``rows``.
        slots: names of the slots it is looked up for; its columns of others do not matter.
        pooling: how several values of a slot become one: "sum", "mean" or "max".
        padding_id: an id that reads as zeros, as an unsigned number; null where there is none.
        row_type: how the weights are kept in the files; see `row_types`.
        rows: how many there are.
        files: paths in the export; each id is in one of them, or one describes the others.
    """

    columns: Tuple[int, int]
    slots: Tuple[str, ...]
    pooling: Literal["sum", "mean", "max"]
    padding_id: Optional[int] = None
    row_type: RowType = "float32"
    rows: int = Field(ge=0)
    files: Tuple[str, ...]


class Source(_Part):
    """What a model was trained to.

    Attributes:
        model: `Model.describe()`, or ``{"config": ...}`` of the stream trainer.
        spec: the feature spec of the ids; empty where they come from slot text.
        step: updates made.
        data_time: time of the newest row, in milliseconds since 1970; null where rows have none.
        day, pass_number: of a model trained pass by pass, what it was trained on last; null otherwise.
        kind: "full", "base" or "delta": all rows of the tables, those that matter, or those that changed.
        checkpoint: path of the checkpoint of this state; null where there is none.
        digest: of the checkpoint; empty likewise.
    """

    model: Dict[str, Any]
    spec: Dict[str, Any] = {}
    step: int = Field(0, ge=0)
    data_time: Optional[int] = None
    day: Optional[str] = None
    pass_number: Optional[int] = None
    kind: Literal["full", "base", "delta"] = "full"
    checkpoint: Optional[str] = None
    digest: str = ""


class ExportManifest(_Part):
    """An exported model.

    Attributes:
        format: "mindspore_rec export".
        format_version: of the format: the first that can say what it says.
        layout: how its files are laid out.
        created_by: versions of what wrote it.
        source: what it was trained to.
        graph: what answers requests.
        variables: all variables of the network, for comparison.
        tables: by name.
        weighted: whether each value has a weight, by which its row is multiplied.
        dense: file of each parameter of `graph`; several may share one.
        files: all files but the manifest, by path.
        digest: SHA-256 of the rest of the manifest: a name for the whole export.
    """

    format: Literal["mindspore_rec export"] = "mindspore_rec export"
    format_version: int = 1
    layout: Layout
    created_by: Dict[str, str]
    source: Source
    graph: GraphOf
    variables: GraphOf
    tables: Dict[str, TableOf]
    weighted: bool
    dense: Dict[str, str]
    files: Dict[str, FileOf]
    digest: str = ""

    def sealed(self) -> ExportManifest:
        """Return the same with its digest."""
        return self.model_copy(update={"digest": self._digest()})

    def to_json(self) -> bytes:
        """Return the content of manifest.json."""
        return (json.dumps(self.model_dump(mode="json"), indent=1, ensure_ascii=False) + "\n").encode()

    @property
    def is_whole(self) -> bool:
        """Whether the digest is that of the rest."""
        return self.digest == self._digest()

    def _digest(self) -> str:
        return hashlib.sha256(self.model_copy(update={"digest": ""}).to_json()).hexdigest()


def version_of(row_type: RowType) -> int:
    """Return the format version of an export with such rows: programs that know no others go on reading float32."""
    return 1 if row_type == "float32" else FORMAT_VERSION


def read_manifest(folder: Path) -> ExportManifest:
    """Read the manifest of an export; no other file is looked at.

    Raises:
        ExportError: there is none, or it is damaged or of another version.
    """
    try:
        with (folder / MANIFEST).open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ExportError(f"{folder} is no exported model: {MANIFEST}: {error.strerror}") from None
    if len(content) > MAX_BYTES:
        raise ExportError(f"{folder}: {MANIFEST} is larger than {MAX_BYTES} bytes")
    try:
        head = _Head.model_validate_json(content)
        if head.format_version > FORMAT_VERSION:
            raise ExportError(f"{folder} has format {head.format_version}; this version reads up to {FORMAT_VERSION}")
        manifest = ExportManifest.model_validate_json(content)
    except ValidationError as error:
        raise ExportError(f"{folder} is no exported model: {MANIFEST}: {first_reason(error)}") from None
    if not manifest.is_whole or manifest.to_json() != content:
        raise ExportError(f"{folder}: {MANIFEST} is damaged: it is not what its digest says")
    _check_parts(folder, manifest)
    return manifest


def first_reason(error: ValidationError) -> str:
    """The first thing that is wrong with a JSON document, and where."""
    first = error.errors(include_input=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    return f"{place + ': ' if place else ''}{first['msg']}"


def _check_parts(folder: Path, manifest: ExportManifest) -> None:
    """Refuse parts that do not go together, which no damage makes."""
    graphs = (manifest.graph, manifest.variables)
    shares = [file for table in manifest.tables.values() for file in table.files]
    if not {*(graph.file for graph in graphs), *shares, *manifest.dense.values()} <= manifest.files.keys():
        raise ExportError(f"{folder}: {MANIFEST} names a file that is not among its files")
    widths = [shape[-1] for graph in graphs for name, shape in graph.inputs if name == ROWS and len(shape) == 2]
    for name, table in manifest.tables.items():
        begin, end = table.columns
        if not 0 <= begin < end <= min(widths, default=end):
            raise ExportError(f"{folder}: {MANIFEST}: columns {begin} to {end} of table {name}")


class _Head(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True)

    format: Literal["mindspore_rec export"]
    format_version: int = Field(ge=1)
