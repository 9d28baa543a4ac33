"""Slot text against a plain parser that shares no code with the package's."""

from __future__ import annotations

import os
import random
import re
from decimal import Decimal
from pathlib import Path
from typing import Dict, Iterator, List, Optional, Tuple, Union

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mindspore_rec.data import slot_text
from mindspore_rec.data.parsed_rows import ParsedRows
from mindspore_rec.data.slot_rows import SlotRows
from mindspore_rec.data.slot_schema import SlotSchema
from mindspore_rec.data.slot_text import SlotTextParser

Plain = Tuple[float, Dict[str, List[int]], List[float]]

SLOT_DNN = SlotSchema.from_keys(" ".join(str(number) for number in range(1, 302)))
CRITEO = SlotSchema.from_keys("click " + " ".join(str(number) for number in range(1, 27)), "dense_var:13")
SMALL = SlotSchema.from_keys("label 1 22 a_slot_of_long_name", "d:2 another_long_name:1")
ANY_BYTES = settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=300)

NUMBER = re.compile(r"([+-]?)(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
ENDLESS = re.compile(r"[+-]?(nan|inf|infinity)", re.IGNORECASE | re.ASCII)
LARGEST = Decimal(float(np.finfo(np.float32).max))


def plain_number(text: str) -> Union[float, str]:
    if ENDLESS.fullmatch(text):
        return "non-finite"
    if not NUMBER.fullmatch(text):
        return "number"
    value = float(text)
    return "non-finite" if abs(value) > LARGEST else float(np.float32(value))


def plain_row(line: bytes, schema: SlotSchema, value_first: bool) -> Union[Plain, str]:
    """The row, or why it is none."""
    label: Optional[float] = None
    ids: Dict[str, List[int]] = {}
    numbers: Dict[str, List[float]] = {}
    widths = dict(schema.dense)
    for token in line.decode("latin-1").split(" "):
        if token == "":
            continue
        if token.count(":") != 1:
            return "token"
        left, _, right = token.partition(":")
        value, slot = (left, right) if value_first else (right, left)
        if slot == schema.label:
            if label is not None or value not in {"0", "1"}:
                return "label"
            label = float(value)
        elif slot in schema.sparse:
            if not re.fullmatch("0*[0-9]{1,20}", value) or int(value.lstrip("0") or "0") > 2**64 - 1:
                return "number"
            ids.setdefault(slot, []).append(int(value.lstrip("0") or "0"))
        elif slot in widths:
            number = plain_number(value)
            if isinstance(number, str):
                return number
            numbers.setdefault(slot, []).append(number)
    if label is None:
        return "label"
    if any(len(found) != widths[slot] for slot, found in numbers.items()):
        return "dense"
    return label, ids, [x for slot, width in schema.dense for x in numbers.get(slot, [0.0] * width)]


def plain_lines(lines: bytes) -> List[bytes]:
    found = [line[:-1] if line[-1:] == b"\r" else line for line in lines.split(b"\n")]
    while found and found[-1] == b"":
        found.pop()
    return found


def slots_of(rows: SlotRows, row: int, schema: SlotSchema) -> Dict[str, List[int]]:
    """Unsigned ids of a row by slot, empty slots left out."""
    unsigned, first = rows.ids.view(np.uint64), row * rows.num_slots
    found = {
        name: unsigned[rows.offsets[first + k] : rows.offsets[first + k + 1]].tolist()
        for k, name in enumerate(schema.sparse)
    }
    return {name: ids for name, ids in found.items() if ids}


def assert_as_plain(lines: bytes, schema: SlotSchema, value_first: bool) -> ParsedRows:
    parsed = SlotTextParser(schema, value_first).parse(lines)
    expected = [plain_row(line, schema, value_first) for line in plain_lines(lines)]
    assert parsed.count == len(expected)
    assert parsed.rejects == [
        (number, found, plain_lines(lines)[number]) for number, found in enumerate(expected) if isinstance(found, str)
    ]
    kept = [(number, found) for number, found in enumerate(expected) if not isinstance(found, str)]
    assert parsed.numbers.dtype == np.int64 and parsed.numbers.tolist() == [number for number, _ in kept]
    rows = parsed.rows
    assert rows.num_slots == len(schema.sparse)
    assert rows.ids.dtype == rows.offsets.dtype == np.int64
    assert rows.labels.dtype == rows.dense.dtype == np.float32
    assert rows.dense.shape == (len(kept), schema.dense_dim) and rows.weights is None
    for row, (_, (label, ids, dense)) in enumerate(kept):
        assert rows.labels[row, 0] == label
        assert slots_of(rows, row, schema) == ids
        assert rows.dense[row].tobytes() == np.array(dense, np.float32).tobytes()
    return parsed


def no_slow_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(*_: object) -> None:
        raise AssertionError("a usual row went the slow way")

    monkeypatch.setattr(slot_text, "parse_slot_row", slow)


def test_the_ten_real_lines_have_all_64_bit_ids_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = os.environ.get("MSREC_SAMPLE_DIR")
    if not folder:
        pytest.skip("MSREC_SAMPLE_DIR is not set")
    lines = (Path(folder) / "slot_dnn_sample.txt").read_bytes()
    no_slow_rows(monkeypatch)
    parsed = assert_as_plain(lines, SLOT_DNN, True)
    assert len(parsed.rows) == parsed.count == 10
    assert parsed.rows.labels[:, 0].tolist() == [0, 0, 0, 0, 1, 0, 1, 1, 1, 0]
    assert len(parsed.rows.ids) == lines.count(b":") - 10
    assert (parsed.rows.ids < 0).sum() > 1000  # above 2**63


def criteo_line(rng: random.Random) -> bytes:
    """A row as in the published Criteo slot text."""
    dense = [f"dense_var:{rng.choice([0.0, 0.05, 0.00497512437811, 0.207421875, rng.random()])!r}" for _ in range(13)]
    sparse = [f"{slot}:{rng.randrange(1_000_001)}" for slot in range(1, 27)]
    return " ".join([f"click:{rng.randrange(2)}", *dense, *sparse]).encode()


@pytest.mark.parametrize("end", [b"\n", b" \r\n"])
def test_criteo_slot_text(end: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random(2)
    lines = b"".join(criteo_line(rng) + end for _ in range(200))
    parsed = assert_as_plain(lines, CRITEO, False)
    assert len(parsed.rows) == 200 and parsed.rows.offsets.tolist() == list(range(200 * 26 + 1))
    no_slow_rows(monkeypatch)
    short = re.sub(rb"dense_var:\S+", b"dense_var:0.25", lines)  # of random() some have more digits than are read fast
    assert len(SlotTextParser(CRITEO, False).parse(short).rows) == 200


IDS = ["0", "7", "00012", "18446744073709551615", "9223372036854775808", "0" * 30 + "5", "123456789012345678"]
BAD_IDS = ["", "18446744073709551616", "99999999999999999999", "1" * 21, "9" * 5000]
BAD_IDS += ["-1", "+1", "1.0", "x", "1x", "\u0663"]
NUMBERS = ["0.05", "1", "-2.5e-3", "+.5", "5.", "1e23", "3.141592653589793238462643", "1e-400", "3.4028234663852886e38"]
BAD_NUMBERS = ["", "1e39", "-1e39", "1e400", "nan", "-inf", "1,5", "e", "--1", "0x1", "3.4028236e38"]


@pytest.mark.parametrize("value_first", [True, False])
@pytest.mark.parametrize("text", [*IDS, *BAD_IDS, *NUMBERS, *BAD_NUMBERS, "1:2", ":", "a b"])
def test_every_value_in_every_kind_of_slot(text: str, value_first: bool) -> None:
    lines = []
    for slot in ("label", "1", "a_slot_of_long_name", "d", "another_long_name", "unknown", "", "a_slot_of_long_nam"):
        pair = f"{text}:{slot}" if value_first else f"{slot}:{text}"
        usual = ["3:22", "1:label"] if value_first else ["22:3", "label:1"]
        lines += [" ".join(tokens).encode() for tokens in ([pair, *usual], [*usual, pair], [pair, usual[0]])]
    assert_as_plain(b"\n".join(lines), SMALL, value_first)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"7:2 8:3", "label"),
        (b"", "label"),
        (b"2:1 7:2", "label"),
        (b"01:1 7:2", "label"),
        (b"0:1 7:2 0:1", "label"),
        (b"0:1 7", "token"),
        (b"0:1 7:2:3", "token"),
        (b"0:1 18446744073709551616:2", "number"),
        (b"0:1 x:2", "number"),
        (b"0:1 -1:2", "number"),
        (b"0:1\t7:2", "token"),
        (b"\xff\xfe", "token"),
    ],
)
def test_why_a_row_is_rejected(line: bytes, reason: str) -> None:
    schema = SlotSchema.from_keys("1 2 3")
    parsed = SlotTextParser(schema, True).parse(b"0:1 5:3\n" + line + b"\n1:1 6:2\n")
    assert parsed.rejects == [(1, reason, line)]
    assert parsed.numbers.tolist() == [0, 2] and parsed.count == 3
    assert parsed.rows.ids.tolist() == [5, 6] and parsed.rows.offsets.tolist() == [0, 0, 1, 2, 2]


