"""What arrays that are exchanged have in common: the type and shape of a row; only the number of rows may differ."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Sequence, Tuple

import numpy as np


@dataclass(frozen=True)
class RowLayout:
    """Type and shape of a row.

    Attributes:
        dtype: of the elements, without Python objects.
        shape: of a row; () where the arrays have one dimension.
    """

    dtype: np.dtype
    shape: Tuple[int, ...]

    @classmethod
    def of(cls, arrays: Sequence[np.ndarray]) -> RowLayout:
        """The layout of arrays.

        Raises:
            ValueError: there are none, they hold Python objects, have no first dimension or differ in the others.

        >>> RowLayout.of([np.zeros((0, 3), np.float32), np.ones((5, 3), np.float32)]).nbytes
        12
        """
        if not arrays:
            raise ValueError("expected at least one array")
        for array in arrays:
            if array.ndim == 0 or array.dtype.hasobject:
                raise ValueError(f"expected rows of numbers, not {array.dtype} of shape {array.shape}")
            if array.dtype != arrays[0].dtype or array.shape[1:] != arrays[0].shape[1:]:
                raise ValueError(
                    f"rows differ: {array.dtype} of shape {array.shape[1:]}, "
                    f"and {arrays[0].dtype} of shape {arrays[0].shape[1:]}"
                )
        return cls(arrays[0].dtype, arrays[0].shape[1:])

    @property
    def nbytes(self) -> int:
        """Bytes of a row."""
        return self.dtype.itemsize * int(np.prod(self.shape, dtype=np.int64))

    @property
    def fingerprint(self) -> int:
        """A number that is the same on ranks with the same layout, and hardly on others."""
        return zlib.crc32(f"{self.dtype.str}{self.shape}".encode())

    def check(self, fingerprints: np.ndarray) -> None:
        """Compare with those of all ranks, by their number.

        Raises:
            ValueError: one has another layout.
        """
        strange = np.flatnonzero(fingerprints != self.fingerprint)
        if len(strange):
            raise ValueError(f"rank {strange[0]} has other rows than {self.dtype} of shape {self.shape}")

    def empty(self, rows: int) -> np.ndarray:
        """An array of so many rows, not filled."""
        return np.empty((rows, *self.shape), self.dtype)


def as_bytes(array: np.ndarray) -> np.ndarray:
    """The bytes of an array: uint8 of one dimension, the array's own memory where that is contiguous."""
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8)
