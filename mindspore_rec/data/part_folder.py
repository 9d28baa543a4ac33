"""The folder a part of the data comes in: local, or on any filesystem that fsspec opens (``s3://``, ``hdfs://``)."""

from __future__ import annotations

import os
from typing import Any, BinaryIO, List, NamedTuple, Optional, Tuple, cast

import fsspec
from fsspec.implementations.local import LocalFileSystem

from mindspore_rec.config import ConfigError, UserError
from mindspore_rec.data.input_files import natural_order

MAX_FILES = 100_000

#: What filesystems raise, beside `OSError`, for paths that are none of theirs and settings that are not there.
_FAILURES = (OSError, EOFError, ImportError, LookupError, TypeError, ValueError)


class PartFile(NamedTuple):
    """A file with rows: its path, a URL where it is not local, and its bytes where the filesystem knows."""

    path: str
    size: Optional[int]


def open_filesystem(path: str) -> Tuple[Any, str]:
    """The fsspec filesystem of a path or URL, and the path on it. Credentials are fsspec's own business.

    Args:
        path: a URL where ``://`` is in it, else local, whatever its name.

    Raises:
        ConfigError: the path is empty, there is no such kind of filesystem, the package for it is missing, or it
            cannot be reached.
    """
    if not path:
        raise ConfigError("the path of the data is empty; expected a local path or a URL fsspec knows")
    if "://" not in path:
        return LocalFileSystem(), os.path.abspath(os.path.expanduser(path))
    try:
        filesystem, inner = fsspec.core.url_to_fs(path)
    except _FAILURES as error:
        raise ConfigError(
            f"{path}: cannot be opened ({_reason(error)}); expected a local path or a URL fsspec knows"
        ) from None
    return filesystem, inner


def path_kind(path: str) -> str:
    """``directory``, ``file`` or another kind, of what a link leads to; empty where nothing is there.

    Raises:
        ConfigError: the filesystem cannot be opened.
        UserError: it does not say, as where there is no permission or no connection.
    """
    filesystem, inner = open_filesystem(path)
    filesystem.invalidate_cache()  # all: some forget a folder by its own path only, and ask the listing of its parent
    try:
        return str(filesystem.info(inner)["type"])
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except _FAILURES as error:
        raise UserError(f"{path}: cannot be looked at: {_reason(error)}") from None


def list_part(folder: str, donefile: str = "") -> List[PartFile]:
    """Files with rows in a folder in the order of their names, ``part-2`` before ``part-10``.

    Left out: folders, links to folders, hidden files (names that begin with a point or an underscore, as ``_SUCCESS``
    and ``_temporary``), the donefile and empty files.

    Args:
        folder: path or URL.
        donefile: name of the file that says that the folder is complete; empty where there is none.

    Raises:
        ConfigError: no such kind of filesystem.
        UserError: there is no such folder, it cannot be read, or it holds more than ``MAX_FILES``.
    """
    filesystem, inner = open_filesystem(folder)
    filesystem.invalidate_cache(inner)  # remote filesystems remember listings, and folders fill while training runs
    try:
        if not filesystem.isdir(inner):
            raise UserError(f"{folder}: no such folder, expected one with data files")
        found = filesystem.ls(inner, detail=True)
        files = [entry for entry in found if not _is_folder(filesystem, entry)]
    except _FAILURES as error:
        raise UserError(f"{folder}: cannot be listed: {_reason(error)}") from None
    if len(found) > MAX_FILES:
        raise UserError(f"{folder}: {len(found)} files, expected at most {MAX_FILES}")
    named = [(entry["name"].rstrip("/").rpartition("/")[2], entry) for entry in files]
    kept = [pair for pair in named if not _is_left_out(*pair, donefile)]
    kept.sort(key=lambda pair: (natural_order(pair[0]), pair[0]))
    is_local = isinstance(filesystem, LocalFileSystem)
    return [
        PartFile(entry["name"] if is_local else filesystem.unstrip_protocol(entry["name"]), entry.get("size"))
        for _, entry in kept
    ]


def open_part_file(path: str) -> BinaryIO:
    """Open a file for reading.

    Raises:
        ConfigError: no such kind of filesystem.
        UserError: there is no such file, or it cannot be opened.
    """
    filesystem, inner = open_filesystem(path)
    try:
        return cast(BinaryIO, filesystem.open(inner, "rb"))
    except _FAILURES as error:
        raise UserError(f"{path}: cannot be read: {_reason(error)}") from None


def _is_left_out(name: str, entry: Any, donefile: str) -> bool:
    return name.startswith((".", "_")) or name == donefile or entry.get("size") == 0


def _is_folder(filesystem: Any, entry: Any) -> bool:
    """Links are told by what they lead to; only for them is the filesystem asked again."""
    if entry["type"] in ("file", "directory"):
        return bool(entry["type"] == "directory")
    return bool(filesystem.isdir(entry["name"]))


def _reason(error: Exception) -> str:
    """One line; filesystems other than the local one raise errors without a number."""
    if isinstance(error, FileNotFoundError):
        return "no such file or folder"
    strerror = error.strerror if isinstance(error, OSError) else None
    return strerror or (str(error).splitlines() or [type(error).__name__])[0]
