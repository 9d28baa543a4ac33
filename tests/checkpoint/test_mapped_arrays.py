"""Arrays mapped to memory: those that were written, and no file that is another."""

import json

import numpy as np
import pytest

from mindspore_rec.checkpoint.array_file import ArrayFile, write_arrays
from mindspore_rec.checkpoint.errors import CheckpointError
from mindspore_rec.checkpoint.mapped_arrays import map_arrays

ARRAYS = {
    "ids": np.arange(7),
    "rows": np.random.default_rng(0).random((7, 3), np.float32),
    "none": np.zeros((0, 4), np.float32),
    "one": np.array([True]),
    "halves": np.arange(5, dtype=np.uint16),
}


@pytest.mark.parametrize("whole", [True, False])
def test_arrays_are_those_that_were_written(tmp_path, whole):
    path = tmp_path / "a.safetensors"
    if whole:
        write_arrays(path, ARRAYS)
    else:
        with ArrayFile(path, {name: (array.dtype, array.shape) for name, array in ARRAYS.items()}) as file:
            for name, array in ARRAYS.items():
                file.append(name, array)
    found = map_arrays(path)
    assert found.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert (found[name].dtype, found[name].shape) == (array.dtype, array.shape)
        np.testing.assert_array_equal(found[name], array)
    assert not found["ids"].flags.writeable
    if not whole:  # each array begins where its items are aligned
        assert all(array.flags.aligned for array in found.values())


def with_header(header):
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + bytes(16)


def about(begin=0, end=8, dtype="F32", shape=(2,)):
    return {"a": {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end]}}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"1234",
        (1 << 62).to_bytes(8, "little") + bytes(100),
        (0).to_bytes(8, "little") + bytes(100),
        with_header([1, 2]),
        with_header({"a": 1}),
        with_header(about(end=12)),
        with_header(about(begin=-8, end=0)),
        with_header(about(begin=16, end=24)),
        with_header(about(shape=(1 << 62, 4))),
        with_header(about(dtype="F33")),
        with_header(about(dtype="Q32")),
        with_header(about(dtype="")),
    ],
)
def test_other_files_are_refused(tmp_path, content):
    path = tmp_path / "a"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="cannot be read"):
        map_arrays(path)


def test_what_is_not_there_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match="cannot be read"):
        map_arrays(tmp_path / "a")


def test_a_file_cut_off_anywhere_is_refused(tmp_path):
    path = tmp_path / "a"
    write_arrays(path, {"a": np.arange(4)})
    whole = path.read_bytes()
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        with pytest.raises(CheckpointError):
            map_arrays(path)
