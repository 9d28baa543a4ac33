"""Read a pickle that may hold dictionaries of strings and numbers and nothing else.

Unpickling runs whatever the file names. Here a name is looked up in a list of four, which stand for functions of this
file, so no code of another module is ever called.
"""

from __future__ import annotations

import io
import os
import pickle
from typing import Any, Dict, Union

import numpy as np

from mindspore_rec.features.errors import FeatureConfigError

Number = Union[int, float]

_NUMBER_DTYPES = frozenset(["i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8"])


class _NumberType:
    """Stands for numpy.dtype: one of the plain number types, of either byte order."""

    def __init__(self, name: str, align: bool = False, copy: bool = True) -> None:
        if name not in _NUMBER_DTYPES:
            raise pickle.UnpicklingError(f"numpy dtype {name!r}")
        self.name = name
        self.byte_order = "<"

    def __setstate__(self, state: Any) -> None:
        byte_order = state[1] if isinstance(state, tuple) and len(state) > 1 else None
        if byte_order not in ("<", ">", "|", "="):
            raise pickle.UnpicklingError("state of a numpy dtype")
        self.byte_order = "<" if byte_order in ("|", "=") else byte_order


class _NumberScalar:
    """Stands for the function numpy pickles its scalars by: gives a Python int or float."""

    def __new__(cls, number_type: Any, data: Any) -> Any:
        if not isinstance(number_type, _NumberType) or not isinstance(data, bytes):
            raise pickle.UnpicklingError("arguments of a numpy scalar")
        dtype = np.dtype(number_type.byte_order + number_type.name)
        if len(data) != dtype.itemsize:
            raise pickle.UnpicklingError("size of a numpy scalar")
        return np.frombuffer(data, dtype)[0].item()


def _latin1_bytes(text: Any, encoding: Any) -> bytes:
    """Stands for codecs.encode, by which pickle protocols 0 to 2 write bytes."""
    if not isinstance(text, str) or encoding != "latin1":
        raise pickle.UnpicklingError("arguments of codecs.encode")
    return text.encode("latin1")


_ALLOWED = {
    ("numpy", "dtype"): _NumberType,
    ("numpy.core.multiarray", "scalar"): _NumberScalar,
    ("numpy._core.multiarray", "scalar"): _NumberScalar,
    ("_codecs", "encode"): _latin1_bytes,
}


class _NumberUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"{module}.{name}") from None


def load_number_dict(key: str, path: str, max_bytes: int) -> Dict[str, Number]:
    """Read a pickled dict of str to int or float (or numpy scalars of them) from a file.

    Args:
        key: the setting the path came from, for messages.
        path: the file.
        max_bytes: larger files are refused unread.

    Raises:
        FeatureConfigError: no such file, too large, not a pickle, or it holds anything else, which the message names.
    """
    if not os.path.isfile(path):
        raise FeatureConfigError(f"{key}: {path}, no such file; expected a pickled dict")
    size = os.path.getsize(path)
    if size > max_bytes:
        raise FeatureConfigError(f"{key}: {path}, {size} bytes; expected at most {max_bytes}")
    try:
        with open(path, "rb") as file:
            data = file.read(max_bytes + 1)
        values = _NumberUnpickler(io.BytesIO(data)).load()
    except OSError as error:
        raise FeatureConfigError(f"{key}: {path}, {error.strerror}; expected a readable file") from None
    except Exception as error:  # a hostile pickle can make the unpickler raise anything
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise FeatureConfigError(
            f"{key}: {path}, holds {reason}; expected a pickle of dict, str, int, float and numpy numbers only"
        ) from None
    if type(values) is not dict:
        raise FeatureConfigError(f"{key}: {path}, holds a {type(values).__name__}; expected a dict")
    for name, value in values.items():
        if type(name) is not str or type(value) not in (int, float):
            raise FeatureConfigError(
                f"{key}: {path}, entry {name!r:.80} is a {type(value).__name__}; expected names with numbers"
            )
    return values
