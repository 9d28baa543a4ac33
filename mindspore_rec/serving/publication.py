"""publication.json: one state of a model on its way to the servers; see docs/serving.md.

A full publication is an exported model. A delta has what changed since the publication before: rows, ids that lost
theirs, and all dense parameters. Each names the state it makes and the one it follows, so that a gap is seen.
"""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import Dict, Literal, NamedTuple, Optional, Tuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from mindspore_rec.serving.manifest import ExportError, FileOf, first_reason

FORMAT_VERSION = 1
PUBLICATION = "publication.json"
MAX_BYTES = 16 << 20
Kind = Literal["full", "delta"]


class PublicationError(ExportError):
    """A publication cannot be written, or is damaged, incomplete, or does not follow the one before."""


class BatchTimes(NamedTuple):
    """Rows of a batch, and when the first and the last of them happened, in milliseconds since 1970."""

    rows: int
    first: int
    last: int


class TableUpdate(BaseModel):
    """What a publication has of a table.

    Attributes:
        files: paths in the publication, one a rank; each id is in one of them.
        rows: how many it has: all, or those that changed.
        removed: how many ids have none any more.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    files: Tuple[str, ...]
    rows: int = Field(ge=0)
    removed: int = Field(0, ge=0)


class PublicationManifest(BaseModel):
    """A publication.

    Attributes:
        format: "mindspore_rec publication".
        format_version: of the format.
        version: 1, 2, 3 ... in the order they were made; a full one made of a delta and what it follows has its number.
        kind: of it.
        follows: identity of the state that it changes, or that it was made of; empty: it stands alone.
        identity: a name for the state it makes.
        step: updates made.
        data_time: time of the newest row, in milliseconds since 1970; null where rows have none.
        created: when the state was taken, in seconds since 1970.
        event_times: times of the rows since the publication before, by batch.
        spec_digest: of the feature spec; empty where ids come from slot text.
        tables: by name.
        dense: file of the dense parameters; null where there are none.
        files: all files but this one, by path.
        metrics: figures of the trainer by then.
        held: why servers do not get it by itself; empty: they do.
        digest: SHA-256 of the rest.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal["mindspore_rec publication"] = "mindspore_rec publication"
    format_version: int = FORMAT_VERSION
    version: int = Field(ge=1)
    kind: Kind
    follows: str = Field("", pattern=r"^([0-9a-f]{64})?$")
    identity: str = Field("", pattern=r"^([0-9a-f]{64})?$")
    step: int = Field(0, ge=0)
    data_time: Optional[int] = None
    created: float
    event_times: Tuple[BatchTimes, ...] = ()
    spec_digest: str = ""
    tables: Dict[str, TableUpdate]
    dense: Optional[str] = None
    files: Dict[str, FileOf]
    metrics: Dict[str, float] = {}
    held: str = ""
    digest: str = ""

    @field_validator("metrics")
    @classmethod
    def _finite(cls, metrics: Dict[str, float]) -> Dict[str, float]:
        for name, value in metrics.items():
            if not math.isfinite(value):
                raise ValueError(f"{name} is {value}, expected a finite number")
        return metrics

    def sealed(self) -> PublicationManifest:
        """Return the same with its digest, and with an identity made of the content where it has none."""
        named = self if self.identity else self.model_copy(update={"identity": self._sum()})
        return named.model_copy(update={"digest": named._sum()})

    def to_json(self) -> bytes:
        """Return the content of publication.json."""
        return (json.dumps(self.model_dump(mode="json"), ensure_ascii=False) + "\n").encode()

    @property
    def is_whole(self) -> bool:
        """Whether the digest is that of the rest."""
        return self.digest == self._sum()

    @property
    def nbytes(self) -> int:
        """Bytes of its files."""
        return sum(file.size for file in self.files.values())

    def _sum(self) -> str:
        return hashlib.sha256(self.model_copy(update={"digest": ""}).to_json()).hexdigest()


def read_publication(folder: Path) -> PublicationManifest:
    """Read what a publication says of itself; no other file is looked at.

    Raises:
        PublicationError: it says nothing, or is damaged or of another version.
    """
    try:
        with (folder / PUBLICATION).open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise PublicationError(f"{folder} is no publication: {PUBLICATION}: {error.strerror}") from None
    if len(content) > MAX_BYTES:
        raise PublicationError(f"{folder}: {PUBLICATION} is larger than {MAX_BYTES} bytes")
    try:
        head = _Head.model_validate_json(content)
        if head.format_version > FORMAT_VERSION:
            raise PublicationError(
                f"{folder} has format {head.format_version}; this version reads up to {FORMAT_VERSION}"
            )
        manifest = PublicationManifest.model_validate_json(content)
    except ValidationError as error:
        raise PublicationError(f"{folder} is no publication: {PUBLICATION}: {first_reason(error)}") from None
    if not manifest.is_whole or manifest.to_json() != content:
        raise PublicationError(f"{folder}: {PUBLICATION} is damaged: it is not what its digest says")
    named = {*(file for table in manifest.tables.values() for file in table.files), manifest.dense} - {None}
    if not named <= manifest.files.keys():
        raise PublicationError(f"{folder}: {PUBLICATION} names a file that is not among its files")
    return manifest


class _Head(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True)

    format: Literal["mindspore_rec publication"]
    format_version: int = Field(ge=1)
