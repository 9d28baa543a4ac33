"""Writes publications in a thread of its own, one at a time."""

from __future__ import annotations

import logging
import shutil
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List, Mapping, Optional, Protocol

from mindspore_rec.checkpoint.array_file import Arrays, sync_folder, write_synced
from mindspore_rec.checkpoint.parts import Part, collect_parts, leave_part
from mindspore_rec.config import PublishConfig, UserError
from mindspore_rec.embedding.table_rows import ChangedRows
from mindspore_rec.features.spec import FeatureSpec
from mindspore_rec.kill_points import reached
from mindspore_rec.metrics.progressive import ProgressiveWindow
from mindspore_rec.serving.delta import DENSE, read_share, share_name, write_dense, write_share
from mindspore_rec.serving.exported_model import ExportedModel
from mindspore_rec.serving.full_publications import FullPublications
from mindspore_rec.serving.interval_figures import Interval, figures_of
from mindspore_rec.serving.manifest import MANIFEST, FileOf, Source
from mindspore_rec.serving.merging import merge
from mindspore_rec.serving.native_layout import file_of
from mindspore_rec.serving.publication import PUBLICATION, Kind, PublicationManifest, TableUpdate
from mindspore_rec.serving.publication_folder import PublicationFolder

logger = logging.getLogger(__name__)


class Gate(Protocol):
    """What holds publications back."""

    def judge(self, metrics: Mapping[str, float]) -> str:
        """Why a publication of these figures is held back; empty: it is not."""

    def release(self) -> None:
        """Somebody released what was held back."""


@dataclass(frozen=True)
class Captured:
    """What a rank publishes, as it was at the end of a step.

    Attributes:
        version: it gets.
        whole: it stands alone: all rows of the tables.
        changed: of each table.
        dense: all dense parameters of the network, by name; none on other ranks than 0.
        source: what the model was trained to.
        interval: what was seen since the last one.
        window: a copy of the newest rows.
        figures: others.
        created: seconds since 1970.
    """

    version: int
    whole: bool
    changed: Dict[str, ChangedRows]
    dense: Arrays
    source: Source
    interval: Interval
    window: ProgressiveWindow
    figures: Dict[str, float]
    created: float


@dataclass(frozen=True)
class Written:
    """A publication that was written, or why it was not.

    Attributes:
        version: of it.
        seconds: it took.
        manifest: what it says of itself; None where it failed, and on other ranks than 0.
        error: why it failed; empty where it did not.
    """

    version: int
    seconds: float
    manifest: Optional[PublicationManifest] = None
    error: str = ""


