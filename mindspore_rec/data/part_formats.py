"""The file formats of training data: each a function from an open file to its rows, a chunk at a time."""

from __future__ import annotations

from typing import BinaryIO, Callable, Iterator

import numpy as np

from mindspore_rec.config import UserError
from mindspore_rec.data.parquet_rows import parquet_chunks
from mindspore_rec.data.parsed_rows import ParsedRows, RowReject
from mindspore_rec.data.slot_rows import rows_of_fields
from mindspore_rec.data.slot_schema import SlotSchema
from mindspore_rec.data.slot_text import SlotTextParser
from mindspore_rec.features.batch import REASONS
from mindspore_rec.features.engine import FeatureEngine
from mindspore_rec.features.reference import split_rows
from mindspore_rec.stream.raw_lines import DAMAGE, end_of_rows, line_chunks, open_lines

#: (file open for reading, its path for errors) to its rows. Row numbers count from 0 in each chunk.
#: UserError: the file is damaged or of another format; bad rows raise nothing, they are rejects.
PartFormat = Callable[[BinaryIO, str], Iterator[ParsedRows]]

_MOST_CELLS = 1 << 22  # rows x slots parsed at once: short rows of many slots take many times their text in memory


def feasign_slot(schema: SlotSchema) -> PartFormat:
    """Slot text of ``feasign:slot`` tokens, plain or gzip."""
    return _lines(SlotTextParser(schema, value_first=True).parse, len(schema.sparse) + schema.dense_dim)


def slot_feasign(schema: SlotSchema) -> PartFormat:
    """Slot text of ``slot:feasign`` tokens such as ``click:0 dense_var:0.05 1:737395``, plain or gzip."""
    return _lines(SlotTextParser(schema, value_first=False).parse, len(schema.sparse) + schema.dense_dim)


def raw_tsv(engine: FeatureEngine) -> PartFormat:
    """Raw Criteo lines, plain or gzip; each field is a slot with one id and its weight, as the engine makes them."""

    def parse(lines: bytes) -> ParsedRows:
        features = engine.transform([lines], "block")
        rejects = []
        if len(features.reject_row):
            texts = split_rows(lines, "block")
            reasons = zip(features.reject_row.tolist(), features.reject_reason.tolist())
            rejects = [RowReject(row, REASONS[reason], texts[row]) for row, reason in reasons]
        rows = rows_of_fields(features.ids, features.weights, features.labels)
        return ParsedRows(rows, features.row.astype(np.int64), len(features) + len(rejects), rejects)

    return _lines(parse, engine.spec.num_fields)


def parquet() -> PartFormat:
    """Parquet files of ready rows, as ``process_data.py`` writes them."""
    return parquet_chunks


def _lines(parse: Callable[[bytes], ParsedRows], cells: int) -> PartFormat:
    most = max(1, _MOST_CELLS // cells)

    def chunks(file: BinaryIO, path: str) -> Iterator[ParsedRows]:
        try:
            with open_lines(file) as lines:
                for chunk in line_chunks(lines, path):
                    for piece in _pieces(chunk, most):
                        yield parse(piece)
        except DAMAGE as error:
            raise UserError(f"{path} is damaged or cut off: {error}") from None

    return chunks


def _pieces(chunk: bytes, rows: int) -> Iterator[bytes]:
    r"""Whole lines of a chunk, so many rows at a time.

    >>> list(_pieces(b"a\nb\nc\n", 2))
    [b'a\nb\n', b'c\n']
    """
    left = chunk.count(b"\n")
    while left > rows:
        end = end_of_rows(chunk, rows)
        yield chunk[:end]
        chunk, left = chunk[end:], left - rows
    yield chunk
