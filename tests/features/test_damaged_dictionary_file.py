"""Files that are damaged, hostile or of something else are refused, in one line that names the key."""

from __future__ import annotations

import json
import random
import struct
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, Callable, Dict, List

import numpy as np
import pytest
from safetensors.numpy import save_file

from mindspore_rec.features.dictionary_file import DictionaryContent, load_dictionary_file, write_dictionary_file
from mindspore_rec.features.errors import FeatureConfigError
from tests.features.contents import SAME_HASH, content_of

DENSE, SLOTS = 2, 3


def write(folder: Path, content: DictionaryContent) -> str:
    path = folder / "dictionary.safetensors"
    write_dictionary_file(path, content, {})
    return str(path)


def assert_refused(path: str, words: str = "") -> None:
    with pytest.raises(FeatureConfigError) as caught:
        load_dictionary_file(path, DENSE, SLOTS)
    message = str(caught.value)
    assert message.startswith("dictionary: ") and words in message
    assert "\n" not in message and len(message) < 400 + len(path)


@pytest.fixture
def whole(tmp_path: Path) -> bytes:
    return Path(write(tmp_path, content_of([[b"red", b"blue", b""], [], [b"red"]], DENSE))).read_bytes()


def test_no_file(tmp_path: Path) -> None:
    assert_refused(str(tmp_path / "nowhere"), "no such file")
    assert_refused(str(tmp_path), "no such file")


def test_a_truncated_file(tmp_path: Path, whole: bytes) -> None:
    path = tmp_path / "truncated"
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        assert_refused(str(path))
    path.write_bytes(whole + b"\0")
    assert_refused(str(path))


def test_flipped_bytes_are_refused_or_read(tmp_path: Path, whole: bytes) -> None:
    rng = random.Random(2)
    path = tmp_path / "flipped"
    messages = []
    for _ in range(1500):
        flipped = bytearray(whole)
        for _ in range(rng.choice([1, 1, 3])):
            flipped[rng.randrange(len(flipped))] = rng.randrange(256)
        path.write_bytes(flipped)
        try:
            load_dictionary_file(str(path), DENSE, SLOTS)
        except FeatureConfigError as error:
            messages.append(str(error))
    assert 750 < len(messages) < 1500
    assert [text for text in messages if not text.startswith("dictionary: ") or "\n" in text] == []


