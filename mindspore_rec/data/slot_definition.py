"""The definition of slot text, one row at a time in plain Python. The compiled scan hands every unusual row to it.

A row is tokens separated by spaces. A token is a slot's name and a value with one colon between them, the value first
(``feasign:slot``) or the name first (``slot:feasign``). Tokens come in any order; those of one slot keep theirs.
Tokens of slots that the schema does not have are passed over, whatever their values.
"""

from __future__ import annotations

from typing import Dict, List, Optional

import numpy as np

from mindspore_rec.data.slot_rows import SlotRows
from mindspore_rec.data.slot_schema import SlotSchema
from mindspore_rec.features.batch import NON_FINITE, NUMBER, REASONS
from mindspore_rec.features.reference import RowRejected, parse_number

#: Why a row is rejected. The first bad token from the left decides, then what the row lacks.
TOKEN, LABEL, DENSE = "token", "label", "dense"
SLOT_REASONS = (TOKEN, LABEL, DENSE, REASONS[NUMBER], REASONS[NON_FINITE])

_MOST_DIGITS = 20  # of a 64-bit number
_LARGEST = float(np.finfo(np.float32).max)


class SlotRowRejected(ValueError):  # noqa: N818
    """A row that breaks the format; the message is one of ``SLOT_REASONS``."""


def parse_slot_row(row: bytes, schema: SlotSchema, value_first: bool) -> SlotRows:
    """One row as ``SlotRows``.

    Args:
        row: without the end of its line.
        schema: the slots.
        value_first: whether a token is ``feasign:slot``.

    Raises:
        SlotRowRejected: ``token`` (not exactly one colon), ``label`` (none, several, or neither 0 nor 1), ``number``
            (an id that is no unsigned 64-bit number, a value that is no number), ``non-finite`` (a value that is not
            finite as float32) or ``dense`` (some but not all numbers of a slot; none stand for zeros).

    Example:
        >>> row = parse_slot_row(b"0:1 18446744073709551615:3 7:2 5:3", SlotSchema.from_keys("1 2 3"), True)
        >>> row.ids.tolist(), row.offsets.tolist(), row.labels.tolist()
        ([7, -1, 5], [0, 1, 3], [[0.0]])
    """
    label: Optional[float] = None
    ids: Dict[int, List[int]] = {}  # of the slots that the row has: there may be thousands of others
    numbers: Dict[str, List[float]] = {}
    for token in row.split(b" "):
        if not token:
            continue
        parts = token.split(b":")
        if len(parts) != 2:
            raise SlotRowRejected(TOKEN)
        value, name = parts if value_first else reversed(parts)
        slot = name.decode("utf-8", "surrogateescape")  # equals no name of a schema where it is no UTF-8
        if slot == schema.label:
            if label is not None or value not in (b"0", b"1"):
                raise SlotRowRejected(LABEL)
            label = float(value)
        elif slot in schema.places:
            ids.setdefault(schema.places[slot], []).append(_parse_id(value))
        elif slot in schema.columns:
            numbers.setdefault(slot, []).append(_parse_value(value))
    if label is None:
        raise SlotRowRejected(LABEL)
    dense = np.zeros((1, schema.dense_dim), np.float32)
    for slot, found in numbers.items():
        columns = schema.columns[slot]
        if len(found) != columns.stop - columns.start:
            raise SlotRowRejected(DENSE)
        dense[0, columns] = found
    counts = np.zeros(len(schema.sparse) + 1, np.int64)
    counts[[place + 1 for place in ids]] = [len(found) for found in ids.values()]
    return SlotRows(
        len(schema.sparse),
        np.array([value for place in sorted(ids) for value in ids[place]], np.uint64).view(np.int64),
        np.cumsum(counts),
        np.array([[label]], np.float32),
        dense,
    )


def _parse_id(text: bytes) -> int:
    digits = text.lstrip(b"0")  # a megabyte of digits is turned down before it becomes a number
    if not text.isdigit() or len(digits) > _MOST_DIGITS or int(digits or b"0") >= 1 << 64:
        raise SlotRowRejected(REASONS[NUMBER])
    return int(digits or b"0")


def _parse_value(text: bytes) -> float:
    if not text:
        raise SlotRowRejected(REASONS[NUMBER])
    try:
        value = parse_number(text)
    except RowRejected as rejected:
        raise SlotRowRejected(REASONS[rejected.reason]) from None
    if abs(value) > _LARGEST:
        raise SlotRowRejected(REASONS[NON_FINITE])
    return value
