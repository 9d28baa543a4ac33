"""The row-by-row definition, against examples and against independent parts: mmh3, math, a plain dict."""

from __future__ import annotations

import json
import math
import random
from typing import Any

import mmh3
import numpy as np
import pytest

from mindspore_rec.features.batch import REASONS
from mindspore_rec.features.encoding import make_encoding
from mindspore_rec.features.reference import ReferenceEngine, RowRejected, parse_row, split_rows
from mindspore_rec.features.spec import FeatureSpec
from tests.features.rows import line_of, plain_fields

SMALL = FeatureSpec(dense_dim=1, slot_dim=1)


@pytest.mark.parametrize(
    ("message", "rows"),
    [
        (b"", []),
        (b"\n\r\n\n", []),
        (b"a", [b"a"]),
        (b"a\n", [b"a"]),
        (b"a\r\nb\r\n\r\n", [b"a", b"b"]),
        (b"\na\n\n\nb", [b"", b"a", b"", b"", b"b"]),
        (b"a\r\r\nb\rc", [b"a\r", b"b\rc"]),
    ],
)
def test_split_rows(message: bytes, rows: list[bytes]) -> None:
    assert split_rows(message, "block") == split_rows(message, "tsv") == rows
    assert split_rows(message, "json") == [message]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (b"", "columns"),
        (b"1\t2", "columns"),
        (b"1\t2\ta\tb", "columns"),
        (b"2\t2\ta", "label"),
        (b"\t2\ta", "label"),
        (b"1.0\t2\ta", "label"),
        (b"2\tx\ta", "label"),
        (b"1\tx\ta", "number"),
        (b"1\t 2\ta", "number"),
        (b"1\tinf\ta", "non-finite"),
        (b"1\t1e309\ta", "non-finite"),
        (b"1\tx\t\xff", "utf-8"),
        (b"\xff", "utf-8"),
        (b"1\t2\t\xed\xa0\x80", "utf-8"),
    ],
)
def test_line_rejects(row: bytes, reason: str) -> None:
    with pytest.raises(RowRejected, match=f"^{reason}$") as caught:
        parse_row(row, "tsv", SMALL)
    assert REASONS[caught.value.reason] == reason


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (b"", "json"),
        (b"[1,2", "json"),
        (b'{"a":1}', "json"),
        (b"1", "json"),
        (b"[01,2,3]", "json"),
        (b"[" * 100000, "json"),
        (b'\xef\xbb\xbf[1,2,"a"]', "json"),
        (b'[1,2,"a\n"]', "json"),
        (b"[]", "columns"),
        (b'[1,2,"a",4]', "columns"),
        (b'[2,2,"a"]', "label"),
        (b'[null,2,"a"]', "label"),
        (b'[true,2,"a"]', "label"),
        (b'["1.0",2,"a"]', "label"),
        (b'[1,true,"a"]', "number"),
        (b'[1,[],"a"]', "number"),
        (b'[1,"x",{}]', "number"),
        (b'[1,Infinity,"a"]', "non-finite"),
        (b'[1,"NaN","a"]', "non-finite"),
        (b'[1,1e999,"a"]', "non-finite"),
        (b"[1," + b"9" * 5000 + b',"a"]', "non-finite"),
        (b"[1,2,false]", "json"),
        (b"[1,2,{}]", "json"),
        (b'[1,2,"\\ud800"]', "utf-8"),
        (b'[1,2,"\xff"]', "utf-8"),
    ],
)
def test_json_rejects(row: bytes, reason: str) -> None:
    with pytest.raises(RowRejected, match=f"^{reason}$"):
        parse_row(row, "json", SMALL)


@pytest.mark.parametrize(
    ("values", "label", "number", "category"),
    [
        ('[1, 2, "a"]', 1, 2.0, b"a"),
        ('[0.0,"-3","a"]', 0, -3.0, b"a"),
        ('["1",2.5,"\\u63a8\\n"]', 1, 2.5, "推\n".encode()),
        ('[1e0,1e2,"\\ud83d\\ude00"]', 1, 100.0, "😀".encode()),
        ("[0,null,null]", 0, None, b""),
        ("[-0,NaN,NaN]", 0, None, b""),
        ('[1,"",""]', 1, None, b""),
        ("[1,3,1.50]", 1, 3.0, b"1.50"),
        (" [1,3 , 1e2\n]\r\n", 1, 3.0, b"1e2"),
        ("[1,3,123456789012345678901234567890]", 1, 3.0, b"123456789012345678901234567890"),
    ],
)
def test_json_rows(values: str, label: int, number: Any, category: bytes) -> None:
    parsed = parse_row(values.encode(), "json", SMALL)
    assert (parsed.label, parsed.categories) == (label, [category])
    assert math.isnan(parsed.numbers[0]) if number is None else parsed.numbers == [number]


def test_hash_ids_and_log_weights() -> None:
    spec = FeatureSpec(hash_seed=9)
    engine = ReferenceEngine(make_encoding(spec, None))
    rng = random.Random(3)
    for _ in range(20):
        fields = plain_fields(rng)
        features = engine.transform([line_of(fields)], "tsv")
        for i, text in enumerate(fields[1:]):
            seed = (9 + 0x9E3779B9 * (i + 1)) % 2**32
            value = b"" if i < 13 else text.encode()
            assert features.ids[0, i] == mmh3.hash64(value, seed, True)[0]
            number = float(text or 0) if i < 13 else 0.0
            weight = math.copysign(math.log1p(abs(number)), number) if i < 13 else 1.0
            assert features.weights[0, i] == np.float32(weight)
        assert features.labels.tolist() == [[float(fields[0])]]


def test_ids_of_fields_is_the_row_without_its_label() -> None:
    engine = ReferenceEngine(make_encoding(FeatureSpec(), None))
    fields = plain_fields(random.Random(5))
    ids, weights = engine.ids_of_fields(fields[1:])
    features = engine.transform([line_of(fields)], "tsv")
    assert ids.dtype == np.int64 and weights.dtype == np.float32
    assert np.array_equal(ids, features.ids[0]) and np.array_equal(weights, features.weights[0])
    for bad, reason in ((fields, "columns"), (["x", *fields[2:]], "number"), ([*fields[1:-1], "\ud800"], "utf-8")):
        with pytest.raises(RowRejected, match=reason):
            engine.ids_of_fields(bad)


def test_rows_and_rejects_keep_their_places() -> None:
    engine = ReferenceEngine(make_encoding(SMALL, None))
    features = engine.transform([b"1\t2\ta\n\n0\t3\tb\n", b"", b"x\n1\t\t\n0\tinf\t"], "block")
    assert features.rows_per_message.tolist() == [3, 0, 3]
    assert list(zip(features.message.tolist(), features.row.tolist())) == [(0, 0), (0, 2), (2, 1)]
    rejects = zip(features.reject_message.tolist(), features.reject_row.tolist(), features.reject_reason.tolist())
    assert [(m, r, REASONS[c]) for m, r, c in rejects] == [(0, 1, "columns"), (2, 0, "columns"), (2, 2, "non-finite")]
    assert features.labels.tolist() == [[1.0], [0.0], [1.0]]
    assert json.dumps(features.weights[:, 1].tolist()) == "[1.0, 1.0, 1.0]"
