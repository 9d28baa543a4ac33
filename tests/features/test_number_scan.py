from __future__ import annotations

import json
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mindspore_rec.features.number_scan import read_integers, scan_number, scan_unsigned
from mindspore_rec.features.reference import RowRejected, parse_number
from mindspore_rec.features.words import PADDING
from tests.features.rows import BAD_NUMBERS, NUMBERS, ODD_NUMBERS

TEXTS = st.one_of(
    st.sampled_from(NUMBERS + ODD_NUMBERS + BAD_NUMBERS),
    st.text("0123456789+-.eE", max_size=30),
    st.floats().map(repr),
    st.decimals(allow_nan=False, allow_infinity=False).map(str),
    st.integers().map(str),
)


def buffer_of(data: bytes) -> np.ndarray:
    return np.frombuffer(data + b"\t" + bytes(PADDING), np.uint8)


def bits(value: float) -> bytes:
    return struct.pack("<d", value)


@given(TEXTS)
def test_what_is_read_is_exact(text: str) -> None:
    data = text.encode()
    plain, value, stop = scan_number(buffer_of(data), 0, False)
    if plain and stop == len(data):
        assert bits(value) == bits(parse_number(data))


@given(TEXTS)
def test_what_is_read_strictly_is_json(text: str) -> None:
    data = text.encode()
    plain, value, stop = scan_number(buffer_of(data), 0, True)
    if plain and stop == len(data):
        assert bits(value) == bits(float(json.loads(text, parse_int=float)))


@pytest.mark.parametrize("text", ["0", "-0", "5", "1382", "-2.25", "0.1", "1e3", "1.5e-3", "123456789012345"])
def test_usual_numbers_are_read(text: str) -> None:
    plain, value, stop = scan_number(buffer_of(text.encode()), 0, True)
    assert plain and stop == len(text) and bits(value) == bits(float(text))


@pytest.mark.parametrize("text", ["01", "+1", ".5", "5.", "-", "1.e3", ""])
def test_other_grammars_are_no_json(text: str) -> None:
    plain, _, stop = scan_number(buffer_of(text.encode()), 0, True)
    assert not (plain and stop == len(text))


@given(st.lists(st.sampled_from(NUMBERS) | TEXTS.filter(lambda text: "\t" not in text), min_size=1, max_size=13))
def test_read_integers(texts: list[str]) -> None:
    parts = [text.encode() for text in texts]
    buffer = np.frombuffer(b"\t" + b"\t".join(parts) + b"\t" + bytes(PADDING), np.uint8)
    stops = np.cumsum([0] + [len(part) + 1 for part in parts])
    magnitudes, signs = np.empty(len(parts), np.int64), np.empty(len(parts), np.int64)
    seen = read_integers(buffer, stops, magnitudes, signs)
    are_short = [part == b"" or (len(part) <= 8 and part[part[:1] == b"-" :].isdigit()) for part in parts]
    assert (seen >= 0) == all(are_short)
    if seen >= 0:
        values = [float(m) * float(s) for m, s in zip(magnitudes, signs)]
        assert [bits(v) for v in values] == [bits(float(part or b"0")) for part in parts]
        assert seen == np.bitwise_or.reduce(magnitudes)


@pytest.mark.parametrize("text", BAD_NUMBERS)
def test_bad_numbers_are_rejected(text: str) -> None:
    with pytest.raises(RowRejected) as caught:
        parse_number(text.encode())
    finite = text.strip("+-").lower() not in ("nan", "inf", "infinity") and "999" not in text and "309" not in text
    assert str(caught.value) == ("number" if finite else "non-finite")


UNSIGNED = st.one_of(
    st.integers(0, 2**64 + 10**6).map(str),
    st.integers(2**64 - 3, 2**64 + 3).map(str),
    st.integers(10**19 - 2, 10**19 + 2).map(str),
    st.text("0123456789", max_size=30),
    st.text("0123456789:+- /\x00", max_size=25),
)


@settings(max_examples=1000)
@given(UNSIGNED, st.sampled_from(["", ":", " ", "/", "x"]))
def test_scan_unsigned(digits: str, behind: str) -> None:
    text = digits + behind
    plain, value, stop = scan_unsigned(buffer_of(text.encode()), 0)
    count = len(text) - len(text.lstrip("0123456789"))
    fits = 1 <= count <= 20 and int(text[:count]) < 2**64
    assert plain == fits
    if fits:
        assert (int(value), stop) == (int(text[:count]), count)
