"""The fast feature engine: message bytes to arrays in one pass on one thread, without the GIL."""

from __future__ import annotations

from typing import Sequence

import numpy as np
from numba import njit

from mindspore_rec.features.batch import KEPT, UNUSUAL, Features, Float32, Float64, Int64, UInt8, UInt32
from mindspore_rec.features.hashing import join_values
from mindspore_rec.features.id_table import lookup_rows
from mindspore_rec.features.json_scan import parse_json
from mindspore_rec.features.line_scan import parse_line, split_lines
from mindspore_rec.features.reference import ReferenceEngine, check_format


@njit(cache=True, nogil=True)
def _parse_rows(
    as_json: bool,
    buffer: UInt8,
    starts: Int64,
    ends: Int64,
    number_ids: Int64,
    seeds: UInt32,
    kind: int,
    low: Float64,
    high: Float64,
    small: Float32,
    ids: Int64,
    weights: Float32,
    labels: Float32,
    status: UInt8,
) -> None:
    """Fill the outputs of n rows, with hashes for category ids; the status of a row it gives up is UNUSUAL."""
    dense_dim = len(number_ids)
    stops = np.empty(1 + dense_dim + len(seeds), np.int64)
    magnitudes, signs = np.empty(dense_dim, np.int64), np.empty(dense_dim, np.int64)
    for r in range(len(starts)):
        if as_json:
            plain = parse_json(buffer, starts[r], ends[r], seeds, kind, low, high, small, ids, weights, labels, r)
        else:
            plain = parse_line(
                buffer,
                starts[r],
                ends[r],
                seeds,
                kind,
                low,
                high,
                small,
                stops,
                magnitudes,
                signs,
                ids,
                weights,
                labels,
                r,
            )
        status[r] = KEPT if plain else UNUSUAL
        for field in range(dense_dim):
            ids[r, field] = number_ids[field]
        for field in range(dense_dim, ids.shape[1]):
            weights[r, field] = 1.0


class NumbaEngine(ReferenceEngine):
    """Feature engine compiled by numba. Rows its parsers give up go to the row-by-row definition, one at a time."""

    def transform(self, messages: Sequence[bytes], format: str) -> Features:
        """Rows of the messages as arrays; see ``FeatureEngine``."""
        check_format(format)
        buffer, offsets = join_values(messages)
        if format == "json":
            starts, ends, count = offsets[:-1], offsets[1:], len(messages)
            message, row, counts = np.arange(count, dtype=np.int32), np.zeros(count, np.int32), np.ones(count, np.int32)
        else:
            starts, ends, message, row, counts = split_lines(buffer, offsets)
        rows = self._empty(message, row, counts)
        encoding, scaling, table = self._encoding, self._encoding.scaling, self._encoding.table
        _parse_rows(
            format == "json",
            buffer,
            starts,
            ends,
            encoding.number_ids,
            encoding.seeds,
            scaling.kind,
            scaling.low,
            scaling.high,
            scaling.small,
            rows.ids,
            rows.weights,
            rows.labels,
            rows.status,
        )
        if encoding.has_table:
            lookup_rows(table.entries, table.first, table.mask, table.unknown, rows.ids[:, self.spec.dense_dim :])
        for i in np.flatnonzero(rows.status == UNUSUAL):
            self._transform_row(buffer[starts[i] : ends[i]].tobytes(), format, rows, int(i))
        return rows.features()
