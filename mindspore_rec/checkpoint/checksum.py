"""Checksums of files: CRC-32C, and SHA-256 of versions 2 and 3 of the format.

CRC-32C finds damage as well as SHA-256 does (neither keeps an adversary away who writes a new one), costs a tenth, and
can be made of the parts of a file that is not written in order.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Iterable, Iterator

from crc32c import crc32c

_BLOCK = 1 << 20
_POLYNOMIAL = 0x82F63B78  # of Castagnoli, its bits reversed: x^0 is the highest
_ONE, _X8 = 1 << 31, 1 << 23  # x^0 and x^8


@dataclass(frozen=True)
class Checksum:
    """A kind of checksum.

    Attributes:
        list_name: of the file that lists them.
        digits: hex digits of one.
        of: bytes, in parts, to those digits.
    """

    list_name: str
    digits: int
    of: Callable[[Iterable[bytes]], str]

    def of_file(self, path: Path) -> str:
        """Return the checksum of a file.

        Raises:
            OSError: it cannot be read.
        """
        return self.of(_blocks(path))


def joined(first: int, second: int, second_bytes: int) -> int:
    """Return the CRC-32C of two parts, one after the other, of that of each.

    The first is multiplied by x^(8 n) modulo the polynomial, for the n bytes that follow it.

    >>> joined(crc32c(b"one "), crc32c(b"after"), 5) == crc32c(b"one after")
    True
    """
    shift, power = _ONE, _X8
    while second_bytes:
        if second_bytes & 1:
            shift = _product(shift, power)
        power = _product(power, power)
        second_bytes >>= 1
    return _product(shift, first) ^ second


def crc32c_digits(value: int) -> str:
    """Return how a CRC-32C is written.

    >>> crc32c_digits(255)
    '000000ff'
    """
    return f"{value:08x}"


def _product(a: int, b: int) -> int:
    """Of two polynomials over GF(2), modulo that of CRC-32C."""
    product = 0
    for bit in range(31, -1, -1):
        if a >> bit & 1:
            product ^= b
        b = b >> 1 ^ (_POLYNOMIAL if b & 1 else 0)
    return product


def _crc32c(parts: Iterable[bytes]) -> str:
    value = 0
    for part in parts:
        value = crc32c(part, value)
    return crc32c_digits(value)


def _sha256(parts: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb", buffering=0) as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_SEQUENTIAL)  # the kernel reads further ahead
        while block := file.read(_BLOCK):
            yield block


CRC32C = Checksum("CRC32CSUMS", 8, _crc32c)
SHA256 = Checksum("SHA256SUMS", 64, _sha256)
