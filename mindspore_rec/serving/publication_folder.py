"""A folder of publications, which a trainer fills and servers follow.

    current                          {"version": 12, "pinned": false}: what servers answer with
    publications/000001-full/        an exported model and publication.json
    publications/000002-delta/       publication.json, sparse/, dense/

A publication gets its name when it is written whole; `current` is replaced in one rename.
"""

from __future__ import annotations

import json
import logging
import re
import shutil
import threading
from pathlib import Path
from typing import Dict, List, Optional, Tuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mindspore_rec.published_file import published
from mindspore_rec.serving.publication import Kind, PublicationError, PublicationManifest, read_publication

logger = logging.getLogger(__name__)

CURRENT = "current"
RELEASE = "release"  # somebody released what the gate holds back
PUBLICATIONS = "publications"
_NAME = re.compile(r"(\d{6,12})-(full|delta)")
_WRITING, _REMOVING = ".writing-", ".removing-"
_MAX_POINTER = 1 << 10


class Current(BaseModel):
    """What servers answer with.

    Attributes:
        version: of the publication.
        pinned: the trainer does not move it: somebody chose this version.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: int = Field(ge=1)
    pinned: bool = False


class PublicationFolder:
    """The publications in a folder. Any thread may call its methods.

    Args:
        path: of the folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.publications = path / PUBLICATIONS
        self._read: Dict[str, PublicationManifest] = {}
        self._lock = threading.Lock()

    def path_of(self, version: int, kind: Kind) -> Path:
        """Where a publication is, or would be."""
        return self.publications / f"{version:06d}-{kind}"

    def number_of(self, path: Path) -> int:
        """The version of a publication that is there."""
        return int(path.name.partition("-")[0])

    def kinds(self) -> Dict[int, Tuple[Kind, ...]]:
        """What there is of each version, ascending; nothing is read."""
        found: Dict[int, Tuple[Kind, ...]] = {}
        for version, kind in sorted(self._names()):
            found[version] = (*found.get(version, ()), kind)
        return found

    def newest(self) -> int:
        """The newest version, 0 where there is none."""
        return max((version for version, _ in self._names()), default=0)

    def versions(self) -> List[PublicationManifest]:
        """What the publications say of themselves, oldest first, one a version; those that cannot be read are left out.

        Of a version that is there as a delta and as a full one, the delta.
        """
        found = []
        for version, kinds in self.kinds().items():
            try:
                found.append(self.manifest_of(version, kinds[0]))
            except PublicationError as error:
                logger.debug("%s", error)
        return found

    def manifest_of(self, version: int, kind: Kind) -> PublicationManifest:
        """What a publication says of itself; read once.

        Raises:
            PublicationError: it is missing, damaged, or of another version.
        """
        path = self.path_of(version, kind)
        with self._lock:
            known = self._read.get(path.name)
        if known is not None and path.is_dir():
            return known
        manifest = read_publication(path)
        if (manifest.version, manifest.kind) != (version, kind):
            raise PublicationError(f"{path} is {manifest.kind} {manifest.version}, not what its name says")
        with self._lock:
            self._read[path.name] = manifest
        return manifest

    def current(self) -> Optional[Current]:
        """What servers answer with; None where nothing was published yet.

        Raises:
            PublicationError: it cannot be read.
        """
        path = self.path / CURRENT
        try:
            with path.open("rb") as file:
                return Current.model_validate_json(file.read(_MAX_POINTER))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise PublicationError(f"{path}: {error.strerror}") from None
        except ValidationError:
            raise PublicationError(f'{path} is damaged: expected {{"version": 1, "pinned": false}}') from None

    def point(self, version: int, pinned: bool = False) -> None:
        """Have servers answer with a version.

        Raises:
            PublicationError: there is no such version.
            OSError: it cannot be written.
        """
        if version not in self.kinds():
            raise PublicationError(f"{self.publications} has no version {version}")
        with published(self.path / CURRENT) as part:
            part.write_text(Current(version=version, pinned=pinned).model_dump_json() + "\n")

    def leave_release(self, version: int) -> None:
        """Tell the trainer that the gate is to begin anew: somebody says that this version is good.

        Raises:
            OSError: it cannot be written.
        """
        with published(self.path / RELEASE) as part:
            part.write_text(json.dumps({"version": version}) + "\n")

    def take_release(self) -> bool:
        """Whether somebody released what the gate holds back, since the last call.

        Raises:
            OSError: the folder cannot be written.
        """
        try:
            (self.path / RELEASE).unlink()
        except FileNotFoundError:
            return False
        return True

    def chain(self, version: int) -> Tuple[Path, List[Path]]:
        """The newest full publication up to a version, and the deltas after it up to that version.

        Raises:
            PublicationError: there is no such version or no full one before it, one is missing, cannot be read, or does
                not follow the one before.
        """
        kinds = self.kinds()
        if version not in kinds:
            raise PublicationError(f"{self.publications} has no version {version}")
        full = [number for number, there in kinds.items() if number <= version and "full" in there]
        if not full:
            raise PublicationError(f"{self.publications}: no full publication up to version {version}")
        base = self.manifest_of(full[-1], "full")
        identity, deltas = base.identity, []
        for number in range(full[-1] + 1, version + 1):
            if "delta" not in kinds.get(number, ()):
                raise PublicationError(f"{self.publications}: version {number} is missing")
            manifest = self.manifest_of(number, "delta")
            if manifest.follows != identity:
                raise PublicationError(f"{self.path_of(number, 'delta')} does not follow version {number - 1}")
            identity = manifest.identity
            deltas.append(self.path_of(number, "delta"))
        return self.path_of(base.version, "full"), deltas

    def writing(self, version: int, kind: Kind) -> Path:
        """Where a publication is written before it gets its name."""
        return self.publications / f"{_WRITING}{version:06d}-{kind}"

    def publish(self, version: int, kind: Kind) -> Path:
        """Give what was written its name.

        Raises:
            OSError: it cannot be renamed.
        """
        path = self.path_of(version, kind)
        self.writing(version, kind).rename(path)
        return path

    def clean(self) -> None:
        """Remove what was being written or removed by a process that was killed."""
        for prefix in (_WRITING, _REMOVING):
            for left_over in self.publications.glob(f"{prefix}*"):
                shutil.rmtree(left_over, ignore_errors=True)

    def prune(self, keep: int) -> None:
        """Remove what is older than the newest `keep` full publications, but what `current` needs.

        Raises:
            OSError: one cannot be removed.
        """
        full = [version for version, kinds in self.kinds().items() if "full" in kinds]
        current = self.current()
        needed = [version for version in full if current is not None and version <= current.version][-1:]
        oldest = min([*full[-keep:], *needed], default=0)
        for version, kind in sorted(self._names(), reverse=True):  # no delta without its base, whenever this ends
            if version < oldest or (version == oldest and kind == "delta"):
                gone = self.publications / f"{_REMOVING}{version:06d}-{kind}"
                self.path_of(version, kind).rename(gone)
                shutil.rmtree(gone)
        with self._lock:
            for name in [name for name in self._read if not (self.publications / name).exists()]:
                del self._read[name]

    def _names(self) -> List[Tuple[int, Kind]]:
        if not self.publications.is_dir():
            return []
        matches = (_NAME.fullmatch(path.name) for path in self.publications.iterdir())
        return [(int(match[1]), "full" if match[2] == "full" else "delta") for match in matches if match]
