"""A folder that is there whole or not at all, written by all ranks of a job, who share it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Callable, Dict, List

import numpy as np
from pydantic import BaseModel, ConfigDict

from mindspore_rec.checkpoint.array_file import sync_folder
from mindspore_rec.config import UserError
from mindspore_rec.distributed.exchange import Exchange
from mindspore_rec.serving.manifest import ExportError, FileOf, read_manifest

_WRITING, _REMOVING = ".writing-", ".removing-"


class Written(BaseModel):
    """What a rank has written.

    Attributes:
        files: by path in the export.
        rows: of its share of each table.
        dense: file of each dense parameter.
        error: why it has not; empty where it has.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    files: Dict[str, FileOf] = {}
    rows: Dict[str, int] = {}
    dense: Dict[str, str] = {}
    error: str = ""


def together(exchange: Exchange, work: Callable[[], Written]) -> List[Written]:
    """Do the work of this rank; return what each has written. Collective.

    Raises:
        ExportError: a rank could not; on all of them.
    """
    try:
        own = work()
    except (OSError, UserError) as error:
        if exchange.size == 1:
            raise
        own = Written(error=str(error))
    told = exchange.gather(np.frombuffer(own.model_dump_json().encode(), np.uint8))
    found = [Written.model_validate_json(part.tobytes()) for part in told]
    for rank, part in enumerate(found):
        if part.error:
            raise ExportError(f"rank {rank}: {part.error}")
    return found


class Publication:
    """A folder on its way.

    Args:
        folder: what it becomes; an export that is there is replaced.

    Attributes:
        writing: where it is written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.writing = folder.with_name(f"{_WRITING}{folder.name}")
        self._removing = folder.with_name(f"{_REMOVING}{folder.name}")

    def begin(self) -> None:
        """Make the folder that is written; by one rank, before the others write.

        Raises:
            ExportError: something else than an export is there.
            OSError: it cannot be made.
        """
        if self._removing.exists() and not self.folder.exists():  # the end came between two renames
            self._removing.rename(self.folder)
        self._check()
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        self.clean()
        self.writing.mkdir()

    def publish(self) -> None:
        """Give what was written its name; by one rank, when all have written.

        Raises:
            OSError: it cannot be renamed.
        """
        for folder in [self.writing, *(path for path in self.writing.rglob("*") if path.is_dir())]:
            sync_folder(folder)
        if self.folder.exists():
            self.folder.rename(self._removing)
        self.writing.rename(self.folder)
        sync_folder(self.folder.parent)
        self.clean()

    def clean(self) -> None:
        """Remove what was being written, or was replaced."""
        for left_over in (self.writing, self._removing):
            shutil.rmtree(left_over, ignore_errors=True)

    def _check(self) -> None:
        if not self.folder.exists() or (self.folder.is_dir() and not any(self.folder.iterdir())):
            return
        try:
            read_manifest(self.folder)
        except ExportError as error:
            raise ExportError(f"{self.folder} is there, and is no exported model to replace: {error}") from None
