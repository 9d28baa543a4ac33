"""Float32 as text, against numpy's shortest digits and against fractions."""

from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mindspore_rec.features.float_text import IN_DOUBT, LONGEST, NO_NUMBER, NUMBER, float_of, put_float, scan_float

LARGEST = float(np.finfo(np.float32).max)
BITS = st.integers(0, 2**32 - 1).filter(lambda bits: bits >> 23 & 255 < 255)
EXPONENTS = range(255)
SPECIAL = [
    bits
    for exponent in EXPONENTS
    for bits in (exponent << 23, (exponent << 23) + 1, (exponent << 23) + (1 << 23) - 1, (exponent << 23) + (1 << 22))
]


def float32(bits):
    return np.uint32(bits).view(np.float32)


def written(bits):
    out = np.zeros(LONGEST + 1, np.uint8)
    end = put_float(out, 0, np.uint32(bits))
    assert not out[end:].any()
    return out[:end].tobytes().decode()


def read(text):
    """What is found, the float32 and the text after it."""
    found, number, position = scan_float(np.frombuffer(f"{text} ".encode(), np.uint8), 0)
    return found, np.float32(number), text[position:]


def value_of(text):
    found, number, rest = read(text)
    assert found != NO_NUMBER and rest == ""
    assert found == IN_DOUBT or number.view(np.uint32) == float_of(text).view(np.uint32)
    return float_of(text)


def digits_of(text):
    return text.lstrip("-").split("e")[0].replace(".", "").strip("0")


def check(bits):
    text, number = written(bits), float32(bits)
    assert len(text) <= LONGEST
    assert digits_of(text) == digits_of(np.format_float_scientific(number, unique=True, trim="-"))
    assert value_of(text).view(np.uint32) == bits
    assert float(Decimal(text)) == pytest.approx(float(number), rel=1e-6)


@given(BITS)
def test_the_fewest_digits_that_read_back_as_the_same_bits(bits):
    check(bits)


def test_powers_of_two_and_their_neighbours():
    for bits in SPECIAL:
        check(bits)
        check(bits | 1 << 31)


@given(st.integers(-(10**9), 10**9), st.integers(-6, 3))
def test_short_decimals_are_written_as_they_are(digits, power):
    text = written(np.float32(digits * 10.0**power).view(np.uint32))
    number = Decimal(digits).scaleb(power)
    if len(digits_of(str(digits))) <= 6:
        assert Decimal(text) == number


@pytest.mark.parametrize(
    ("number", "text"),
    [
        *(
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (-1.5, "-1.5"),
            (0.1, "0.1"),
            (100.0, "100"),
            (123456789.0, "123456790"),
        ),
        *((1e9, "1e9"), (1.5e9, "1.5e9"), (999999936.0, "999999940"), (0.0001, "0.0001"), (0.00001, "1e-5")),
        *((9.8741e-5, "9.8741e-5"), (1.2345679e-4, "0.00012345679"), (-1.1754944e-38, "-1.1754944e-38")),
        *((1e-45, "1e-45"), (LARGEST, "3.4028235e38"), (16777216.0, "16777216"), (33554432.0, "33554432")),
    ],
)
def test_the_form(number, text):
    assert written(np.float32(number).view(np.uint32)) == text


def nearest(exact):
    """The float32 nearest to a fraction, found by bisection over bits."""
    if exact < 0:
        return -nearest(-exact)
    low, high = 0, 0x7F7FFFFF
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if Fraction(float(float32(middle))) <= exact else (low, middle - 1)
    if low == 0x7F7FFFFF:
        return float32(low)
    below, above = (Fraction(float(float32(bits))) for bits in (low, low + 1))
    up = exact - below > above - exact or (exact - below == above - exact and low % 2 == 1)
    return float32(low + up)


DECIMALS = st.builds(
    lambda sign, whole, part, power: f"{sign}{whole}{part}{power}",
    st.sampled_from(["", "-"]),
    st.one_of(st.integers(0, 10**9), st.integers(0, 10**22)).map(str),
    st.one_of(st.just(""), st.from_regex(r"\A\.[0-9]{1,24}\Z")),
    st.one_of(st.just(""), st.integers(-60, 37).map(lambda power: f"e{power}"), st.just("e+3")),
)


@given(DECIMALS)
@example("1.00000017881393432617187499")  # float64 rounds both of these to the middle of two float32
@example("1.00000017881393432617187501")
@example("1.000000178813934326171875")
@example("1.0000001788139344")
@example("16777217")
@example("0.00000000000000000000000000000000000000000000001e5")
@example("7.006492321624085e-46")  # about half of the smallest
@example("340282346638528859811704183484516925440")
def test_any_decimal_is_read_as_the_nearest(text):
    exact = Fraction(Decimal(text))
    if abs(exact) > Fraction(LARGEST):
        return
    found = value_of(text)
    assert found == nearest(exact)
    assert np.signbit(found) == text.startswith("-")


@pytest.mark.parametrize("text", ["3.5e38", "1e39", "1e999", "4" + 38 * "0"])
def test_what_is_too_large_is_infinite(text):
    assert read(text)[0] == IN_DOUBT
    assert np.isposinf(float_of(text)) and np.isneginf(float_of(f"-{text}"))


@pytest.mark.parametrize("text", ["0", "0.000", "0e99", "-0", "-0.0e-999"])
def test_zeros(text):
    found, number, rest = read(text)
    assert (found, number, rest) == (NUMBER, 0.0, "")
    assert np.signbit(number) == text.startswith("-")


@pytest.mark.parametrize("text", ["", "-", ".", "1.", ".5", "-.5", "1e", "1e+", "1e-", "e5", "nan", "-inf", "+1"])
def test_no_numbers(text):
    assert read(text)[0] == NO_NUMBER


@pytest.mark.parametrize("text", ["1,5", "1e5.0", "1x", "1e1000", "0x10", "1_000", "1f", "1E5", "١"])
def test_what_follows_a_number_is_left(text):
    found, _, rest = read(text)
    assert found == NO_NUMBER or rest


def test_so_many_digits_and_no_more():
    assert read("1" * 64)[0] == IN_DOUBT
    assert read("0" * 63 + "1")[:2] == (NUMBER, 1.0)
    assert read("0" * 64 + "1")[0] == NO_NUMBER
