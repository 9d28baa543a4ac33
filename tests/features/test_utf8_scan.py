from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mindspore_rec.features.utf8_scan import is_ascii, is_utf8
from mindspore_rec.features.words import PADDING

NEAR_MISSES = st.lists(
    st.sampled_from(
        [b"a", b"\x7f", b"\x80", b"\xbf", b"\xc0", b"\xc1", b"\xc2", b"\xdf", b"\xe0", b"\xed", b"\xef", b"\xf0"]
    )
    | st.sampled_from(
        [b"\xf4", b"\xf5", b"\xff", b"\x8f", b"\x90", b"\x9f", b"\xa0", "é推😀".encode(), b"\xed\xa0\x80"]
    ),
    max_size=40,
).map(b"".join)


def valid(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


@given(NEAR_MISSES | st.binary(max_size=200) | st.text(max_size=80).map(str.encode), st.binary(max_size=9), st.binary())
@example("é".encode()[:1], b"", "é".encode()[1:])
def test_agrees_with_python_whatever_is_around(data: bytes, before: bytes, behind: bytes) -> None:
    buffer = np.frombuffer(before + data + behind + bytes(PADDING), np.uint8)
    start, end = len(before), len(before) + len(data)
    assert is_utf8(buffer, start, end) == valid(data)
    assert is_ascii(buffer, start, end) == data.isascii()


@pytest.mark.parametrize("position", range(0, 140, 7))
def test_one_bad_byte_anywhere_is_found(position: int) -> None:
    data = bytearray(b"a" * 140)
    data[position] = 0xFF
    buffer = np.frombuffer(bytes(data) + bytes(PADDING), np.uint8)
    assert not is_utf8(buffer, 0, 140)
    assert is_utf8(buffer, position + 1, 140) and is_utf8(buffer, 0, position)
