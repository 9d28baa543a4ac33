"""Whether publications are whole: every byte of them, and the chains of deltas."""

from __future__ import annotations

from typing import Iterator, List, NamedTuple, Tuple

from mindspore_rec.checkpoint.checksum import CRC32C
from mindspore_rec.serving.publication import PUBLICATION, Kind, PublicationError
from mindspore_rec.serving.publication_folder import PublicationFolder


class Checked(NamedTuple):
    """A publication that was read.

    Attributes:
        name: of its folder.
        nbytes: of its files.
        error: what is wrong with it; empty: nothing.
    """

    name: str
    nbytes: int
    error: str


def checked(folder: PublicationFolder) -> List[Checked]:
    """Read every byte of all publications, oldest first; those that a trainer removes meanwhile are left out."""
    return [found for version, kinds in folder.kinds().items() for found in _checked(folder, version, kinds)]


def _checked(folder: PublicationFolder, version: int, kinds: Tuple[Kind, ...]) -> Iterator[Checked]:
    for kind in kinds:
        path, nbytes, error = folder.path_of(version, kind), 0, ""
        try:
            nbytes = check_files(folder, version, kind)
            folder.chain(version)
        except (OSError, PublicationError) as failure:
            error = str(failure)
        if not error or path.is_dir():
            yield Checked(path.name, nbytes, error)


def check_files(folder: PublicationFolder, version: int, kind: Kind) -> int:
    """Read every byte of a publication.

    Returns:
        Bytes of its files.

    Raises:
        PublicationError: it is damaged; the message says which file.
        OSError: a file cannot be read.
    """
    path, manifest = folder.path_of(version, kind), folder.manifest_of(version, kind)
    there = {str(file.relative_to(path)) for file in path.rglob("*") if file.is_symlink() or not file.is_dir()}
    other = sorted(there ^ {PUBLICATION, *manifest.files})
    if other:
        raise PublicationError(f"{path}: not the files it was written with: {', '.join(other[:3])}")
    for name, about in manifest.files.items():
        file = path / name
        if file.is_symlink() or file.stat().st_size != about.size:
            raise PublicationError(f"{path}: {name} is damaged: it is no file of {about.size} bytes any more")
        if CRC32C.of_file(file) != about.crc32c:
            raise PublicationError(f"{path}: {name} is damaged: its checksum is not that of {PUBLICATION}")
    return manifest.nbytes
