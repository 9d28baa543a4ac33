"""A file of rows: in blocks of any size, and every damage of it."""

import dataclasses
import os

import numpy as np
import pytest
from crc32c import crc32c

from mindspore_rec.checkpoint import sparse_shard
from mindspore_rec.checkpoint.errors import CheckpointError
from mindspore_rec.checkpoint.sparse_meta import columns_of, layout_of, names_of
from mindspore_rec.checkpoint.sparse_shard import ShardLines, write_rows
from tests.checkpoint.table_rows_examples import SLOTS, part_of, random_rows

ROWS = random_rows(1, 40, slots=SLOTS["shared"])
NAMES = names_of(columns_of(*layout_of("deep", ROWS)))


def read(path, shard, names=NAMES):
    lines = ShardLines(path, shard, names)
    ids, days = np.zeros(lines.room, np.uint64), np.zeros(lines.room, np.int32)
    numbers = np.zeros((lines.room, len(names) - 2), np.float32)
    lines.read(ids, days, numbers)
    return ids, days, numbers


def check(found, rows):
    ids, days, numbers = found
    np.testing.assert_array_equal(ids, rows.ids.view(np.uint64))
    np.testing.assert_array_equal(days, rows.unseen_days)
    columns = [rows.slots["delta_score"], rows.show[:, None], rows.click[:, None], rows.weights, rows.slots["g2sum"]]
    expected = np.concatenate(columns, axis=1)
    np.testing.assert_array_equal(numbers.view(np.uint32), expected.view(np.uint32))


@pytest.fixture
def file(tmp_path):
    """A file of rows, what is known of it, and its bytes."""
    path = tmp_path / "deep-000.txt"
    return path, write_rows(path, ROWS), path.read_bytes()


def failure(path, shard):
    with pytest.raises(CheckpointError) as error:
        read(path, shard)
    assert "\n" not in str(error.value)
    assert str(error.value).startswith(f"{path}")
    return str(error.value)[len(f"{path}") :]


@pytest.mark.parametrize("block", [1, 300, 1000, 1 << 20])
@pytest.mark.parametrize("count", [0, 1, 2, 40])
def test_blocks_are_no_matter(tmp_path, monkeypatch, block, count):
    rows = part_of(ROWS, slice(0, count))
    whole = write_rows(tmp_path / "whole.txt", rows)
    monkeypatch.setattr(sparse_shard, "_BLOCK_BYTES", block)
    shard = write_rows(tmp_path / "blocks.txt", rows)
    content = (tmp_path / "blocks.txt").read_bytes()
    assert content == (tmp_path / "whole.txt").read_bytes()
    assert content.count(b"\n") == count == shard.rows
    assert (shard.bytes, shard.crc32c) == (len(content), f"{crc32c(content):08x}") == (whole.bytes, whole.crc32c)
    check(read(tmp_path / "blocks.txt", shard), rows)


def test_lines_are_what_the_page_says(file):
    _, _, content = file
    line = content.split(b"\n")[7].decode().split(" ")
    assert line[:2] == [str(int(ROWS.ids[7]) % 2**64), str(ROWS.unseen_days[7])]
    expected = [
        ROWS.slots["delta_score"][7, 0],
        ROWS.show[7],
        ROWS.click[7],
        *ROWS.weights[7],
        ROWS.slots["g2sum"][7, 0],
    ]
    assert [np.float32(number) for number in line[2:]] == expected
    assert NAMES == ["id", "unseen_days", "delta_score", "show", "click", "weight_0", "weight_1", "weight_2", "g2sum"]


@pytest.mark.parametrize("block", [300, 1 << 20])
def test_a_file_cut_anywhere_is_refused_with_its_line(file, monkeypatch, block):
    path, shard, content = file
    monkeypatch.setattr(sparse_shard, "_BLOCK_BYTES", block)
    for size in range(0, len(content), 7):
        path.write_bytes(content[:size])
        line = content[:size].count(b"\n") + 1
        whole = size == 0 or content[size - 1 : size] == b"\n"
        expected = "expected 40 rows, but the file ends here" if whole else "cut off: it does not end"
        assert failure(path, shard) == f": line {line}: {expected}"


def test_every_changed_byte_is_noticed(tmp_path):
    path, rng = tmp_path / "a.txt", np.random.default_rng(2)
    shard = write_rows(path, part_of(ROWS, slice(0, 12)))
    content = path.read_bytes()
    for place in range(len(content)):
        damaged = bytearray(content)
        damaged[place] ^= 1 << int(rng.integers(0, 8))
        path.write_bytes(damaged)
        assert failure(path, shard)


