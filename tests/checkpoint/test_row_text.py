"""Lines of rows, against lines made with str and split."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mindspore_rec.checkpoint import row_text
from mindspore_rec.checkpoint.row_text import (
    END,
    OPEN,
    PADDING,
    TOO_FEW,
    TOO_MANY,
    TOO_MANY_ROWS,
    WRONG_NUMBER,
    longest_line,
    put_rows,
    scan_rows,
)
from mindspore_rec.features.float_text import IN_DOUBT, LONGEST, put_float, scan_float

WIDTH = 3


def in_doubt(number):
    """Whether it is one of those that `float_of` has to read."""
    out = np.zeros(LONGEST + 1, np.uint8)
    put_float(out, 0, np.float32(number).view(np.uint32))
    return scan_float(out, 0)[0] == IN_DOUBT


IDS = st.one_of(st.integers(0, 2**64 - 1), st.integers(0, 200))
NUMBERS = st.floats(width=32, allow_nan=False, allow_infinity=False).filter(lambda number: not in_doubt(number))
DAYS = st.integers(0, 2**31 - 1)
ROWS = st.lists(st.tuples(IDS, DAYS, st.lists(NUMBERS, min_size=WIDTH, max_size=WIDTH)), min_size=1, max_size=9)


def written(ids, days, numbers):
    ids, days = np.array(ids, np.uint64), np.array(days, np.int32)
    numbers = np.array(numbers, np.float32).reshape(ids.size, -1)
    out = np.zeros(ids.size * longest_line(numbers.shape[1]) + 1, np.uint8)
    return out[: put_rows(ids, days, numbers.view(np.uint32), out)].tobytes().decode()


def read(text, rows, width=WIDTH, resume=(0, 0, 0)):
    """Why and where it stopped, and what it filled."""
    buffer = np.frombuffer(text.encode() + b"7" * PADDING, np.uint8)
    ids, days, numbers = np.zeros(rows, np.uint64), np.zeros(rows, np.int32), np.zeros((rows, width), np.float32)
    stopped = scan_rows(buffer, resume[0], len(text), ids, days, numbers, *resume[1:])
    return stopped, ids.tolist(), days.tolist(), numbers.tolist()


@given(ROWS)
def test_there_and_back(rows):
    text = written(*([row[k] for row in rows] for k in range(3)))
    lines = [line.split(" ") for line in text.splitlines()]
    assert [(int(line[0]), int(line[1]), [float(np.float32(v)) for v in line[2:]]) for line in lines] == rows
    assert all(line[0] == str(id_) and line[1] == str(days) for line, (id_, days, _) in zip(lines, rows))
    stopped, ids, days, numbers = read(text, len(rows))
    assert stopped == (END, len(text), len(rows), 0)
    assert (ids, days, numbers) == ([r[0] for r in rows], [r[1] for r in rows], [r[2] for r in rows])


def test_the_longest_line_fits():
    text = written([2**64 - 1], [2**31 - 1], [[-0.000100000005, -1.00000005e-20, -3.4028235e38]])
    assert text == "18446744073709551615 2147483647 -0.000100000005 -1.00000005e-20 -3.4028235e38\n"
    assert len(text) <= longest_line(3)
    assert longest_line(4) - longest_line(3) == 1 + max(len(word) for word in text.split()[2:])


@pytest.mark.parametrize(
    ("text", "why", "place"),
    [
        ("x 2 3 4 5\n", WRONG_NUMBER, (0, 0)),
        ("-1 2 3 4 5\n", WRONG_NUMBER, (0, 0)),
        ("18446744073709551616 2 3 4 5\n", WRONG_NUMBER, (0, 0)),
        (" 1 2 3 4 5\n", WRONG_NUMBER, (0, 0)),
        ("1 2.0 3 4 5\n", WRONG_NUMBER, (2, 1)),
        ("1 2147483648 3 4 5\n", WRONG_NUMBER, (2, 1)),
        ("1 2  3 4 5\n", WRONG_NUMBER, (4, 2)),
        ("1 2 3x 4 5\n", WRONG_NUMBER, (4, 2)),
        ("1 2 nan 4 5\n", WRONG_NUMBER, (4, 2)),
        ("1 2 3 4 1e1000\n", WRONG_NUMBER, (8, 4)),
        ("1 2 3 4 5\r\n", WRONG_NUMBER, (8, 4)),
        ("1 2 3 4\t5\n", WRONG_NUMBER, (6, 3)),
        ("1 2 3 4\n", TOO_FEW, (6, 3)),
        ("1\n", TOO_FEW, (0, 0)),
        ("\n", WRONG_NUMBER, (0, 0)),
        ("1 2 3 4 5 6\n", TOO_MANY, (8, 4)),
        ("1 2 3 4 5 \n", TOO_MANY, (8, 4)),
        ("1 2 3 4 1e-40\n", OPEN, (8, 4)),
        ("1 2 16777217 4 5\n", OPEN, (4, 2)),
    ],
)
def test_where_and_why_it_stops(text, why, place):
    good = "7 0 0.5 1 1\n"
    stopped, ids, _, numbers = read(good + text + good, 3)
    assert stopped == (why, len(good) + place[0], 1, place[1])
    assert (ids[0], numbers[0]) == (7, [0.5, 1, 1])


def test_more_rows_than_there_is_room_for():
    assert read("1 2 3 4 5\n" * 3, 2)[0] == (TOO_MANY_ROWS, 20, 2, 0)


def test_going_on_after_a_number_in_doubt():
    text = "1 2 1e-40 4 5\n6 7 8 9 1e-40\n"
    assert read(text, 2)[0] == (OPEN, 4, 0, 2)
    stopped, ids, days, numbers = read(text, 2, resume=(10, 0, 3))
    assert stopped == (OPEN, 22, 1, 4)
    assert (ids, days, numbers) == ([0, 6], [0, 7], [[0, 4, 5], [8, 9, 0]])
    assert read(text, 2, resume=(len(text), 2, 0))[0][0] == row_text.END
