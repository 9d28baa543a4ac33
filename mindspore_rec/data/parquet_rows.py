"""Read Parquet files of ready rows, as ``data/parquet.py`` writes them."""

from __future__ import annotations

from typing import Any, BinaryIO, Iterator, List

import numpy as np

from mindspore_rec.config import UserError
from mindspore_rec.data.parquet import require_pyarrow
from mindspore_rec.data.parsed_rows import ParsedRows, RowReject
from mindspore_rec.data.slot_rows import rows_of_fields
from mindspore_rec.features.batch import LABEL, NON_FINITE, REASONS, Float32, Int64

BATCH_ROWS = 8192
MAX_FIELDS = 2000
COLUMNS = ("id", "weight", "label")


def parquet_chunks(file: BinaryIO, path: str) -> Iterator[ParsedRows]:
    """The rows of an open file, ``BATCH_ROWS`` at a time, each field as a slot with one value and its weight.

    A row whose label is neither 0 nor 1, or with a weight that is not finite, is a reject without bytes.

    Args:
        file: open for reading, with ``seek``.
        path: for errors.

    Raises:
        ConfigError: pyarrow is not installed.
        UserError: the file is no Parquet, is damaged, or has other columns.
    """
    require_pyarrow()
    import pyarrow
    from pyarrow import parquet

    try:
        source = parquet.ParquetFile(file)
        fields = _count_fields(pyarrow, source.schema_arrow, path)
        for batch in source.iter_batches(BATCH_ROWS, columns=[*COLUMNS]):
            ids, weights, labels = (_values(batch.column(name), path) for name in COLUMNS)
            yield _parsed(ids.reshape(-1, fields), weights.reshape(-1, fields), labels)
    except (pyarrow.ArrowException, OSError) as error:
        reason = str(error).splitlines() or [type(error).__name__]
        raise UserError(f"{path} is no Parquet file or is damaged: {reason[0]}") from None


def _count_fields(arrow: Any, schema: Any, path: str) -> int:
    """F of the columns; UserError where they are not those of ready rows."""
    for name in COLUMNS:
        if schema.names.count(name) > 1:
            raise UserError(f"{path} has {schema.names.count(name)} columns {name}; expected one")
    kinds = [schema.field(name).type if name in schema.names else None for name in COLUMNS]
    fields = getattr(kinds[0], "list_size", 0)
    expected = [arrow.list_(arrow.int64(), fields), arrow.list_(arrow.float32(), fields), arrow.float32()]
    if not 1 <= fields <= MAX_FIELDS or kinds != expected:
        raise UserError(
            f"{path} has columns {', '.join(f'{name}: {kind}' for name, kind in zip(COLUMNS, kinds))}; expected lists "
            f"of the same 1 to {MAX_FIELDS} int64 and float32 as id and weight, and a float32 as label"
        )
    return int(fields)


def _values(column: Any, path: str) -> np.ndarray:
    """All values of a column, those of lists end to end."""
    flat = column.flatten() if hasattr(column, "flatten") and hasattr(column.type, "list_size") else column
    if column.null_count or flat.null_count:
        raise UserError(f"{path} has empty cells, expected none")
    return np.asarray(flat)


def _parsed(ids: Int64, weights: Float32, labels: Float32) -> ParsedRows:
    n = len(labels)
    good_label, finite = (labels == 0) | (labels == 1), np.isfinite(weights).all(axis=1)
    kept = good_label & finite
    rejects: List[RowReject] = []
    if not kept.all():
        for row in np.flatnonzero(~kept).tolist():
            rejects.append(RowReject(row, REASONS[NON_FINITE if good_label[row] else LABEL], b""))
        ids, weights, labels = ids[kept], weights[kept], labels[kept]
    return ParsedRows(rows_of_fields(ids, weights, labels[:, None]), np.flatnonzero(kept), n, rejects)
