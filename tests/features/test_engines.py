"""Contract of every feature engine: the arrays of the row-by-row definition, to the bit, whatever the bytes."""

from __future__ import annotations

import itertools
import json
import os
import pickle
import random
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mindspore_rec.config import FeatureConfig
from mindspore_rec.features.batch import REASONS, Features
from mindspore_rec.features.dictionary import Dictionary, load_dictionary
from mindspore_rec.features.encoding import make_encoding
from mindspore_rec.features.engine import make_engine, make_spec
from mindspore_rec.features.numba_engine import NumbaEngine
from mindspore_rec.features.pandas_engine import PandasEngine
from mindspore_rec.features.reference import FORMATS, ReferenceEngine, split_rows
from tests.features.rows import (
    BAD_NUMBERS,
    ODD_NUMBERS,
    dictionaries,
    json_of,
    json_rows,
    line_of,
    line_rows,
    plain_fields,
)

ENGINES = [NumbaEngine, PandasEngine]
RULES = ["hash", "dict", "dict-log1p"]
DENSE, SLOTS = 3, 4
ANY_BYTES = settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
DTYPES = {
    "ids": np.int64,
    "weights": np.float32,
    "labels": np.float32,
    "message": np.int32,
    "row": np.int32,
    "rows_per_message": np.int32,
    "reject_message": np.int32,
    "reject_row": np.int32,
    "reject_reason": np.uint8,
}


def load(folder: Path, contents: Any, dense_dim: int, slot_dim: int) -> Dictionary:
    paths = [str(folder / f"{name}.pkl") for name in ("max", "min", "map")]
    for path, content in zip(paths, contents):
        Path(path).write_bytes(pickle.dumps(content))
    return load_dictionary(paths[0], paths[1], paths[2], dense_dim, slot_dim)


