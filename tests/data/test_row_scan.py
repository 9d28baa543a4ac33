"""Scanned rows are those of the row-by-row definition, whatever the bytes."""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import List, Tuple

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mindspore_rec.config import FeatureConfig
from mindspore_rec.data import row_scan
from mindspore_rec.data.row_scan import ScannedRows, scan_rows, span_size, span_start
from mindspore_rec.features.batch import REASONS
from mindspore_rec.features.dictionary import dictionary_seeds
from mindspore_rec.features.engine import make_engine
from mindspore_rec.features.hashing import hash_values
from mindspore_rec.features.numeric import LOG1P, scale_column
from mindspore_rec.features.reference import ParsedRow, RowRejected, parse_row, split_rows
from mindspore_rec.features.spec import FeatureSpec
from tests.features.rows import BAD_NUMBERS, CATEGORIES, ODD_CATEGORIES, ODD_NUMBERS, line_of, line_rows, plain_fields

CRITEO = FeatureSpec()
NARROW = FeatureSpec(dense_dim=3, slot_dim=4)
ANY_BYTES = settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
LONG = ["x" * 7, "x" * 8, "x" * 9, "x" * 15, "x" * 16, "x" * 17, "y" * 33, "推荐" * 3, "é" * 8, "z" * 5000]
BAD_LINES = [b"1", b"\t" * 7, b"2\t\t\t\t\t\t\t", b"1\tx\t\t\t\t\t\t", b"1\t\t\t\t\t\t\t\t", b"1\t\t\tinf\t\t\t\t"]
BAD_LINES += [b"1\t\t\t\t\xff\t\t\t", b"1\t\t\t\t\t\t\t\xc3", b"01\t\t\t\t\t\t\t", b"1\t\t\t1e309\t\t\t\t"]


def by_definition(lines: bytes, spec: FeatureSpec) -> Tuple[List[ParsedRow], List[Tuple[int, int, bytes]]]:
    kept, rejects = [], []
    for number, row in enumerate(split_rows(lines, "block")):
        try:
            kept.append(parse_row(row, "block", spec))
        except RowRejected as rejected:
            rejects.append((number, rejected.reason, row))
    return kept, rejects


def values_of(rows: ScannedRows, field: int) -> List[bytes]:
    """What the spans of a field hold."""
    places = [(int(span_start(span)), int(span_size(span))) for span in rows.spans[field]]
    return [rows.buffer[start : start + size].tobytes() for start, size in places]


