"""One full publication and the deltas after it, of which a new one is taken over while requests are answered.

There are two of everything that deltas change: requests read one side, a delta is applied to the other, then one
reference is switched; what was read until then gets the same delta before the next one (left-right, Ramalhete and
Correia 2013). So each answer is of one version, and no request waits for a delta.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from pathlib import Path
from typing import Callable, Dict, Iterator, List, Optional, Tuple, Union

import numpy as np

from mindspore_rec.embedding.bags import Bags
from mindspore_rec.embedding.table_rows import ChangedRows
from mindspore_rec.serving.delta import Delta
from mindspore_rec.serving.exported_model import ExportedModel, Lookup, read_export
from mindspore_rec.serving.graph_engines import GraphEngine, GraphRun, open_engine
from mindspore_rec.serving.mapped_table import MappedTable
from mindspore_rec.serving.prediction import Version
from mindspore_rec.serving.publication import PublicationError, read_publication
from mindspore_rec.serving.row_overlay import RowOverlay


class _Side:
    """What deltas change, and how many are reading it."""

    def __init__(self, overlays: Dict[str, RowOverlay], graph: GraphRun, version: Version) -> None:
        self.overlays, self.graph, self.version = overlays, graph, version
        self.readers = 0


class ServedModel:
    """A model that answers requests and follows deltas.

    Any thread may call `predict`; one at a time `advance`.

    Args:
        folder: of a full publication, every byte of which is verified.
        engine: of the model that was served before; used again where this one has the same graph.
        open_engine: makes another one.

    Raises:
        ExportError, CheckpointError: it is damaged or incomplete.

    Attributes:
        base: version of the full publication.
        broken: there was no memory for a delta: it answers as before, and takes no other.
    """

    def __init__(
        self,
        folder: Path,
        engine: Optional[GraphEngine] = None,
        open_engine: Callable[[ExportedModel], GraphEngine] = open_engine,
    ) -> None:
        published = read_publication(folder)
        self.export = read_export(folder)
        if self.export.manifest.files.items() - published.files.items():
            raise PublicationError(f"{folder}: its files are not those of its publication")
        self.engine = engine if engine is not None and engine.fits(self.export) else open_engine(self.export)
        self._changed = threading.Condition()
        self.base = version = Version.of(published)
        graph = self.engine.of(version.identity, self.export.dense)
        self._live, self._spare = (_Side(self._new_overlays(), graph, version) for _ in range(2))
        self._behind: List[Delta] = []  # what the spare side lacks
        self.broken = False

    @property
    def version(self) -> Version:
        """What requests are answered with."""
        return self._live.version

    @property
    def rows(self) -> Dict[str, int]:
        """Rows changed since the full publication, and those of it, by table."""
        return {name: len(table) + len(self._live.overlays[name]) for name, table in self.export.tables.items()}

    def advance(self, delta: Delta) -> None:
        """Take over the next delta; whoever asks after that gets it.

        Raises:
            PublicationError: it does not follow this version, or does not fit; nothing is taken over.
        """
        self._check(delta)
        graph, spare = self.engine.of(delta.manifest.identity, delta.dense), self._spare
        with self._changed:
            while spare.readers:
                self._changed.wait()
        self.broken = True  # until both sides are known to be whole again
        for late in (*self._behind, delta):
            for name, parts in late.changed.items():
                for part in parts:
                    spare.overlays[name].apply(part)
        self.broken = False
        spare.graph, spare.version = graph, Version.of(delta.manifest)
        with self._changed:
            self._live, self._spare = spare, self._live
        self._behind = [delta]

    def predict(
        self, ids: Union[np.ndarray, Bags], numbers: Optional[np.ndarray] = None
    ) -> Tuple[Dict[str, np.ndarray], Version]:
        """Return the outputs by name, and the version that all of them are of; as `ExportedModel.predict`.

        Raises:
            ValueError: the shapes are others.
        """
        graph = self.export.manifest.graph
        with self._reading() as side:
            lookups = {name: _lookup(table, side.overlays[name]) for name, table in self.export.tables.items()}
            given = self.export.inputs_of(
                graph, lambda: self.export.rows_of(lookups, ids, graph.slots), numbers, ids.shape[0]
            )
            return dict(zip(graph.outputs, side.graph(given))), side.version

    @contextmanager
    def _reading(self) -> Iterator[_Side]:
        with self._changed:
            side = self._live
            side.readers += 1
        try:
            yield side
        finally:
            with self._changed:
                side.readers -= 1
                self._changed.notify_all()

    def _check(self, delta: Delta) -> None:
        manifest, version = delta.manifest, self.version
        if manifest.follows != version.identity or manifest.version != version.number + 1:
            raise PublicationError(f"version {manifest.version} does not follow version {version.number}")
        if manifest.spec_digest != version.spec_digest:
            raise PublicationError(
                f"version {manifest.version} has feature spec {manifest.spec_digest}, expected {version.spec_digest}"
            )
        if delta.changed.keys() != self.export.tables.keys():
            raise PublicationError(f"version {manifest.version} has tables {', '.join(sorted(delta.changed))}")
        for name, parts in delta.changed.items():
            if any(part.weights.shape[1:] != (self.export.tables[name].dim,) for part in parts):
                raise PublicationError(f"version {manifest.version}: rows of table {name} have another size")
        for name, array in self.export.dense.items():
            if name not in delta.dense or delta.dense[name].shape != array.shape:
                raise PublicationError(
                    f"version {manifest.version}: dense parameter {name} is missing or has another shape"
                )

    def _new_overlays(self) -> Dict[str, RowOverlay]:
        overlays = {name: RowOverlay(table.dim) for name, table in self.export.tables.items()}
        for overlay in overlays.values():
            overlay.apply(_nothing(overlay.dim))  # kernels are compiled now, not while requests wait
        return overlays


def _nothing(dim: int) -> ChangedRows:
    none = np.empty(0, np.int64)
    return ChangedRows(none, np.empty((0, dim), np.float32), none)


def _lookup(table: MappedTable, overlay: RowOverlay) -> Lookup:
    def lookup(ids: np.ndarray) -> np.ndarray:
        rows = overlay.find(ids)
        found = overlay.read(rows)
        others = np.flatnonzero(rows < 0)
        if others.size and len(table):
            found[others] = table.lookup(ids[others])
        return found

    return lookup
