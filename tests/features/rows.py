"""Rows to test feature engines with: Criteo's look, and everything that can go wrong."""

from __future__ import annotations

import json
import math
import random
from typing import Any, Dict, List, Optional, Tuple

from hypothesis import strategies as st

Dictionaries = Tuple[Dict[str, Any], Dict[str, Any], Dict[str, int]]

NUMBERS = ["", "0", "-0", "1", "-1", "-3", "7", "12", "1382", "65535", "65536", "1234567", "12345678", "123456789"]
ODD_NUMBERS = ["+5", "007", ".5", "5.", "1.5", "-2.25", "0.1", "3.141592653589793238462643", "-0.0", "0e999"]
ODD_NUMBERS += ["1e3", "1E+3", "2.5e-3", "1e22", "1e23", "4.9e-324", "1e-400", "1.7976931348623157e308"]
ODD_NUMBERS += ["9007199254740993", "98765432109876543.1", "123456789012345678e3", "123456789012345678901234567890"]
BAD_NUMBERS = [
    "-",
    "+",
    ".",
    "-.",
    "e",
    "1e",
    "1e+",
    "--1",
    "1-",
    "1 ",
    " 1",
    "1_0",
    "0x10",
    "abc",
    "1,5",
    "1.2.3",
    "\r",
]
BAD_NUMBERS += ["١", "１", "nan", "NaN", "-nan", "inf", "-inf", "Infinity", "+INF", "infinit", "1e309", "-1e999"]
CATEGORIES = ["", "68fd1e64", "05db9164", "a", "1234567", "123456789", "fifteen letters", "x" * 16, "y" * 40]
CATEGORIES += ["推荐", "é"]
ODD_CATEGORIES = ['quo"te', "back\\slash", "\0", "\x01", "\x7f", "\u2028", "😀", "[1,2]", "NaN", "null", " ", "\r"]


def plain_fields(rng: random.Random, dense_dim: int = 13, slot_dim: int = 26) -> List[str]:
    """Texts of a good row, the label first, with values every parser knows."""
    return [
        rng.choice("01"),
        *(rng.choice(NUMBERS) for _ in range(dense_dim)),
        *(f"{rng.randrange(2000):08x}" if rng.random() < 0.7 else rng.choice(CATEGORIES) for _ in range(slot_dim)),
    ]


def line_of(fields: List[str]) -> bytes:
    return "\t".join(fields).encode()


def json_of(fields: List[str], dense_dim: int = 13) -> bytes:
    """The row as a producer writes it: numbers, strings, null."""
    numbers: List[Optional[int]] = [int(text) if text else None for text in fields[: 1 + dense_dim]]
    return json.dumps([*numbers, *(text or None for text in fields[1 + dense_dim :])]).encode()


def dictionaries(dense_dim: int = 13, slot_dim: int = 26, values: int = 60) -> Dictionaries:
    """Small dictionaries that know some values of each field; I2 has one value only."""
    largest = {f"I{i + 1}": 100.0 + i for i in range(dense_dim)}
    smallest = {f"I{i + 1}": -1.0 for i in range(dense_dim)}
    if dense_dim > 1:
        largest["I2"] = smallest["I2"] = 1
    ids = {f"I{i + 1}": i for i in range(dense_dim)}
    ids.update({f"OOVC{i + 1}": dense_dim + i for i in range(slot_dim)})
    for i in range(slot_dim):
        for value in [*CATEGORIES[i % 2 :], *(f"{k:08x}" for k in range(values)), "a_b"]:
            ids[f"C{i + 1}_{value}"] = len(ids)
    return largest, smallest, ids


_number_texts = st.sampled_from(NUMBERS) | st.sampled_from(ODD_NUMBERS) | st.floats(allow_nan=False).map(repr)
_any_number_text = st.one_of(
    _number_texts,
    st.sampled_from(BAD_NUMBERS),
    st.integers(-(10**20), 10**20).map(str),
    st.text("0123456789+-.eE", max_size=12),
)
_category_texts = st.sampled_from(CATEGORIES) | st.sampled_from(ODD_CATEGORIES) | st.text(max_size=20)


def mostly(usual: st.SearchStrategy[Any], rare: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """The usual four times out of five, so that whole rows have a chance to be good."""
    return st.integers(0, 4).flatmap(lambda n: rare if n == 0 else usual)


def line_rows(dense_dim: int, slot_dim: int) -> st.SearchStrategy[bytes]:
    """Lines, most of them good or bad in one place only."""
    fields = st.tuples(
        mostly(st.sampled_from("01"), st.sampled_from(["", "2", "00", "1.0", "-1", "x", "01"])),
        *[mostly(_number_texts, _any_number_text)] * dense_dim,
        *[_category_texts] * slot_dim,
    ).map(lambda texts: "\t".join(texts).encode("utf-8", "surrogatepass"))
    return fields | st.tuples(fields, st.integers(0, 200), st.binary(max_size=4)).map(_damage)


def _damage(drawn: Tuple[bytes, int, bytes]) -> bytes:
    """The row with a few bytes put over it at a position."""
    row, position, noise = drawn
    position %= len(row) + 1
    return row[:position] + noise + row[position + len(noise) // 2 :]


_json_scalars = st.one_of(
    _category_texts,
    _any_number_text,
    st.integers(-(10**20), 10**20),
    st.floats(),
    st.none(),
    st.booleans(),
    st.just([]),
    st.just({"a": 1}),
    st.just("\ud800"),
)


def _dump(drawn: Tuple[List[Any], str, bool]) -> bytes:
    values, separator, ascii_only = drawn
    return json.dumps(values, separators=(separator, ":"), ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")


def json_rows(dense_dim: int, slot_dim: int) -> st.SearchStrategy[bytes]:
    """JSON messages, most of them good or bad in one place only."""
    number = st.sampled_from([None, math.nan, 0, 1, -2, 1.0, 0.5, 1e3, 123456, "", "5", "-1.5"])
    values = st.tuples(
        mostly(st.sampled_from([0, 1, 0.0, 1.0, "0", "1"]), _json_scalars),
        *[mostly(number, _json_scalars)] * dense_dim,
        *[mostly(_category_texts | st.none(), _json_scalars)] * slot_dim,
    ).map(list)
    rows = st.tuples(values, st.sampled_from([",", ", ", " ,\n\t"]), st.booleans()).map(_dump)
    return rows | st.tuples(rows, st.integers(0, 200), st.binary(max_size=4)).map(_damage)
