"""The layouts of exported models, by name."""

from __future__ import annotations

from pathlib import Path
from typing import Dict, Mapping, Protocol, Sequence, Tuple

from mindspore_rec.checkpoint.array_file import Arrays
from mindspore_rec.embedding.table_rows import TableRows
from mindspore_rec.serving.manifest import FileOf, RowType, Share
from mindspore_rec.serving.mapped_table import MappedTable
from mindspore_rec.serving.native_layout import NativeLayout
from mindspore_rec.serving.paddle_layout import PaddleLayout


class FileLayout(Protocol):
    """How the parts of an export lie in files. Paths are relative to its folder.

    Attributes:
        graph: the file of the graph that answers requests.
    """

    graph: str

    def files_of(self, name: str, ranks: int) -> Tuple[str, ...]:
        """The files of a table that so many ranks wrote."""

    def check_row_type(self, row_type: RowType) -> None:
        """Refuse a type of rows.

        Raises:
            ConfigError: files of the layout have no such rows.
        """

    def write_share(
        self, folder: Path, name: str, rank: int, rows: TableRows, row_type: RowType = "float32"
    ) -> Dict[str, FileOf]:
        """Write a rank's share of a table; return what was written.

        Raises:
            CheckpointError, ExportError: a value is not finite, or does not fit the type.
            OSError: it cannot be written.
        """

    def finish_table(self, folder: Path, name: str, rows: TableRows, shares: Sequence[Share]) -> Dict[str, FileOf]:
        """Write what a table has beside its shares; return it.

        Args:
            folder: of the export.
            name: of the table.
            rows: of any of its shares.
            shares: of each rank.

        Raises:
            OSError: it cannot be written.
        """

    def read_table(
        self, folder: Path, name: str, files: Sequence[str], dim: int, row_type: RowType = "float32"
    ) -> MappedTable:
        """Read a table of `dim` values a row.

        Raises:
            CheckpointError, ExportError: a file is none of such a table.
        """

    def write_dense(self, folder: Path, parameters: Arrays) -> Dict[str, str]:
        """Write dense parameters; return the file of each.

        Raises:
            ExportError: one has a name that no file can have.
            OSError: it cannot be written.
        """

    def read_dense(self, folder: Path, files: Mapping[str, str]) -> Arrays:
        """Read dense parameters.

        Raises:
            CheckpointError, ExportError: a file is none of such parameters.
        """


LAYOUTS: Dict[str, FileLayout] = {"native": NativeLayout(), "paddle": PaddleLayout()}
