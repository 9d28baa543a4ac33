"""manifest.json: what a checkpoint says of itself."""

from __future__ import annotations

from typing import Any, Dict, Literal, Optional

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mindspore_rec.checkpoint.errors import CheckpointError

FORMAT_VERSION = 4
OLDEST_VERSION = 2
NEWEST_WITH_SHA256 = 3
HEX = r"^[0-9a-f]{64}$"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class RowsOf(_Part):
    """Rows of a table, or ids that wait for one.

    Attributes:
        total: rows of the state.
        changed: rows that this checkpoint holds: all of a full one's.
        removed: ids that lost their row since the parent.
        digest: of all rows of the state; see docs/checkpoint_format.md.
    """

    total: int = Field(ge=0)
    changed: int = Field(ge=0)
    removed: int = Field(ge=0)
    digest: str = Field(pattern=r"^[0-9a-f]{16}$")


class GroupOf(_Part):
    """A group of arrays.

    Attributes:
        arrays: SHA-256 of the arrays that are not kept by row.
        rows: the others, by the prefix of their names.
    """

    arrays: str = Field(pattern=HEX)
    rows: Dict[str, RowsOf] = {}


class Parent(_Part):
    """The checkpoint a delta adds to: its step, and the digest of the state then."""

    step: int = Field(ge=0)
    digest: str = Field(pattern=HEX)


class Manifest(_Part):
    """A checkpoint.

    Attributes:
        format_version: of the format.
        kind: "full", or "delta" where it adds to a parent.
        step: updates made.
        number: how many full checkpoints the run had written by then.
        deltas: how many deltas after a full one this is.
        parent: of a delta.
        digest: of the whole state; empty in version 2.
        groups: what the digest is made of.
        files: bytes of each safetensors file.
        meta: progress, feature spec, tables, configuration, numbers of the metrics.
    """

    format_version: int
    kind: Literal["full", "delta"] = "full"
    step: int = Field(ge=0)
    number: int = Field(0, ge=0)
    deltas: int = Field(0, ge=0)
    parent: Optional[Parent] = None
    digest: str = ""
    groups: Dict[str, GroupOf] = {}
    files: Dict[str, int]
    meta: Dict[str, Any]

    def to_json(self) -> bytes:
        """Return the content of manifest.json."""
        return self.model_dump_json(indent=1).encode()


def read_manifest(content: bytes, where: str) -> Manifest:
    """Return what `to_json` returned.

    Args:
        content: of the file.
        where: it is, for messages.

    Raises:
        CheckpointError: it is none, or of another version.
    """
    try:
        version = _Version.model_validate_json(content).format_version
        if not OLDEST_VERSION <= version <= FORMAT_VERSION:
            raise CheckpointError(
                f"{where} has format {version}; this version reads {OLDEST_VERSION} to {FORMAT_VERSION}"
            )
        manifest = Manifest.model_validate_json(content)
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise CheckpointError(f"{where}: manifest.json: {place + ': ' if place else ''}{first['msg']}") from None
    if (manifest.kind == "delta") != (manifest.parent is not None):
        raise CheckpointError(f"{where}: manifest.json: parent: expected one in a delta, and only there")
    if version > OLDEST_VERSION and not manifest.digest:
        raise CheckpointError(f"{where}: manifest.json: digest: expected one")
    return manifest


class _Version(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True)

    format_version: int
