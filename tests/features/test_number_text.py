"""float32 as text: it reads as the same number, in few digits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mindspore_rec.features.number_text import text_of_rows


def texts(values: np.ndarray) -> list[str]:
    return [text[1:].decode() for text in text_of_rows(values.astype(np.float32).reshape(-1, 1))]


@given(st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=50))
@settings(max_examples=100)
def test_any_bits(bits: list[int]) -> None:
    values = np.array(bits, np.uint32).view(np.float32)
    read = np.array(texts(values), dtype=np.float64).astype(np.float32)
    finite = ~np.isnan(values)
    assert read[finite].view(np.uint32).tolist() == values[finite].view(np.uint32).tolist()
    assert np.isnan(read[~finite]).all()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (-0.0, "-0"),
        (1, "1"),
        (-2.5, "-2.5"),
        (0.1, "0.1"),
        (1 / 3, "0.33333334"),
        (1200, "1200"),
        (123456.7, "123456.7"),
        (987654336, "987654340"),
        (1e9, "1e9"),
        (1e-4, "0.0001"),
        (-1.2345678e-4, "-0.00012345678"),
        (9.9999997e-5, "0.0001"),
        (1e-5, "1e-5"),
        (1e-45, "1e-45"),
        (3.4028235e38, "3.4028235e38"),
        (np.nan, "nan"),
        (-np.nan, "nan"),
        (np.inf, "inf"),
        (-np.inf, "-inf"),
    ],
)
def test_layout(value: float, text: str) -> None:
    assert texts(np.array([value])) == [text]


def test_rows() -> None:
    values = np.arange(6, dtype=np.float32).reshape(3, 2)
    assert text_of_rows(values) == [b":0:1", b":2:3", b":4:5"]
    assert text_of_rows(values.T) == [b":0:2:4", b":1:3:5"]
    assert text_of_rows(values[:, :0]) == [b"", b"", b""]
    assert text_of_rows(values[:0]) == []