class Walked(Tuple[str, ...]):
    """Counts how often somebody goes through it."""

    walks = 0

    def __iter__(self) -> Iterator[str]:
        Walked.walks += 1
        return super().__iter__()


@pytest.mark.parametrize("line", [b"garbage", b"a:1 x:1", b"label:1 a:x", b"label:1 a:00000000000000000000007"])
def test_an_unusual_row_does_not_go_through_all_slots(line: bytes) -> None:
    parser = SlotTextParser(SlotSchema("label", Walked(["a", "b"])), False)
    walks = []
    for rows in (2, 50):
        before = Walked.walks
        parser.parse((line + b"\n") * rows)
        walks.append(Walked.walks - before)
    assert walks[1] <= walks[0]


def test_id_0_is_kept_and_unknown_slots_are_passed_over() -> None:
    parsed = SlotTextParser(SlotSchema.from_keys("1 2"), True).parse(b"0:2 1:1 9:9 abc:77 0:2")
    assert parsed.rows.ids.tolist() == [0, 0] and parsed.rejects == []


def test_a_slot_without_all_its_numbers() -> None:
    lines = b"label:1\nlabel:1 d:1\nlabel:1 d:1 d:2\nlabel:1 d:1 d:2 d:3\n"
    parsed = assert_as_plain(lines, SMALL, False)
    assert [reject.reason for reject in parsed.rejects] == ["dense", "dense"]
    assert parsed.rows.dense.tolist() == [[0, 0, 0], [1, 2, 0]]


