"""Parse slot text: ``feasign:slot`` as PaddleRec's slot_dnn reads, ``slot:feasign`` as its DataLoader does."""

from __future__ import annotations

from typing import List

import numpy as np

from mindspore_rec.data.parsed_rows import ParsedRows, RowReject
from mindspore_rec.data.slot_definition import SlotRowRejected, parse_slot_row
from mindspore_rec.data.slot_names import index_names
from mindspore_rec.data.slot_rows import SlotRows, concatenate_rows, take_rows
from mindspore_rec.data.slot_scan import scan_slot_rows
from mindspore_rec.data.slot_schema import SlotSchema
from mindspore_rec.features.batch import UNUSUAL
from mindspore_rec.features.hashing import join_values
from mindspore_rec.features.line_scan import split_lines


class SlotTextParser:
    """Parses lines of slot text; see ``data/slot_definition.py`` for what is a row. Threads may share a parser.

    Args:
        schema: the slots.
        value_first: True for ``feasign:slot``, False for ``slot:feasign``.

    Example:
        >>> parser = SlotTextParser(SlotSchema.from_keys("click 1 2", "price:1"), value_first=False)
        >>> parsed = parser.parse(b"click:0 price:0.5 1:7 2:8 1:9\\n1:7\\n")
        >>> parsed.rows.ids.tolist(), parsed.rows.offsets.tolist(), parsed.rows.dense.tolist()
        ([7, 9, 8], [0, 2, 3], [[0.5]])
        >>> parsed.rejects
        [RowReject(row=1, reason='label', raw=b'1:7')]
    """

    def __init__(self, schema: SlotSchema, value_first: bool) -> None:
        self._schema = schema
        self._value_first = value_first
        self._names = index_names(schema.names)
        self._widths = np.array([width for _, width in schema.dense], np.int64)

    def parse(self, lines: bytes) -> ParsedRows:
        r"""The rows of lines that end with ``\n`` or ``\r\n``; empty lines at the end are none. Never fails."""
        buffer, bounds = join_values([lines])
        starts, ends, _, _, _ = split_lines(buffer, bounds)
        n, num_slots = len(starts), len(self._schema.sparse)
        ids = np.empty(lines.count(b":"), np.int64)
        offsets = np.empty(n * num_slots + 1, np.int64)
        labels = np.empty((n, 1), np.float32)
        dense = np.empty((n, self._schema.dense_dim), np.float32)
        status = np.empty(n, np.uint8)
        kept, total = scan_slot_rows(
            self._value_first,
            self._names,
            num_slots,
            self._widths,
            buffer,
            starts,
            ends,
            ids,
            offsets,
            labels,
            dense,
            status,
        )
        usual = SlotRows(num_slots, ids[:total], offsets[: kept * num_slots + 1], labels[:kept], dense[:kept])
        if kept == n:
            return ParsedRows(usual, np.arange(n), n, [])
        slow = [(int(r), buffer[starts[r] : ends[r]].tobytes()) for r in np.flatnonzero(status == UNUSUAL)]
        found, numbers, rejects = [usual], [*np.flatnonzero(status != UNUSUAL).tolist()], []
        for number, line in slow:
            try:
                found.append(parse_slot_row(line, self._schema, self._value_first))
                numbers.append(number)
            except SlotRowRejected as rejected:
                rejects.append(RowReject(number, str(rejected), line))
        return _in_order(found, numbers, n, rejects)


def _in_order(found: List[SlotRows], numbers: List[int], count: int, rejects: List[RowReject]) -> ParsedRows:
    order = np.argsort(np.array(numbers, np.int64))
    rows = concatenate_rows(found)
    if len(found) > 1:
        rows = take_rows(rows, order)
    return ParsedRows(rows, np.sort(np.array(numbers, np.int64)), count, rejects)