class PublicationWriter:
    """Writes what ranks captured; what was begun is finished before the process ends.

    Args:
        folder: where to.
        graphs: an export of the network, whose graphs publications have; None on other ranks than 0.
        config: how often a full one is made, and how many are kept.
        gate: what holds publications back; None: nothing.
        rank, ranks: of the job.
    """

    def __init__(
        self,
        folder: PublicationFolder,
        graphs: Optional[ExportedModel],
        config: PublishConfig,
        gate: Optional[Gate] = None,
        rank: int = 0,
        ranks: int = 1,
    ) -> None:
        self._folder, self._graphs, self._config, self._gate = folder, graphs, config, gate
        self._rank, self._ranks = rank, ranks
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="publish")
        self._running: Optional[Future[Written]] = None
        self._full = FullPublications(folder, config)
        self._identity = ""

    @property
    def busy(self) -> bool:
        """Whether a capture was handed over whose outcome was not taken."""
        return self._running is not None

    def begin(self, captured: Captured) -> None:
        """Begin to write a capture; the one before has been taken."""
        if self.busy:
            raise RuntimeError("a publication is being written")
        self._running = self._thread.submit(self._write, captured)

    def take(self, wait: bool = False) -> Optional[Written]:
        """Return the outcome once there is one, each once; `wait` for it where one is being written."""
        if self._running is None or not (wait or self._running.done()):
            return None
        written = self._running.result()
        self._running = None
        return written

    def close(self) -> None:
        """Wait until all is written."""
        self._thread.shutdown()
        self._full.close()

    def _write(self, captured: Captured) -> Written:
        begin, version = time.monotonic(), captured.version
        writing = self._folder.writing(version, _kind(captured))
        try:
            if self._ranks == 1:
                shutil.rmtree(writing, ignore_errors=True)
            writing.mkdir(parents=True, exist_ok=True)
            if self._rank:
                self._write_part(writing, captured)
                return Written(version, time.monotonic() - begin)
            manifest = self._publish(writing, captured)
        except (OSError, UserError) as error:
            shutil.rmtree(writing, ignore_errors=True)
            return Written(version, time.monotonic() - begin, error=str(error))
        return Written(version, time.monotonic() - begin, manifest)

    def _write_part(self, writing: Path, captured: Captured) -> None:
        try:
            files = self._write_shares(writing, captured)
            sizes = {name: about.size for name, about in files.items()}
            leave_part(writing, self._rank, Part(sizes=sizes, sums={n: about.crc32c for n, about in files.items()}))
        except (OSError, UserError) as error:
            leave_part(writing, self._rank, Part(error=str(error)))
            raise

    def _write_shares(self, writing: Path, captured: Captured) -> Dict[str, FileOf]:
        files: Dict[str, FileOf] = {}
        for name, changed in captured.changed.items():
            files.update(write_share(writing, name, self._rank, changed))
        return files

    def _publish(self, writing: Path, captured: Captured) -> PublicationManifest:
        """Write a publication of all ranks, and have servers answer with it unless the gate holds it back."""
        if self._folder.take_release() and self._gate is not None:
            self._gate.release()
        metrics = figures_of(captured.interval, captured.window, captured.figures)
        held = self._gate.judge(metrics) if self._gate is not None else ""
        files = {} if captured.whole else self._write_shares(writing, captured)
        for part in collect_parts(writing, self._ranks):
            files.update({name: FileOf(size=size, crc32c=part.sums[name]) for name, size in part.sizes.items()})
        if captured.whole:
            tables = self._merge_whole(writing, captured, files)
        else:
            tables = _updates(captured, self._ranks, writing, files)
            files.update(write_dense(writing, captured.dense))
        spec = captured.source.spec
        manifest = PublicationManifest(
            version=captured.version,
            kind=_kind(captured),
            follows="" if captured.whole else self._identity,
            step=captured.source.step,
            data_time=captured.source.data_time,
            created=captured.created,
            event_times=captured.interval.times,
            spec_digest=FeatureSpec(**spec).digest() if spec else "",
            tables=tables,
            dense=DENSE if DENSE in files and not captured.whole else None,
            files=files,
            metrics=metrics,
            held=held,
        ).sealed()
        write = write_synced if captured.whole else Path.write_bytes  # older ones go after a whole one
        write(writing / PUBLICATION, manifest.to_json())
        reached("publication-rename")
        self._folder.publish(manifest.version, manifest.kind)
        if captured.whole:
            sync_folder(self._folder.publications)
        self._identity = manifest.identity
        self._point(manifest)
        if captured.whole:
            self._folder.prune(self._config.publish_keep)
        elif not held:
            self._full.make_if_due(manifest.version)
        return manifest

    def _merge_whole(self, writing: Path, captured: Captured, files: Dict[str, FileOf]) -> Dict[str, TableUpdate]:
        """Make what all ranks have an export; `files` are those of other ranks before, and those of it afterwards."""
        if self._graphs is None:
            raise RuntimeError("rank 0 has no graphs")
        changes: Dict[str, List[ChangedRows]] = {name: [changed] for name, changed in captured.changed.items()}
        for name, shares in changes.items():
            for rank in range(1, self._ranks):
                file = share_name(name, rank)
                shares.append(read_share(writing, file, files.pop(file)))
                (writing / file).unlink()
        export = merge(self._graphs, changes, captured.dense, captured.source, writing)
        files.clear()
        files.update(export.files, **{MANIFEST: file_of(writing, MANIFEST)})
        return {name: TableUpdate(files=table.files, rows=table.rows) for name, table in export.tables.items()}

    def _point(self, manifest: PublicationManifest) -> None:
        if manifest.held:
            forced = "servers get it, as force says" if self._config.force else "is held back"
            logger.warning("publication %d %s: %s", manifest.version, forced, manifest.held)
        if manifest.held and not self._config.force:
            return
        current = self._folder.current()
        if current is None or not current.pinned:
            self._folder.point(manifest.version)


def _kind(captured: Captured) -> Kind:
    return "full" if captured.whole else "delta"


def _updates(captured: Captured, ranks: int, writing: Path, files: Mapping[str, FileOf]) -> Dict[str, TableUpdate]:
    """What a delta of all ranks has of each table."""
    found = {}
    for name, changed in captured.changed.items():
        named = [share_name(name, rank) for rank in range(ranks)]
        rows, removed = changed.ids.size, changed.removed.size
        for file in named[1:]:
            other = read_share(writing, file, files[file])
            rows, removed = rows + other.ids.size, removed + other.removed.size
        found[name] = TableUpdate(files=tuple(named), rows=rows, removed=removed)
    return found
