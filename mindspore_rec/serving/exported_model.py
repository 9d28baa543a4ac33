"""Read an exported model: every byte is verified, its graph is loaded, its tables are mapped to memory."""

from __future__ import annotations

import tempfile
from functools import cached_property
from pathlib import Path
from typing import Callable, Dict, List, Mapping, Optional, Tuple, Union

import numpy as np

from mindspore_rec.checkpoint.array_file import Arrays
from mindspore_rec.checkpoint.checksum import CRC32C
from mindspore_rec.embedding.bags import Bags, Pool
from mindspore_rec.serving.graph_file import SUFFIX, InferenceGraph, read_graph
from mindspore_rec.serving.layouts import LAYOUTS
from mindspore_rec.serving.manifest import MANIFEST, ROWS, ExportError, ExportManifest, GraphOf, TableOf, read_manifest
from mindspore_rec.serving.mapped_table import MappedTable
from mindspore_rec.serving.publication import PUBLICATION

#: int64[n] ids of a table to float32[n, dim], their rows; zeros where there is none.
Lookup = Callable[[np.ndarray], np.ndarray]


class ExportedModel:
    """An exported model, which predicts what the network would that it was made of.

    Args:
        folder: where it is; see `read_export`.
        manifest: what it says of itself.

    Attributes:
        tables: by name.
    """

    def __init__(self, folder: Path, manifest: ExportManifest) -> None:
        self.folder, self.manifest = folder, manifest
        self._layout = LAYOUTS[manifest.layout]
        self.tables: Dict[str, MappedTable] = {}
        self.width = 0
        for name, table in manifest.tables.items():
            begin, end = table.columns
            self.tables[name] = self._layout.read_table(folder, name, table.files, end - begin, table.row_type)
            self.width = max(self.width, end)
            if len(self.tables[name]) != table.rows:
                raise ExportError(f"{folder}: table {name} has {len(self.tables[name])} rows, expected {table.rows}")

    @cached_property
    def dense(self) -> Arrays:
        """The dense parameters of the graph, by name."""
        return self._layout.read_dense(self.folder, self.manifest.dense)

    def predict(self, ids: Union[np.ndarray, Bags], numbers: Optional[np.ndarray] = None) -> Dict[str, np.ndarray]:
        """Return the outputs by name, each float32 [n, ...].

        Args:
            ids: int64 [n, slots] or bags of the slots in `manifest.graph.slots`, in their order.
            numbers: float32 [n, ...], what `manifest.graph.numbers` names, side by side; None where that is nothing.

        Raises:
            ValueError: the shapes are others.
        """
        return self._run(self.manifest.graph, self.graph, ids, numbers)

    def variables(self, ids: Union[np.ndarray, Bags], numbers: Optional[np.ndarray] = None) -> Dict[str, np.ndarray]:
        """Return all variables of the network by name; as `predict`, with the slots in `manifest.variables`."""
        return self._run(self.manifest.variables, self._variables, ids, numbers)

    def rows(self, ids: Union[np.ndarray, Bags], slots: Tuple[str, ...]) -> np.ndarray:
        """Return float32 [n, slots, width]: the rows of all tables side by side, pooled, 0 where nothing is looked up.

        Args:
            ids: int64 [n, slots], or bags.
            slots: names of the columns.

        Raises:
            ValueError: there are other columns.
        """
        return self.rows_of({name: table.lookup for name, table in self.tables.items()}, ids, slots)

    def rows_of(
        self, lookups: Mapping[str, Lookup], ids: Union[np.ndarray, Bags], slots: Tuple[str, ...]
    ) -> np.ndarray:
        """As `rows`, of other tables of the same names and sizes."""
        if ids.shape[1] != len(slots):
            raise ValueError(f"ids of {ids.shape[1]} slots, expected {len(slots)}")
        found = np.zeros((ids.shape[0], len(slots), self.width), np.float32)
        for name, table in self.manifest.tables.items():
            columns = [place for place, slot in enumerate(slots) if slot in table.slots]
            if columns:
                begin, end = table.columns
                values = self._pooled(table, lookups[name], ids, columns)
                place = slice(None) if len(columns) == len(slots) else columns
                found[:, place, begin:end] = values.reshape(ids.shape[0], len(columns), end - begin)
        return found

    def _pooled(self, table: TableOf, lookup: Lookup, ids: Union[np.ndarray, Bags], columns: List[int]) -> np.ndarray:
        """Rows of some slots, one a slot; where a slot has one id that is its row, however it is pooled."""
        whole = len(columns) == ids.shape[1]
        if isinstance(ids, Bags):
            own = ids.of_columns(columns)
            return Pool(own, table.pooling).forward(_unpadded(table, own.ids, lookup(own.ids)))
        flat = (ids if whole else ids[:, columns]).ravel()
        return _unpadded(table, flat, lookup(flat))

    @cached_property
    def graph(self) -> InferenceGraph:
        """What answers requests."""
        return self._load(self.manifest.graph)

    @cached_property
    def _variables(self) -> InferenceGraph:
        return self._load(self.manifest.variables)

    def _load(self, graph: GraphOf) -> InferenceGraph:
        shapes = [shape for _, shape in graph.inputs]
        if graph.file.endswith(SUFFIX):
            return read_graph(self.folder / graph.file, shapes)
        with tempfile.TemporaryDirectory() as folder:  # MindSpore reads no file of another name
            link = Path(folder) / f"graph{SUFFIX}"
            link.symlink_to((self.folder / graph.file).resolve())
            return read_graph(link, shapes)

    def inputs_of(
        self, graph: GraphOf, rows: Callable[[], np.ndarray], numbers: Optional[np.ndarray], count: int
    ) -> List[np.ndarray]:
        """Return what a graph is given for `count` rows, in its order.

        Raises:
            ValueError: the shapes are others.
        """
        given = []
        for name, shape in graph.inputs:
            found = rows() if name == ROWS else numbers
            if found is None or found.shape[1:] != shape or found.shape[0] != count:
                got = "nothing" if found is None else f"shape {list(found.shape)}"
                raise ValueError(f"{name}: expected shape {[count, *shape]}, got {got}")
            given.append(found)
        return given

    def _run(
        self, graph: GraphOf, run: InferenceGraph, ids: Union[np.ndarray, Bags], numbers: Optional[np.ndarray]
    ) -> Dict[str, np.ndarray]:
        given = self.inputs_of(graph, lambda: self.rows(ids, graph.slots), numbers, ids.shape[0])
        return dict(zip(graph.outputs, run(*given)))


def _unpadded(table: TableOf, ids: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Rows of ids, zeros for that of padding."""
    if table.padding_id is not None:
        rows[ids.view(np.uint64) == table.padding_id] = 0.0
    return rows


def read_export(folder: Path) -> ExportedModel:
    """Read an exported model and verify every byte of it.

    Raises:
        ExportError: it is damaged, incomplete, of another version, or none; the message says which.
        CheckpointError: a file of arrays cannot be read.
    """
    manifest = read_manifest(folder)
    there = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_symlink() or not path.is_dir()}
    other = sorted((there - {PUBLICATION}) ^ {MANIFEST, *manifest.files})
    if other:
        raise ExportError(f"{folder}: not the files it was written with: {', '.join(other[:3])}")
    for file, about in manifest.files.items():
        path = folder / file
        if path.is_symlink() or not path.is_file() or path.stat().st_size != about.size:
            raise ExportError(f"{folder}: {file} is damaged: it is no file of {about.size} bytes any more")
        if CRC32C.of_file(path) != about.crc32c:
            raise ExportError(f"{folder}: {file} is damaged: its checksum is not that of {MANIFEST}")
    return ExportedModel(folder, manifest)