def assert_as_defined(lines: bytes, spec: FeatureSpec) -> ScannedRows:
    kept, rejects = by_definition(lines, spec)
    rows = scan_rows(lines, spec)
    assert rows.rejects == rejects
    assert rows.rows == len(kept) + len(rejects)
    assert rows.labels.dtype == np.uint8 and rows.labels.tolist() == [row.label for row in kept]
    numbers = np.array([row.numbers for row in kept], np.float64).reshape(len(kept), spec.dense_dim)
    assert rows.numbers.dtype == np.float64 and rows.numbers.shape == numbers.shape
    assert rows.numbers.tobytes() == numbers.tobytes()
    assert rows.hashes.dtype == rows.spans.dtype == np.uint64
    assert rows.hashes.shape == rows.spans.shape == (spec.slot_dim, len(kept))
    assert rows.hashes.flags.c_contiguous and rows.spans.flags.c_contiguous  # as tables of counts are compiled for
    seeds = dictionary_seeds(spec.slot_dim)
    for field in range(spec.slot_dim):
        values = [row.categories[field] for row in kept]
        assert values_of(rows, field) == values
        assert np.array_equal(rows.hashes[field], hash_values(values, seeds[field : field + 1]))
    return rows


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_plain_rows(end: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random(5)
    lines = b"".join(line_of(plain_fields(rng)) + end for _ in range(300))

    def slow(*_: object) -> None:
        raise AssertionError("a usual row went the slow way")

    expected = assert_as_defined(lines, CRITEO)
    assert len(expected.labels) == 300
    monkeypatch.setattr(row_scan, "parse_row", slow)
    assert scan_rows(lines, CRITEO).rows == 300


def test_odd_numbers_and_values_in_every_column() -> None:
    usual = ["1", "2", "", "-3", "a", "", "b", "c"]
    rows = []
    for column in range(len(usual)):
        for text in [*ODD_NUMBERS, *BAD_NUMBERS, *CATEGORIES, *ODD_CATEGORIES, *LONG]:
            row = [*usual]
            row[column] = text
            rows.append(line_of(row))
    scanned = assert_as_defined(b"\n".join(rows) + b"\n", NARROW)
    assert len(scanned.labels) > len(scanned.rejects) > 100


def test_rows_that_go_the_slow_way(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random(6)
    slow = ["123456789012345678901234567890", "1e23", "4.9e-324", "98765432109876543.1", "1.7976931348623157e308"]
    rows = []
    for text in slow:
        values = [rng.choice([*CATEGORIES, *LONG]) for _ in range(4)]
        rows += [["0", "1", "", "2", "plain", "", "p" * 20, "é"], ["1", "-7", text, "", *values]]
    taken = []

    def parse(row: bytes, format: str, spec: FeatureSpec) -> ParsedRow:
        taken.append(row)
        return parse_row(row, format, spec)

    monkeypatch.setattr(row_scan, "parse_row", parse)
    for end in (b"\n", b"\r\n"):
        taken.clear()
        scanned = assert_as_defined(b"".join(line_of(row) + end for row in rows), NARROW)
        assert len(scanned.labels) == 2 * len(slow)
        assert taken == [line_of(row) for row in rows[1::2]]


def test_bad_rows_are_rejects_with_their_bytes() -> None:
    good = b"1\t1\t\t-2\ta\t\tb\tc"
    lines = b"".join(b"%b\n%b\r\n" % (good, bad) for bad in BAD_LINES)
    rows = assert_as_defined(lines, NARROW)
    assert [row for row, _, _ in rows.rejects] == list(range(1, 2 * len(BAD_LINES), 2))
    assert [line for _, _, line in rows.rejects] == BAD_LINES
    reasons = [REASONS[reason] for _, reason, _ in rows.rejects]
    assert reasons[:6] == ["columns", "label", "label", "number", "columns", "non-finite"]
    assert reasons[6:] == ["utf-8", "utf-8", "label", "non-finite"]


def test_only_bad_rows_and_no_rows() -> None:
    assert len(assert_as_defined(b"".join(line + b"\n" for line in BAD_LINES), NARROW).labels) == 0
    assert assert_as_defined(b"", NARROW).rows == 0


def test_rows_of_categories_only() -> None:
    spec = FeatureSpec(dense_dim=0, slot_dim=2)
    assert len(assert_as_defined(b"1\ta\tb\n0\t\t\n1\ta\n", spec).labels) == 2


@ANY_BYTES
@given(rows=st.lists(line_rows(3, 4), max_size=6), ends=st.lists(st.sampled_from([b"\n", b"\r\n"])))
def test_any_lines(rows: List[bytes], ends: List[bytes]) -> None:
    assert_as_defined(b"".join(row + end for row, end in zip(rows, [*ends, *[b"\n"] * len(rows)])), NARROW)


@ANY_BYTES
@given(st.binary(max_size=200))
def test_any_bytes(lines: bytes) -> None:
    assert_as_defined(lines + b"\n", NARROW)


def assert_as_the_engine(lines: bytes) -> ScannedRows:
    """The same rows kept, with the numbers and hashes the engine makes weights and ids of; the same rejects."""
    features = make_engine(FeatureConfig()).transform([lines], "block")
    rows = scan_rows(lines, CRITEO)
    rejects = [(row, reason) for row, reason, _ in rows.rejects]
    assert rejects == list(zip(features.reject_row.tolist(), features.reject_reason.tolist()))
    rejected = {row for row, _ in rejects}
    assert features.row.tolist() == [row for row in range(rows.rows) if row not in rejected]
    assert rows.labels.tolist() == features.labels[:, 0].tolist()
    for field in range(13):
        weights = scale_column(np.ascontiguousarray(rows.numbers[:, field]), LOG1P, 0.0, 0.0)
        assert weights.tobytes() == features.weights[:, field].tobytes()
    no_numbers = make_engine(FeatureConfig(dense_dim=0))  # the seeds of its fields are those of dictionaries
    kept = [line for row, line in enumerate(split_rows(lines, "block")) if row not in rejected]
    categories = [line.replace(b"\t" + b"\t".join(line.split(b"\t")[1:14]), b"", 1) for line in kept]
    ids = no_numbers.transform([b"\n".join(categories)], "block").ids
    assert np.array_equal(ids.view(np.uint64).T, rows.hashes)
    return rows


def test_the_engine_keeps_and_rejects_the_same_rows() -> None:
    rng = random.Random(8)
    rows = []
    for _ in range(400):
        fields = plain_fields(rng)
        if rng.random() < 0.3:
            fields[rng.randrange(14)] = rng.choice([*ODD_NUMBERS, *BAD_NUMBERS])
        rows.append(line_of(fields[: rng.choice([40] * 20 + [39])]))
    scanned = assert_as_the_engine(b"\n".join(rows) + b"\n")
    assert len(scanned.labels) > 250 and len(scanned.rejects) > 40


def test_real_rows() -> None:
    folder = os.environ.get("MSREC_SAMPLE_DIR")
    if not folder:
        pytest.skip("MSREC_SAMPLE_DIR is not set")
    lines = (Path(folder) / "criteo_real_sample.tsv").read_bytes()
    rows = assert_as_defined(lines, CRITEO)
    assert rows.rows == len(rows.labels) == 1999 and rows.rejects == []
    assert_as_the_engine(lines)