@pytest.fixture(scope="module", params=RULES)
def encodings(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Encodings of one rule: of the full width, and of a narrow row for the searches."""
    made = {}
    for dense_dim, slot_dim in ((13, 26), (DENSE, SLOTS)):
        config = FeatureConfig(dense_dim=dense_dim, slot_dim=slot_dim)
        dictionary = None
        if request.param != "hash":
            contents = dictionaries(dense_dim, slot_dim)
            dictionary = load(tmp_path_factory.mktemp("dictionaries"), contents, dense_dim, slot_dim)
            transform: Any = "log1p" if request.param == "dict-log1p" else "minmax"
            config = config.model_copy(update={"numeric_transform": transform})
        made[dense_dim] = make_encoding(make_spec(config, dictionary), dictionary)
    return made


def assert_same(one: Features, other: Features) -> None:
    for field in fields(Features):
        mine, theirs = getattr(one, field.name), getattr(other, field.name)
        assert mine.dtype == theirs.dtype == DTYPES[field.name], field.name
        assert mine.shape == theirs.shape, field.name
        assert mine.tobytes() == theirs.tobytes(), field.name
    assert np.isfinite(one.weights).all()


@pytest.mark.parametrize("engine", ENGINES)
def test_a_look_alike_of_real_rows(engine: Any, encodings: Any) -> None:
    rng = random.Random(11)
    rows = [plain_fields(rng) for _ in range(700)]
    reference = ReferenceEngine(encodings[13])
    blocks = [b"\n".join(map(line_of, rows[:300])), b"\r\n".join(map(line_of, rows[300:])) + b"\r\n"]
    expected = reference.transform(blocks, "block")
    assert len(expected) == 700 and len(expected.reject_row) == 0
    assert_same(engine(encodings[13]).transform(blocks, "block"), expected)
    lines = engine(encodings[13]).transform(list(map(line_of, rows)), "tsv")
    as_json = engine(encodings[13]).transform(list(map(json_of, rows)), "json")
    for name in ("ids", "labels"):
        assert np.array_equal(getattr(lines, name), getattr(expected, name))
        assert np.array_equal(getattr(as_json, name), getattr(expected, name))
    assert np.array_equal(as_json.weights, expected.weights) and np.array_equal(lines.weights, expected.weights)
    assert lines.rows_per_message.tolist() == as_json.rows_per_message.tolist() == [1] * 700


@pytest.mark.parametrize("engine", ENGINES)
def test_real_rows(engine: Any, encodings: Any) -> None:
    folder = os.environ.get("MSREC_SAMPLE_DIR")
    if not folder:
        pytest.skip("MSREC_SAMPLE_DIR is not set")
    message = (Path(folder) / "criteo_real_sample.tsv").read_bytes()
    features = engine(encodings[13]).transform([message], "block")
    assert len(features) == 1999 and len(features.reject_row) == 0
    assert_same(features, ReferenceEngine(encodings[13]).transform([message], "block"))


@ANY_BYTES
@given(
    rows=st.lists(line_rows(DENSE, SLOTS), max_size=6), ends=st.lists(st.sampled_from([b"\n", b"\r\n", b"\n\n", b""]))
)
@pytest.mark.parametrize("engine", ENGINES)
def test_lines(engine: Any, encodings: Any, rows: list[bytes], ends: list[bytes]) -> None:
    joined = b"".join(row + end for row, end in zip(rows, [*ends, *[b"\n"] * len(rows)]))
    reference = ReferenceEngine(encodings[DENSE])
    for messages in ([joined], rows, [joined, *rows]):
        expected = reference.transform(messages, "block")
        assert_same(engine(encodings[DENSE]).transform(messages, "block"), expected)
        assert expected.rows_per_message.tolist() == [len(split_rows(message, "block")) for message in messages]


@ANY_BYTES
@given(rows=st.lists(json_rows(DENSE, SLOTS), max_size=5))
@pytest.mark.parametrize("engine", ENGINES)
def test_json(engine: Any, encodings: Any, rows: list[bytes]) -> None:
    assert_same(
        engine(encodings[DENSE]).transform(rows, "json"), ReferenceEngine(encodings[DENSE]).transform(rows, "json")
    )


@ANY_BYTES
@given(messages=st.lists(st.binary(max_size=200), max_size=5), form=st.sampled_from(FORMATS))
@pytest.mark.parametrize("engine", ENGINES)
def test_any_bytes(engine: Any, encodings: Any, messages: list[bytes], form: str) -> None:
    expected = ReferenceEngine(encodings[DENSE]).transform(messages, form)
    assert_same(engine(encodings[DENSE]).transform(messages, form), expected)
    assert expected.rows_per_message.sum() == len(expected) + len(expected.reject_row)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("form", FORMATS)
def test_every_way_to_cut_a_good_message_in_two(engine: Any, form: str, encodings: Any) -> None:
    row = ["1", "12", "", "-3", "68fd1e64", "", "fifteen letters", "a"]
    message = json_of(row, DENSE) if form == "json" else line_of(row)
    cuts = [part for i in range(len(message) + 1) for part in (message[:i], message[i:])]
    features = engine(encodings[DENSE]).transform(cuts, form)
    assert_same(features, ReferenceEngine(encodings[DENSE]).transform(cuts, form))
    assert 2 <= len(features) < len(cuts) / 4


@pytest.mark.parametrize("engine", ENGINES)
def test_odd_numbers_in_every_column(engine: Any, encodings: Any) -> None:
    for column, text in itertools.product(range(1 + DENSE), ODD_NUMBERS + BAD_NUMBERS):
        row = ["1", "2", "", "-3", "a", "", "b", "c"]
        row[column] = text
        texts = json.dumps(row).encode()
        bare = texts.replace(json.dumps(text).encode(), text.encode())
        for message, form in ((line_of(row), "tsv"), (texts, "json"), (bare, "json")):
            expected = ReferenceEngine(encodings[DENSE]).transform([message], form)
            assert_same(engine(encodings[DENSE]).transform([message], form), expected)


ODD_VALUES = [b'"\x01"', b'"\x1f2345678901"', b'"\\n"', b'"12345678\\"', b'"\\"a"', b'"\x7f"', b'"a']
ODD_VALUES += [b"nul", b"Nan", b"nullx", b"-"]
ODD_ENDS = [b"]", b"] ", b"]x", b"],", b"]]", b"\x00", b"\xc3", b""]


@pytest.mark.parametrize("engine", ENGINES)
def test_odd_values_and_ends_of_json(engine: Any, encodings: Any) -> None:
    for value, end in itertools.product(ODD_VALUES, ODD_ENDS):
        for last in (b'"a",' + value, value + b',"a"', b'"a","b"'):
            start = b"[1,2,3,4,null,NaN,"
            messages = [start + last + end, b'"]', start]
            expected = ReferenceEngine(encodings[DENSE]).transform(messages, "json")
            assert_same(engine(encodings[DENSE]).transform(messages, "json"), expected)


def test_the_fast_parsers_take_usual_rows(encodings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random(4)
    rows = [plain_fields(rng) for _ in range(200)]
    floats = [json.dumps([float(x) if i < 14 and x else x or None for i, x in enumerate(row)]).encode() for row in rows]
    texts = [json.dumps(row, ensure_ascii=False).encode() for row in rows]
    bare = [json.dumps([x or float("nan") for x in row], ensure_ascii=False).encode() for row in rows]
    decimals = [line_of([row[0], *(x and x + ".25" for x in row[1:14]), *row[14:]]) for row in rows]
    engine = NumbaEngine(encodings[13])

    def slow(*_: object) -> None:
        raise AssertionError("a usual row went the slow way")

    monkeypatch.setattr(NumbaEngine, "_transform_row", slow)
    for messages, form in ((list(map(line_of, rows)), "block"), (decimals, "tsv"), (texts, "json"), (bare, "json")):
        assert len(engine.transform(messages, form)) == 200
    ascii_only = [message for message in floats if b"\\u" not in message]
    assert len(engine.transform(ascii_only, "json")) == len(ascii_only) > 20


def test_each_reason_is_given(encodings: Any) -> None:
    good = b"1\t1\t2\t3\ta\tb\tc\td"
    rows = [
        good,
        b"",
        good.replace(b"1", b"7", 1),
        good.replace(b"2", b"x"),
        good.replace(b"2", b"inf"),
        good + b"\xff",
    ]
    messages = [b"\n".join(rows), b"[1,"]
    features = NumbaEngine(encodings[DENSE]).transform(messages[:1], "block")
    codes = (
        features.reject_reason.tolist()
        + NumbaEngine(encodings[DENSE]).transform(messages[1:], "json").reject_reason.tolist()
    )
    assert [REASONS[code] for code in codes] == ["columns", "label", "number", "non-finite", "utf-8", "json"]
    assert features.message.tolist() == features.row.tolist() == [0]


@pytest.mark.parametrize("engine", [*ENGINES, ReferenceEngine])
@pytest.mark.parametrize("form", FORMATS)
def test_no_messages(engine: Any, form: str, encodings: Any) -> None:
    features = engine(encodings[13]).transform([], form)
    assert features.ids.shape == features.weights.shape == (0, 39) and features.labels.shape == (0, 1)
    assert features.rows_per_message.shape == (0,)


@pytest.mark.parametrize("engine", [*ENGINES, ReferenceEngine])
def test_other_formats_are_refused(engine: Any, encodings: Any) -> None:
    with pytest.raises(ValueError, match=r"^format: 'csv', expected one of block, tsv, json$"):
        engine(encodings[13]).transform([b""], "csv")


def test_threads_share_an_engine() -> None:
    engine = make_engine(FeatureConfig())
    rng = random.Random(6)
    messages = [b"\n".join(line_of(plain_fields(rng)) for _ in range(200)) for _ in range(16)]
    alone = [engine.transform([message], "block") for message in messages]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda message: engine.transform([message], "block"), messages))
    for one, other in zip(alone, together):
        assert_same(one, other)


def test_rows_of_categories_only() -> None:
    config = FeatureConfig(dense_dim=0, slot_dim=2)
    messages = [b"1\ta\tb\n0\t\t\n", b"[1]", b"1\ta"]
    engines = [make_engine(config), make_engine(config.model_copy(update={"engine": "pandas"}))]
    one, other = (engine.transform(messages, "block") for engine in engines)
    assert_same(one, other)
    assert len(one) == 2 and len(one.reject_row) == 2
    assert_same(*(engine.transform([b'[1,"a",null]', b"[1,2]"], "json") for engine in engines))
