"""New full publications, made of the last full one and the deltas after it while training goes on."""

from __future__ import annotations

import logging
import os
import shutil
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Iterator, List, Optional

from mindspore_rec.checkpoint.array_file import sync_folder, write_synced
from mindspore_rec.config import PublishConfig, UserError
from mindspore_rec.embedding.table_rows import ChangedRows
from mindspore_rec.kill_points import reached
from mindspore_rec.serving.delta import read_delta
from mindspore_rec.serving.exported_model import read_export
from mindspore_rec.serving.manifest import MANIFEST
from mindspore_rec.serving.merging import merge
from mindspore_rec.serving.native_layout import file_of
from mindspore_rec.serving.publication import PUBLICATION, TableUpdate
from mindspore_rec.serving.publication_folder import PublicationFolder

logger = logging.getLogger(__name__)

_PRIORITY = 10  # what serves and trains comes first


class FullPublications:
    """Makes a full publication every so many deltas.

    Args:
        folder: of the publications.
        config: when one is due, and how many are kept.
    """

    def __init__(self, folder: PublicationFolder, config: PublishConfig) -> None:
        self._folder, self._config = folder, config
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="publish-full", initializer=_prepare)
        self._running: Optional[Future[None]] = None

    def make_if_due(self, version: int) -> None:
        """Begin to make the full publication of a version where one is due and none is being made."""
        if self._running is not None and not self._running.done():
            return
        if len(self._folder.chain(version)[1]) >= self._config.publish_full_every:
            self._running = self._thread.submit(self._make, version)

    def close(self) -> None:
        """Wait until what was begun is made."""
        self._thread.shutdown()

    def _make(self, version: int) -> None:
        writing, begin = self._folder.writing(version, "full"), time.monotonic()
        try:
            make_full(self._folder, version)
            self._folder.prune(self._config.publish_keep)
            logger.info("full publication %d (%.1f s)", version, time.monotonic() - begin)
        except (OSError, UserError) as error:
            shutil.rmtree(writing, ignore_errors=True)
            logger.error("no full publication %d was made: %s; the one before and its deltas stay", version, error)


def make_full(folder: PublicationFolder, version: int) -> Path:
    """Make the full publication of a version that is there as a delta; return it.

    Raises:
        UserError: the chain of publications up to it is damaged.
        OSError: it cannot be written.
    """
    path, deltas = folder.chain(version)
    base = read_export(path)
    last = read_delta(deltas[-1])
    writing = folder.writing(version, "full")
    shutil.rmtree(writing, ignore_errors=True)
    writing.mkdir()
    source = base.manifest.source.model_copy(update={"step": last.manifest.step, "data_time": last.manifest.data_time})
    changes = {name: _changes(deltas, name) for name in base.tables}
    export = merge(base, changes, last.dense, source, writing)
    manifest = last.manifest.model_copy(
        update={
            "kind": "full",
            "dense": None,
            "tables": {name: TableUpdate(files=about.files, rows=about.rows) for name, about in export.tables.items()},
            "files": {**export.files, MANIFEST: file_of(writing, MANIFEST)},
        }
    ).sealed()
    write_synced(writing / PUBLICATION, manifest.to_json())
    reached("publication-rename")
    path = folder.publish(version, "full")
    sync_folder(folder.publications)  # before the older ones go
    return path


def _changes(deltas: List[Path], table: str) -> Iterator[ChangedRows]:
    for path in deltas:
        yield from read_delta(path).changed[table]


def _prepare() -> None:
    try:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _PRIORITY)
    except OSError as error:  # not allowed in some sandboxes
        logger.debug("making full publications keeps its priority: %s", error)
