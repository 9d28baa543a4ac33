"""The exports of a job that trains pass by pass or epoch by epoch: a `PassExporter`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable, Literal, Mapping, Sequence

import numpy as np

from mindspore_rec.embedding.export_rule import ExportRule
from mindspore_rec.embedding.table_rows import TableRows
from mindspore_rec.job_config import CtrAccessorConfig, TableParameters
from mindspore_rec.serving.export import ModelExport, finite
from mindspore_rec.serving.manifest import ExportError, Layout, Share, Source
from mindspore_rec.serving.network_inputs import NetworkInputs
from mindspore_rec.serving.paddle_layout import PaddleLayout
from mindspore_rec.serving.publishing import Written, together
from mindspore_rec.train.hoist import lookup_cells
from mindspore_rec.train.job_model import JobModel

_PARTS = ("_w", "_x")  # of the tables of a SlotEmbedding


class JobExports:
    """Writes the exports of a job into folders that the caller publishes; every method is collective.

    Args:
        job: the model at work.
        feed: names of the slots an inference model is given; none: `inference_feed_vars` of the network.
        fetch: names of the variables it returns; none: `inference_target_var`.
        layout: of exports.

    Raises:
        ConfigError: the network, or what is fed and fetched, cannot be exported; the message names it.
    """

    def __init__(
        self, job: JobModel, feed: Sequence[str] = (), fetch: Sequence[str] = (), layout: Layout = "paddle"
    ) -> None:
        self._job, self._layout = job, layout
        self._exchange = job.place.exchange
        self._export = ModelExport(
            job.network,
            NetworkInputs.of_schema(job.model.schema),
            feed,
            fetch,
            weighted=job.model.padding_id is None,  # fields: each one id with a weight; see data/part_reader.py
            exchange=self._exchange,
        )
        self._tables = {cell.table_name: cell.table for cell in lookup_cells(job.network)}

    def base(self, folder: Path) -> None:
        """Write a model with all rows worth serving; what the next delta has, counts from now on."""
        self._write(folder, "base", lambda table, rule: table.export_base(rule))

    def delta(self, folder: Path) -> None:
        """Write a model with the rows that changed enough since the last base or delta."""
        self._write(folder, "delta", lambda table, rule: table.export_delta(rule))

    def inference(self, folder: Path) -> None:
        """Write the model that answers requests, with all rows and without their optimizer slots."""
        self._write(folder, "full", lambda table, rule: _without_slots(table.export_all()))

    def text(self, folder: Path) -> None:
        """Write all rows as text and each dense parameter to a file of its own, beside what is there."""
        layout = PaddleLayout()
        rows = {name: table.export_all() for name, table in self._tables.items()}

        def write() -> Written:
            files = {}
            for name, own in rows.items():
                files.update(layout.write_share(folder, name, self._exchange.rank, own))
            if self._exchange.rank == 0:
                network = self._job.network
                names = [name for name in network.parameters_dict() if not name.endswith("table_stamp")]
                layout.write_dense(folder, finite(network, names))
            return Written(files=files, rows={name: len(own) for name, own in rows.items()})

        parts = together(self._exchange, write)

        def finish() -> Written:
            for name, own in rows.items() if self._exchange.rank == 0 else ():
                files = layout.files_of(name, len(parts))
                shares = [Share(part.files[file], part.rows[name]) for file, part in zip(files, parts)]
                layout.finish_table(folder, name, own, shares)
            return Written()

        together(self._exchange, finish)

    def _write(
        self, folder: Path, kind: Literal["full", "base", "delta"], chosen: Callable[[Any, ExportRule], TableRows]
    ) -> None:
        rules = {name: rule_of(name, self._job.model.tables) for name in self._tables}
        try:
            rows = {name: chosen(table, rules[name]) for name, table in self._tables.items()}
        except ValueError as error:  # a table without delta_score: on all ranks alike
            raise ExportError(str(error)) from None
        self._export.write_into(folder, rows, self._source(kind), self._layout)

    def _source(self, kind: Literal["full", "base", "delta"]) -> Source:
        own = np.array([table.last_seconds for table in self._tables.values()], np.float64)
        newest = float(np.concatenate(self._exchange.gather(own)).max())
        last = self._job.state.about.get("pass") or {}  # said before an inference model is written, not a delta
        return Source(
            model=self._job.model.describe(),
            day=last.get("day") if kind == "full" else None,
            pass_number=last.get("number") if kind == "full" else None,
            step=self._job.rec_model.progress.step,
            data_time=round(newest * 1000) if newest > 0 else None,
            kind=kind,
        )


def rule_of(name: str, tables: Mapping[str, TableParameters]) -> ExportRule:
    """What exports choose the rows of a table by; of both tables of a `SlotEmbedding` the rule of its name.

    >>> rule_of("embedding_x", {}).delta_keep_days
    16
    """
    given = tables.get(name) or tables.get(name[:-2] if name.endswith(_PARTS) else name)
    found = given.accessor.ctr_accessor_param if given is not None else CtrAccessorConfig()
    return ExportRule(
        found.nonclk_coeff, found.click_coeff, found.base_threshold, found.delta_threshold, found.delta_keep_days
    )


def _without_slots(rows: TableRows) -> TableRows:
    return TableRows(rows.ids, rows.weights, {}, rows.show, rows.click, rows.unseen_days)
