"""float32 as text: it reads as the same number, in few digits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mindspore_rec.features.number_text import LONGEST, text_of_rows

BITS = np.uint32


def texts(values: np.ndarray) -> list[str]:
    return [text[1:].decode() for text in text_of_rows(values.astype(np.float32).reshape(-1, 1))]


def digits(text: str) -> int:
    """Significant digits of a number."""
    return len(text.lstrip("-").split("e")[0].replace(".", "").strip("0"))


def assert_few_and_exact(values: np.ndarray, most_longer: int = 0) -> None:
    """Some may be a digit longer than need be, where a shorter decimal is exactly between two float32."""
    written = texts(values)
    read = np.array(written, dtype=np.float64).astype(np.float32)
    assert read.view(BITS).tolist() == values.view(BITS).tolist()
    shortest = [digits(np.format_float_scientific(value)) for value in values]
    longer = sum(digits(text) > count for text, count in zip(written, shortest))
    assert longer <= most_longer
    assert all(digits(text) >= count for text, count in zip(written, shortest))
    assert max(len(text) for text in written) < LONGEST


@given(st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=50))
@settings(max_examples=100)
def test_any_bits(bits: list[int]) -> None:
    values = np.array(bits, BITS).view(np.float32)
    finite = values[np.isfinite(values)]
    if len(finite):
        assert_few_and_exact(finite, most_longer=len(finite) // 50 + 1)


def test_weights() -> None:
    rng = np.random.default_rng(0)
    assert_few_and_exact((rng.standard_normal(20_000) * 10.0 ** rng.integers(-9, 6, 20_000)).astype(np.float32))


@pytest.mark.parametrize("toward", [-np.inf, 0, np.inf])
def test_numbers_beside_powers_of_ten_and_of_two(toward: float) -> None:
    tens = np.array([f"1e{power}" for power in range(-44, 39)], np.float64).astype(np.float32)
    twos = np.float32(2) ** np.arange(-148, 128, dtype=np.float32)
    for powers in (tens, twos, -tens):
        assert_few_and_exact(powers, most_longer=3)
        beside = np.nextafter(powers, np.float32(toward))
        assert_few_and_exact(beside[np.isfinite(beside)], most_longer=3)


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
        (1e9, "1e+09"),
        (1e-4, "0.0001"),
        (-1.2345678e-4, "-0.00012345678"),
        (9.9999997e-5, "0.0001"),
        (1e-5, "1e-05"),
        (1e-45, "1e-45"),
        (3.4028235e38, "3.4028235e+38"),
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