def test_far_too_many_numbers_go_nowhere() -> None:
    line = b"label:1 " + b"another_long_name:1 " * 50_000
    parsed = SlotTextParser(SMALL, False).parse(b"label:1 d:5 d:6\n" + line)
    assert [(reject.row, reject.reason) for reject in parsed.rejects] == [(1, "dense")]
    assert parsed.rows.dense.tolist() == [[5, 6, 0]]


def test_no_lines() -> None:
    for lines in (b"", b"\n", b"\r\n\n"):
        parsed = assert_as_plain(lines, SMALL, True)
        assert parsed.count == len(parsed.rows) == 0


def tokens(value_first: bool) -> st.SearchStrategy[bytes]:
    slots = st.sampled_from(["label", "1", "22", "a_slot_of_long_name", "d", "another_long_name", "2", "other", ""])
    usual = st.tuples(st.integers(0, 2**64 - 1).map(str), slots)
    label = st.tuples(st.sampled_from("01"), st.just("label"))
    odd = st.tuples(st.sampled_from([*IDS, *BAD_IDS, *NUMBERS, *BAD_NUMBERS]), slots)
    pairs = st.one_of(usual, label, odd).map(lambda pair: ":".join(pair if value_first else pair[::-1]).encode())
    return st.one_of(pairs, pairs, pairs, st.sampled_from([b"", b":", b"7", b"1:2:3", b"\x00", b"\r", b"\t"]))


@ANY_BYTES
@given(st.data(), st.booleans())
def test_any_tokens(data: st.DataObject, value_first: bool) -> None:
    label = b"1:label" if value_first else b"label:1"
    row = st.lists(tokens(value_first), max_size=8).map(lambda found: b" ".join([*found, label]))
    rows = data.draw(st.lists(st.one_of(row, st.lists(tokens(value_first)).map(b" ".join)), max_size=6))
    assert_as_plain(b"\n".join(rows), SMALL, value_first)


@ANY_BYTES
@given(st.one_of(st.binary(max_size=300), st.text(": \n\r01d2\x00", max_size=200).map(str.encode)), st.booleans())
def test_any_bytes(lines: bytes, value_first: bool) -> None:
    assert_as_plain(lines, SlotSchema.from_keys("1 2 0", "d:2"), value_first)


@pytest.mark.parametrize("value_first", [True, False])
def test_many_rows_with_some_bytes_changed(value_first: bool) -> None:
    """Seeded: real looking rows of which every tenth has a byte replaced, taken out or put in."""
    rng = random.Random(3)
    lines = []
    for _ in range(2000):
        pairs = [(str(rng.randrange(2)), "label")]
        pairs += [(str(rng.randrange(2 ** rng.choice([1, 20, 64]))), rng.choice(SMALL.sparse)) for _ in range(20)]
        pairs += [(repr(rng.uniform(-9, 9)), "d"), ("0.5", "d"), ("1e3", "another_long_name")]
        rng.shuffle(pairs)
        line = bytearray(" ".join(":".join(pair if value_first else pair[::-1]) for pair in pairs), "ascii")
        if rng.random() < 0.1:
            place = rng.randrange(len(line))
            line[place : place + rng.randrange(2)] = bytes([rng.choice(b"0: \r\xff\x00x")][: rng.randrange(2)])
        lines.append(bytes(line))
    parsed = assert_as_plain(b"\n".join(lines), SMALL, value_first)
    assert len(parsed.rows) > 1750 and len(parsed.rejects) > 50
