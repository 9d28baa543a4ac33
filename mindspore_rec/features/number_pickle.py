"""Read a pickle that may hold dictionaries of strings and numbers and nothing else.

Unpickling runs whatever the file names. Here a name is looked up in a list of four, which gives objects of this file:
no code of another module is ever called.
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
    """What stands for a numpy dtype in a file: one of the plain number types, of either byte order."""

    __slots__ = ("_byte_order", "_name")

    def __init__(self, name: str) -> None:
        if name not in _NUMBER_DTYPES:
            raise pickle.UnpicklingError(f"numpy dtype {name!r}")
        self._name = name
        self._byte_order = "<"

    def __setstate__(self, state: Any) -> None:
        byte_order = state[1] if isinstance(state, tuple) and len(state) > 1 else None
        if byte_order not in ("<", ">", "|", "="):
            raise pickle.UnpicklingError("state of a numpy dtype")
        self._byte_order = ">" if byte_order == ">" else "<"

    def number(self, data: bytes) -> Number:
        """The number of this type that the bytes are."""
        dtype = np.dtype(self._byte_order + self._name)
        if len(data) != dtype.itemsize:
            raise pickle.UnpicklingError("size of a numpy scalar")
        number: Number = np.frombuffer(data, dtype)[0].item()
        return number


# The stand-ins are objects without attributes, not functions or classes: a pickle can set attributes of what it names.
class _Dtype:
    __slots__ = ()

    def __call__(self, name: str, align: bool = False, copy: bool = True) -> _NumberType:
        return _NumberType(name)


class _Scalar:
    __slots__ = ()

    def __call__(self, number_type: Any, data: Any) -> Number:
        if not isinstance(number_type, _NumberType) or not isinstance(data, bytes):
            raise pickle.UnpicklingError("arguments of a numpy scalar")
        return number_type.number(data)


class _Encode:
    """codecs.encode, by which pickle protocols 0 to 2 write bytes."""

    __slots__ = ()

    def __call__(self, text: Any, encoding: Any) -> bytes:
        if not isinstance(text, str) or encoding != "latin1":
            raise pickle.UnpicklingError("arguments of codecs.encode")
        return text.encode("latin1")


_ALLOWED = {
    ("numpy", "dtype"): _Dtype(),
    ("numpy.core.multiarray", "scalar"): _Scalar(),
    ("numpy._core.multiarray", "scalar"): _Scalar(),
    ("_codecs", "encode"): _Encode(),
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