@pytest.mark.parametrize(
    ("column", "text", "what"),
    [
        (0, "-1", "column id: '-1': expected an unsigned 64-bit number"),
        (0, "18446744073709551616", "column id: '18446744073709551616': expected an unsigned 64-bit number"),
        (1, "2147483648", "column unseen_days: '2147483648': expected whole days, less than 2**31"),
        (3, "1,5", "column show: '1,5': expected a finite number"),
        (6, "nan", "column weight_1: 'nan': expected a finite number"),
        (6, "-inf", "column weight_1: '-inf': expected a finite number"),
        (8, "1e39", "column g2sum: '1e39': expected a finite number"),
        (8, "", "column g2sum: '': expected a finite number"),
        (4, "9" * 70, f"column click: '{'9' * 66}': expected a finite number"),
        (4, "\xff", "column click: '\\ufffd\\ufffd': expected a finite number"),
        (4, "1 2", "expected 9 columns, found 10"),
        (8, "1 ", "expected 9 columns, found 10"),
        (4, None, "expected 9 columns, found 8"),
        (4, "0\n0", "expected 9 columns, found 5"),
        (4, "1" * 20_000, "longer than 585 bytes"),
    ],
)
def test_damage_is_named(file, monkeypatch, column, text, what):
    path, shard, content = file
    monkeypatch.setattr(sparse_shard, "_BLOCK_BYTES", 1500)
    lines = content.decode().split("\n")
    words = lines[29].split(" ")
    words[column : column + 1] = [] if text is None else [text]
    lines[29] = " ".join(words)
    path.write_text("\n".join(lines), "utf-8")
    assert failure(path, shard).encode("ascii", "backslashreplace").decode() == f": line 30: {what}"


def test_more_rows_than_were_written(file):
    path, shard, content = file
    path.write_bytes(content + content[: content.index(b"\n") + 1])
    assert failure(path, shard) == ": line 41: expected 40 rows"


def test_other_numbers_than_were_written(file):
    path, shard, content = file
    lines = content.split(b"\n")
    number = lines[3].split(b" ")[1]
    assert len(number) == 10
    path.write_bytes(content.replace(number, number[:-1] + (b"1" if number[-1:] == b"0" else b"0")))
    assert failure(path, shard) == " is damaged: its checksum is not that of the .meta file"


def test_numbers_that_fractions_have_to_read(tmp_path):
    rows = random_rows(3, 200, slots=SLOTS["shared"])
    rows.weights[:] = np.float32(1e-45) * np.arange(600).reshape(200, 3)
    rows.slots["g2sum"][::3] = 1e-44
    path = tmp_path / "a.txt"
    check(read(path, write_rows(path, rows)), rows)


@pytest.mark.parametrize("where", ["weights", "show", "click", "g2sum", "delta_score"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_not_written(tmp_path, monkeypatch, where, value):
    monkeypatch.setattr(sparse_shard, "_BLOCK_BYTES", 500)
    rows = random_rows(4, 40, slots=SLOTS["shared"])
    (rows.slots[where] if where in rows.slots else getattr(rows, where)).reshape(40, -1)[17, 0] = value
    path = tmp_path / "a.txt"
    id_ = int(rows.ids[17]) % 2**64
    with pytest.raises(CheckpointError, match=rf"^{path} was not written: the row of id {id_} has a value that .*$"):
        write_rows(path, rows)
    assert os.listdir(tmp_path) == []


def test_a_file_too_small_for_its_rows_costs_no_memory(file):
    path, shard, _ = file
    assert ShardLines(path, shard, NAMES).room == 40
    many = shard.model_copy(update={"rows": 2**31 - 1})
    assert ShardLines(path, many, NAMES).room == shard.bytes // 18
    assert failure(path, many) == f": line 41: expected {2**31 - 1} rows, but the file ends here"


def test_files_that_cannot_be_read(tmp_path, file):
    _, shard, _ = file
    assert failure(tmp_path / "none.txt", shard) == " cannot be read: No such file or directory"
    assert failure(tmp_path, shard) == " cannot be read: Is a directory"


def test_arrays_in_any_layout(tmp_path):
    values = np.asfortranarray(np.arange(12, dtype=np.float32).reshape(4, 3))
    rows = dataclasses.replace(part_of(ROWS, slice(0, 4)), weights=values, show=values[:, 1])
    rows = dataclasses.replace(rows, ids=np.arange(8)[::2], unseen_days=np.arange(8, dtype=np.int32)[::2])
    path = tmp_path / "a.txt"
    check(read(path, write_rows(path, rows)), rows)
