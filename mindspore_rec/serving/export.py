"""Export a live network: its graph, the rows of its tables and its dense parameters, in a folder that is there whole.

Any rank of a job calls the same functions; each writes the rows it has.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Callable, Mapping, Optional, Sequence

import mindspore as ms
import numpy as np
from mindspore import nn

from mindspore_rec.checkpoint.array_file import Arrays, write_synced
from mindspore_rec.distributed.exchange import Alone, Exchange
from mindspore_rec.embedding.table_rows import TableRows
from mindspore_rec.models.slot_network import SlotNetwork
from mindspore_rec.serving.feeds import Feeds, choose_feeds
from mindspore_rec.serving.graph_file import GraphWriter
from mindspore_rec.serving.layouts import LAYOUTS
from mindspore_rec.serving.manifest import (
    FILE_NAME,
    MANIFEST,
    ExportError,
    ExportManifest,
    GraphOf,
    Layout,
    RowType,
    Share,
    Source,
    TableOf,
    version_of,
)
from mindspore_rec.serving.native_layout import file_of
from mindspore_rec.serving.network_inputs import NetworkInputs
from mindspore_rec.serving.onnx_file import ONNX, need_onnx, write_onnx
from mindspore_rec.serving.packed_network import PROBABILITY, PackedNetwork
from mindspore_rec.serving.publishing import Publication, Written, together

VARIABLES = "variables.mindir"
_IDS = 1 << 64


class ModelExport:
    """Exports of a network, of any number of its states.

    Args:
        network: the network.
        inputs: what it is given in training.
        feed: names of the slots the graph is given; default: `inference_feed_vars` of the network, or all.
        fetch: names of the variables it returns; default: `inference_target_var` of the network, or "probability".
        weighted: each value of a slot has a weight, by which lookups multiply its row.
        exchange: between the ranks of the job, each with its share of every table.

    Raises:
        ConfigError: the network, or what is fed and fetched, cannot be exported; the message names it.
    """

    def __init__(
        self,
        network: nn.Cell,
        inputs: NetworkInputs,
        feed: Optional[Sequence[str]] = None,
        fetch: Optional[Sequence[str]] = None,
        *,
        weighted: bool = False,
        exchange: Optional[Exchange] = None,
    ) -> None:
        self._network = network
        self._weighted = weighted
        self._exchange = exchange or Alone()
        self._packed = PackedNetwork(network, inputs)
        is_slots = isinstance(network, SlotNetwork)
        feed = feed or (network.inference_feed_vars if is_slots else ())
        fetch = fetch or ((network.inference_target_var,) if is_slots else (PROBABILITY,))
        self._feeds = choose_feeds(self._packed, feed, fetch)
        self._all = choose_feeds(self._packed, (), self._packed.names)
        self._graph = GraphWriter(self._packed, self._feeds)
        self._variables = GraphWriter(self._packed, self._all)
        for name in self._packed.tables:
            if not FILE_NAME.fullmatch(name):
                raise ExportError(f"table {name!r}: expected a name of letters, digits, '_', '-' and '.'")

    def write(
        self,
        folder: Path,
        rows: Mapping[str, TableRows],
        source: Source,
        layout: Layout = "native",
        row_type: RowType = "float32",
        onnx: bool = False,
    ) -> Path:
        """Publish an export; one that is there is replaced. Collective.

        Args:
            folder: what it is called; the ranks share its parent.
            rows: of this rank, by the name of the table.
            source: what the model was trained to.
            layout: of the files.
            row_type: what their rows become.
            onnx: write the graph as `model.onnx` too.

        Returns:
            the folder.

        Raises:
            ConfigError: the layout has no such rows; or the package onnx is not installed.
            ExportError: it cannot be written, by one of the ranks; a value is not finite, or does not fit the type of
                the rows; the graph has an operation that ONNX files here have not; or something else is there.
            OSError: it cannot be written, by the only rank.
        """
        LAYOUTS[layout].check_row_type(row_type)
        if onnx:
            need_onnx()
        publication = Publication(Path(os.path.abspath(folder)))
        try:
            self._first(publication.begin)
            self.write_into(publication.writing, rows, source, layout, row_type, onnx)
            self._first(publication.publish)
        finally:
            if self._exchange.rank == 0:
                publication.clean()
        return publication.folder

    def write_into(
        self,
        folder: Path,
        rows: Mapping[str, TableRows],
        source: Source,
        layout: Layout,
        row_type: RowType = "float32",
        onnx: bool = False,
    ) -> None:
        """Write an export into an empty folder that the caller publishes; else as `write`. Collective."""
        if rows.keys() != self._packed.tables.keys():
            raise ValueError(f"rows of {', '.join(rows)}: expected those of {', '.join(self._packed.tables)}")
        parts = together(self._exchange, lambda: self._write_own(folder, rows, layout, row_type, onnx))
        self._first(lambda: self._finish(folder, rows, parts, source, layout, row_type))

    def _first(self, work: Callable[[], None]) -> None:
        """Have rank 0 do something, and all wait for it. Collective."""

        def done() -> Written:
            if self._exchange.rank == 0:
                work()
            return Written()

        together(self._exchange, done)

    def _write_own(
        self, folder: Path, rows: Mapping[str, TableRows], layout: Layout, row_type: RowType, onnx: bool
    ) -> Written:
        """Write the rows of this rank, and what only the first one writes."""
        files, laid_out, dense = {}, LAYOUTS[layout], {}
        for name, own in rows.items():
            files.update(laid_out.write_share(folder, name, self._exchange.rank, own, row_type))
        if self._exchange.rank == 0:
            parameters = self._graph.write(folder / "graph.mindir")
            if onnx:
                names = [self._packed.names[place] for place in self._feeds.targets]
                write_onnx(folder / ONNX, folder / "graph.mindir", self._graph.inputs, names)
            (folder / "graph.mindir").rename(folder / laid_out.graph)
            self._variables.write(folder / VARIABLES)
            dense = laid_out.write_dense(folder, finite(self._network, parameters))
            for file in {laid_out.graph, VARIABLES, *dense.values(), *([ONNX] if onnx else [])}:
                files[file] = file_of(folder, file)
        return Written(files=files, rows={name: len(own) for name, own in rows.items()}, dense=dense)

    def _finish(
        self,
        folder: Path,
        rows: Mapping[str, TableRows],
        parts: Sequence[Written],
        source: Source,
        layout: Layout,
        row_type: RowType,
    ) -> None:
        """Write what is written when all ranks have written: files that describe others."""
        laid_out, tables = LAYOUTS[layout], {}
        files = {file: about for part in parts for file, about in part.files.items()}
        for name, cell in self._packed.tables.items():
            padding = cell.table.about()["padding_id"]
            named = laid_out.files_of(name, len(parts))
            shares = [Share(files[file], part.rows[name]) for file, part in zip(named, parts)]
            files.update(laid_out.finish_table(folder, name, rows[name], shares))
            tables[name] = TableOf(
                columns=self._packed.columns[name],
                slots=tuple(self._packed.inputs.slots[place] for place in self._packed.slots[name]),
                pooling=cell.pooling,
                padding_id=None if padding is None else padding % _IDS,
                row_type=row_type,
                rows=sum(share.rows for share in shares),
                files=named,
            )
        manifest = ExportManifest(
            format_version=version_of(row_type),
            layout=layout,
            created_by={"mindspore_rec": _version(), "mindspore": ms.__version__},
            source=source,
            graph=self._graph_of(laid_out.graph, self._graph, self._feeds),
            variables=self._graph_of(VARIABLES, self._variables, self._all),
            tables=tables,
            weighted=self._weighted,
            dense=parts[0].dense,
            files=files,
        )
        write_synced(folder / MANIFEST, manifest.sealed().to_json())

    def _graph_of(self, file: str, graph: GraphWriter, feeds: Feeds) -> GraphOf:
        inputs = self._packed.inputs
        fed = {name: width for name, width in inputs.numbers if name in feeds.names}
        return GraphOf(
            file=file,
            inputs=tuple(graph.inputs.items()),
            outputs=tuple(self._packed.names[place] for place in feeds.targets),
            slots=tuple(inputs.slots[place] for place in feeds.slots),
            numbers=tuple(fed.items()),
        )


def finite(network: nn.Cell, names: Sequence[str]) -> Arrays:
    """The values of dense parameters of a network.

    Raises:
        ExportError: one is not finite.
    """
    parameters = network.parameters_dict()
    found = {name: parameters[name].asnumpy() for name in names}
    for name, array in found.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise ExportError(f"dense parameter {name} is not finite: nothing was exported")
    return found


def _version() -> str:
    return str(vars(sys.modules[__name__.partition(".")[0]])["__version__"])
