"""The same features through pandas: a column at a time, each different text looked at once."""

from __future__ import annotations

from typing import Any, Callable, List, Optional, Sequence, Tuple

import numpy as np
import pandas as pd

from mindspore_rec.features.batch import KEPT, Features, Float32, Float64, Int64, Rows, UInt8
from mindspore_rec.features.reference import (
    ReferenceEngine,
    RowRejected,
    check_format,
    parse_category,
    parse_label,
    parse_number,
    split_fields,
    split_rows,
)

Texts = Sequence[Optional[bytes]]


def _parse_each(parse: Callable[[Any], Any], texts: Sequence[Any], default: Any) -> Tuple[List[Any], UInt8]:
    """What ``parse`` makes of each text (the default where it rejects it), and uint8 KEPT or the reason of each."""
    parsed: List[Any] = []
    status = np.full(len(texts), KEPT, np.uint8)
    for i, text in enumerate(texts):
        try:
            parsed.append(parse(text))
        except RowRejected as rejected:
            parsed.append(default)
            status[i] = rejected.reason
    return parsed, status


def _factorize(column: pd.Series) -> Tuple[Int64, Texts]:  # type: ignore[type-arg, unused-ignore]
    """Different texts of a column, and for each row the index of its own."""
    codes, texts = pd.factorize(column.to_numpy())
    return codes, [*texts, None]  # pandas' code of None is -1, the index of the last


class PandasEngine(ReferenceEngine):
    """Feature engine over pandas data frames, for those who want to change it in terms they know."""

    def transform(self, messages: Sequence[bytes], format: str) -> Features:
        """Rows of the messages as arrays; see ``FeatureEngine``."""
        check_format(format)
        per_message = [split_rows(message, format) for message in messages]
        rows = self._allocate([len(lines) for lines in per_message])
        fields, rows.status[:] = _parse_each(
            lambda row: split_fields(row, format, self.spec.num_columns),
            [row for lines in per_message for row in lines],
            [None] * self.spec.num_columns,
        )
        frame = pd.DataFrame(fields, columns=range(self.spec.num_columns), dtype=object)
        rows.labels[:, 0] = self._labels(frame[0], rows.status)
        for field in range(self.spec.num_fields):
            self._fill_field(frame[1 + field], field, rows)
        return rows.features()

    def _labels(self, column: Any, status: UInt8) -> Float32:
        codes, texts = _factorize(column)
        labels, reasons = _parse_each(parse_label, texts, 0.0)
        _reject(status, reasons[codes])
        return np.array(labels, np.float32)[codes]

    def _fill_field(self, column: Any, field: int, rows: Rows) -> None:
        """Fill one field's ids and weights, and the status of rows whose first bad field it is."""
        codes, texts = _factorize(column)
        category = field - self.spec.dense_dim
        if category < 0:
            numbers, reasons = _parse_each(parse_number, texts, 0.0)
            values: Float64 = np.array(numbers, np.float64)
            rows.ids[:, field] = self._encoding.number_ids[field]
            rows.weights[:, field] = self._encoding.scaling.column(values, field)[codes]
        else:
            categories, reasons = _parse_each(parse_category, texts, b"")
            rows.ids[:, field] = self._encoding.column_ids(categories, category)[codes]
            rows.weights[:, field] = 1.0
        _reject(rows.status, reasons[codes])


def _reject(status: UInt8, reasons: UInt8) -> None:
    """Give rows that are still kept the reason found now."""
    np.copyto(status, reasons, where=status == KEPT)
