"""Arrays of a safetensors file that stay on disk: the pages that are read are what costs memory."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from mindspore_rec.checkpoint.array_file import Arrays
from mindspore_rec.checkpoint.errors import CheckpointError

MAX_HEADER = 64 << 20
_TYPES = {f"{kind.upper()}{8 * size}": f"<{kind}{size}" for kind in "iu" for size in (1, 2, 4, 8)}
_TYPES.update(F16="<f2", F32="<f4", F64="<f8", BOOL="?")


def map_arrays(path: Path) -> Arrays:
    """Return the arrays of a file, read-only, in memory that is mapped to it.

    Raises:
        CheckpointError: it is no safetensors file, or cut off.
    """
    try:
        content = np.memmap(path, np.uint8, "r") if path.stat().st_size else np.empty(0, np.uint8)
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}") from None
    try:
        size = int.from_bytes(content[:8].tobytes(), "little")
        if not 0 < size <= min(MAX_HEADER, content.size - 8):
            raise ValueError("its header is cut off")
        header = json.loads(content[8 : 8 + size].tobytes())
        header.pop("__metadata__", None)
        return {name: _array(np.asarray(content[8 + size :]), about) for name, about in header.items()}
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}") from None


def _array(content: np.ndarray, about: Any) -> np.ndarray:
    begin, end = about["data_offsets"]
    dtype, shape = np.dtype(_TYPES[about["dtype"]]), tuple(about["shape"])
    if not 0 <= begin <= end <= content.size or end - begin != dtype.itemsize * math.prod(shape):
        raise ValueError("an array does not fit into it")
    return content[begin:end].view(dtype).reshape(shape)