@pytest.mark.parametrize("data", [b"", b"no safetensors file", b"\x80\x02}.", b"\xff" * 100, bytes(1000)])
def test_other_files(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "other"
    path.write_bytes(data)
    assert_refused(str(path), "expected a file of process_data.py")


@pytest.mark.parametrize("metadata", [None, {}, {"format": "pt"}, {"format": "mindspore_rec dictionary 2\n" * 90}])
def test_other_formats(tmp_path: Path, metadata: Any) -> None:
    path = str(tmp_path / "other")
    save_file({"ids": np.arange(3)}, path, metadata)
    assert_refused(path, "expected 'mindspore_rec dictionary 1'")


def with_header(whole: bytes, change: Callable[[Dict[str, Any]], object]) -> bytes:
    """The file with another header before the same data."""
    (size,) = struct.unpack("<Q", whole[:8])
    header = json.loads(whole[8 : 8 + size])
    change(header)
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + whole[8 + size :]


NAMES = [field.name for field in fields(DictionaryContent)]
DTYPES = {"low": "F64", "high": "F64", "fields": "I32", "values": "U8"}  # I64 the others
SIZES = {"F32": 4, "I32": 4, "U64": 8, "F64": 8, "I64": 8, "BF16": 2, "BOOL": 1, "F8_E4M3": 1, "F8_E5M2": 1, "none": 1}
WRONG = [(name, dtype) for name in NAMES for dtype in SIZES if dtype != DTYPES.get(name, "I64")]


@pytest.mark.parametrize(("name", "dtype"), WRONG)
def test_another_dtype(tmp_path: Path, whole: bytes, name: str, dtype: str) -> None:
    def change(header: Dict[str, Any]) -> None:
        begin, end = header[name]["data_offsets"]
        header[name].update(dtype=dtype, shape=[(end - begin) // SIZES[dtype]])

    path = tmp_path / "changed"
    path.write_bytes(with_header(whole, change))
    assert_refused(str(path))


@pytest.mark.parametrize("name", NAMES)
def test_another_shape_or_none(tmp_path: Path, whole: bytes, name: str) -> None:
    path = tmp_path / "changed"
    path.write_bytes(with_header(whole, lambda header: header[name].update(shape=[1, *header[name]["shape"]])))
    assert_refused(str(path), "expected a whole file")
    path.write_bytes(with_header(whole, lambda header: header.pop(name)))
    assert_refused(str(path))
    arrays = {other: np.zeros(1, np.int64) for other in NAMES if other != name}
    save_file(arrays, str(path), {"format": "mindspore_rec dictionary 1"})
    assert_refused(str(path), name)


TOP = 2**63 - 1
CHANGES: Dict[str, Callable[[DictionaryContent], DictionaryContent]] = {
    "low": lambda c: replace(c, low=c.low[:1]),
    "high": lambda c: replace(c, high=np.append(c.high, 1.0)),
    "number_ids": lambda c: replace(c, number_ids=c.number_ids[:1]),
    "negative number id": lambda c: replace(c, number_ids=np.array([-1, 0])),
    "largest number id": lambda c: replace(c, unknown_ids=np.array([1, 2, TOP])),
    "negative id": lambda c: replace(c, ids=c.ids - 6),
    "largest id": lambda c: replace(c, ids=c.ids + (TOP - c.ids[-1])),
    "too few ids": lambda c: replace(c, ids=c.ids[1:]),
    "too many ids": lambda c: replace(c, ids=np.append(c.ids, 99)),
    "too few counts": lambda c: replace(c, counts=c.counts[1:]),
    "too few fields": lambda c: replace(c, fields=c.fields[1:]),
    "no fields": lambda c: replace(c, fields=c.fields[:0]),
    "negative field": lambda c: replace(c, fields=np.array([0, 0, -1, 2], np.int32)),
    "field out of range": lambda c: replace(c, fields=np.array([0, 0, 0, 3], np.int32)),
    "no offsets": lambda c: replace(c, offsets=c.offsets[:0]),
    "too few offsets": lambda c: replace(c, offsets=c.offsets[1:]),
    "too many offsets": lambda c: replace(c, offsets=np.append(c.offsets, c.offsets[-1])),
    "first offset": lambda c: replace(c, offsets=np.array([1, 3, 7, 7, 10])),
    "last offset": lambda c: replace(c, offsets=np.array([0, 3, 7, 7, 11])),
    "offset falls": lambda c: replace(c, offsets=np.array([0, 7, 3, 7, 10])),
    "offset out of range": lambda c: replace(c, offsets=np.array([0, 3, 2**40, 7, 10])),
    "negative offset": lambda c: replace(c, offsets=np.array([0, -(2**40), 7, 7, 10])),
    "differences overflow": lambda c: replace(c, offsets=np.array([0, TOP, -TOP - 1, -1, 10])),
    "missing bytes": lambda c: replace(c, values=c.values[:-1]),
}


@pytest.mark.parametrize("change", CHANGES)
def test_arrays_that_do_not_go_together(tmp_path: Path, change: str) -> None:
    content = content_of([[b"red", b"blue", b""], [], [b"red"]], DENSE)
    assert len(CHANGES[change](content).fields) <= 4
    assert_refused(write(tmp_path, CHANGES[change](content)), "does not fit the rest; expected a whole file")


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        ([0, 7], [1, 6], "I2 is 6, expected at least its low, 7"),
        ([np.nan, 0], [1, 1], "I1 is 1, expected at least its low, nan"),
        ([0, 0], [1, np.nan], "I2 is nan, expected at least"),
        ([0, 0], [np.inf, 1], "I1 is inf, expected a finite range above 0"),
        ([0, np.inf], [1, np.inf], "I2 is inf, expected a finite range"),
        ([-1e308, 0], [1e308, 1], "I1 is 1e+308, expected a finite range"),
    ],
)
def test_bounds_that_are_none(tmp_path: Path, low: List[float], high: List[float], words: str) -> None:
    content = content_of([[b"red"], [], []], DENSE)
    assert_refused(write(tmp_path, replace(content, low=np.array(low, float), high=np.array(high, float))), words)


@pytest.mark.parametrize(
    ("dense_dim", "slot_dim"), [(DENSE + 1, SLOTS), (DENSE, SLOTS + 1), (DENSE, SLOTS - 1), (0, 1)]
)
def test_other_numbers_of_fields(tmp_path: Path, dense_dim: int, slot_dim: int) -> None:
    path = write(tmp_path, content_of([[b"red"], [], []], DENSE))
    with pytest.raises(FeatureConfigError) as caught:
        load_dictionary_file(path, dense_dim, slot_dim)
    assert str(caught.value) == (
        f"dictionary: {path}, has 2 number and 3 category fields; expected dense_dim = {dense_dim}"
        f" and slot_dim = {slot_dim}"
    )


@pytest.mark.parametrize("values", [SAME_HASH[:2], SAME_HASH[1:], (b"red", b"red"), (b"", b"")])
def test_values_of_one_hash(tmp_path: Path, values: List[bytes]) -> None:
    path = write(tmp_path, content_of([[b"a", values[0], b"c", values[1]], [], []], DENSE))
    assert_refused(path, "value 3 has the hash of another of its field")
    apart = write(tmp_path, content_of([[values[0]], [values[1]], []], DENSE))
    assert load_dictionary_file(apart, DENSE, SLOTS).entries == 2
