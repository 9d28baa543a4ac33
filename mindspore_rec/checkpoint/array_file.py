"""Files of named arrays: safetensors, read whole or written part by part."""

from __future__ import annotations

import json
import os
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import Dict, Mapping, Optional, Tuple, Type

import numpy as np
from crc32c import crc32c
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from mindspore_rec.checkpoint.checksum import crc32c_digits, joined
from mindspore_rec.checkpoint.direct_file import DirectFile, Span
from mindspore_rec.checkpoint.errors import CheckpointError

Arrays = Dict[str, np.ndarray]
_NAMES = {"f": "F", "i": "I", "u": "U"}


class ArrayFile:
    """A safetensors file whose arrays are written part by part; on disk when it is closed.

    Args:
        path: of the file, which must not exist.
        arrays: type and shape of each array.

    Attributes:
        size: bytes of the file.
        checksum: its CRC-32C, once it is closed.
    """

    def __init__(self, path: Path, arrays: Mapping[str, Tuple[np.dtype, Tuple[int, ...]]]) -> None:
        header: Dict[str, object] = {}
        ends: Dict[str, Tuple[int, int]] = {}
        end = 0
        # Larger items first, so that each array is aligned to its items.
        for name, (dtype, shape) in sorted(arrays.items(), key=lambda item: (-item[1][0].itemsize, item[0])):
            begin, end = end, end + dtype.itemsize * int(np.prod(shape))
            header[name] = {"dtype": _type_name(dtype), "shape": list(shape), "data_offsets": [begin, end]}
            ends[name] = begin, end
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 8)
        text = len(text).to_bytes(8, "little") + text
        self.size = len(text) + end
        self.checksum = ""
        self._file = DirectFile(path, self.size)
        self._header = text
        self._spans = {
            name: Span(self._file, len(text) + begin, len(text) + end) for name, (begin, end) in ends.items()
        }

    def append(self, name: str, array: np.ndarray) -> None:
        """Write the next part of an array: further items along its first dimension."""
        self._spans[name].append(bytes_of(array))

    def __enter__(self) -> ArrayFile:
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        with closing(self._file):
            if error is None:
                self._finish()

    def _finish(self) -> None:
        self._file.write(memoryview(self._header), 0)
        crc = crc32c(self._header)
        for span in self._spans.values():
            span.finish()
            crc = joined(crc, span.crc, span.size)
        self.checksum = crc32c_digits(crc)
        self._file.sync()


def bytes_of(array: np.ndarray) -> memoryview:
    """Return the bytes of an array in the order of its items, without copying a contiguous one."""
    return memoryview(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write named arrays to one safetensors file and sync it."""
    save_file({name: np.asarray(array, order="C") for name, array in arrays.items()}, str(path))
    with path.open("rb") as file:
        os.fsync(file.fileno())


def read_arrays(path: Path) -> Arrays:
    """Read a safetensors file.

    Raises:
        CheckpointError: it is no valid safetensors file.
    """
    try:
        return dict(load_file(str(path)))
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}") from None


def sync_folder(path: Path) -> None:
    """Have the names in a folder on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_synced(path: Path, content: bytes) -> None:
    """Write a file and have its content on disk."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _type_name(dtype: np.dtype) -> str:
    """Return what safetensors calls a type.

    >>> _type_name(np.dtype(np.float32)), _type_name(np.dtype(np.bool_))
    ('F32', 'BOOL')
    """
    if dtype.kind == "b":
        return "BOOL"
    if dtype.kind not in _NAMES:
        raise CheckpointError(f"arrays of type {dtype} cannot be kept in a checkpoint")
    return f"{_NAMES[dtype.kind]}{8 * dtype.itemsize}"
