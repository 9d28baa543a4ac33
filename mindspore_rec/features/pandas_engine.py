"""The same features through pandas: a column at a time, each different text looked at once."""

from __future__ import annotations

from typing import Any, Callable, List, Optional, Sequence, Tuple

import numpy as np
import pandas as pd

from mindspore_rec.features.batch import KEPT, Features, Int64, Rows, UInt8
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

Fields = List[Optional[bytes]]


def _parse_each(parse: Callable[[Optional[bytes]], Any], texts: Sequence[Optional[bytes]]) -> Tuple[List[Any], UInt8]:
    """Parsed texts (None where rejected), and uint8 KEPT or the reason."""
    parsed: List[Any] = []
    status = np.full(len(texts), KEPT, np.uint8)
    for i, text in enumerate(texts):
        try:
            parsed.append(parse(text))
        except RowRejected as rejected:
            parsed.append(None)
            status[i] = rejected.reason
    return parsed, status


class PandasEngine(ReferenceEngine):
    """Feature engine over pandas data frames, for those who want to change it in terms they know."""

    def transform(self, messages: Sequence[bytes], message_format: str) -> Features:
        """Rows of the messages as arrays; see ``FeatureEngine``."""
        check_format(message_format)
        per_message = [split_rows(message, message_format) for message in messages]
        rows = self._allocate([len(lines) for lines in per_message])
        fields, rows.status[:] = _parse_each(
            lambda row: split_fields(row or b"", message_format, self.spec.num_columns),
            [row for lines in per_message for row in lines],
        )
        whole = np.flatnonzero(rows.status == KEPT)
        frame = pd.DataFrame([fields[i] for i in whole], columns=range(self.spec.num_columns), dtype=object)
        self._fill(frame, whole, rows)
        return rows.features()

    def _fill(self, frame: pd.DataFrame, index: Int64, rows: Rows) -> None:
        """Fill rows ``index`` from the frame's columns, and the status of those with a bad field."""
        rows.labels[index, 0] = self._column(frame, 0, parse_label, np.float32, rows.status, index)
        for field in range(self.spec.num_fields):
            if field < self.spec.dense_dim:
                numbers = self._column(frame, 1 + field, parse_number, np.float64, rows.status, index)
                rows.ids[index, field] = self._encoding.number_ids[field]
                rows.weights[index, field] = self._encoding.scaling.column(numbers, field)
            else:
                rows.ids[index, field] = self._categories(frame, field, rows.status, index)
                rows.weights[index, field] = 1.0

    def _column(
        self, frame: pd.DataFrame, column: int, parse: Callable[[Optional[bytes]], float], dtype: type, status: UInt8,
        index: Int64,
    ) -> Any:
        """Parsed values of a column, 0 where rejected."""
        codes, texts = _factorize(frame, column)
        parsed, reasons = _parse_each(parse, texts)
        _reject(status, index, reasons[codes])
        return np.array([value or 0.0 for value in parsed], dtype)[codes]
