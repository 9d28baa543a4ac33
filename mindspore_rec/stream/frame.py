"""The channel's wire format: a header part and raw array parts; no pickle, every size checked before it is used.

A message is a sequence of ZeroMQ parts. The first is the header: magic, version, kind, epoch (16 bytes, little
endian), then a JSON object. The others are the arrays that the object's ``arrays`` lists as [dtype, shape], in order.
docs/channel.md says which kinds there are and what they hold.
"""

from __future__ import annotations

import enum
import json
import math
import struct
from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Sequence, Tuple, Union

import numpy as np
import numpy.typing as npt

from mindspore_rec.stream.position import RowPosition

Array = npt.NDArray[Any]
Int64s = npt.NDArray[np.int64]
Part = Union[bytes, memoryview]

MAGIC = b"MSRC"
VERSION = 1
MAX_HEADER_BYTES = 4 << 20
MAX_PART_BYTES = 1 << 30
MAX_PARTS = 1100
MAX_DIMENSIONS = 8
PREFIX = struct.Struct("<4sBBxxQ")
DTYPES = frozenset(("|b1", "|i1", "|u1", "<i2", "<u2", "<i4", "<u4", "<i8", "<u8", "<f2", "<f4", "<f8"))

UNKNOWN_SOURCE_ROW = -1


class FrameError(ValueError):
    """Bytes that are no message of this channel."""


class Kind(enum.IntEnum):
    """What a message says; the first four go from receiver to sender, the others back."""

    START = 1
    CREDIT = 2
    PING = 3
    STOP = 4
    STARTED = 5
    DATA = 6
    NEED_START = 7
    END = 8
    ERROR = 9
    OBJECT = 10


@dataclass(frozen=True)
class Wire:
    """A decoded message. Its arrays are read-only views of the received parts."""

    kind: Kind
    epoch: int
    body: Dict[str, Any]
    arrays: Tuple[Array, ...]


@dataclass(frozen=True)
class FramePositions:
    """Which rows of a partition a frame was made of.

    Attributes:
        partition: partition of every row.
        begin: first row the frame covers; equal to ``next`` of the partition's frame before.
        next: first row the next frame covers.
        ranges: int64 [k, 4], a message each, offsets ascending: offset, first row, last row (inclusive), source row
            number of the first row or -1. Rejected rows are within the ranges.
        rejects: int64 [m, 3], ascending: offset, row, reason code.
        event_time: int64 [n], milliseconds, of the rows that were kept; -1 where unknown.
        high: offset after the newest message of the partition, when the frame was made.
    """

    partition: int
    begin: RowPosition
    next: RowPosition
    ranges: Int64s
    rejects: Int64s
    event_time: Int64s
    high: int


@dataclass(frozen=True)
class Frame:
    """Rows of one partition: columns with n rows each, and where they came from."""

    columns: Tuple[Array, ...]
    positions: FramePositions

    @property
    def rows(self) -> int:
        """Kept rows."""
        return int(self.positions.event_time.shape[0])


@dataclass(frozen=True)
class RowPositions:
    """A frame's ranges, row by row, rejected rows included.

    Attributes:
        offset: int64 [rows + rejects], message of each row.
        row: int64 [rows + rejects], row within it.
        source: int64 [rows + rejects], row number in the source, -1 unknown.
        kept: int64 [rows], indices of the rows that were kept.
        ends_message: whether the last row is the last of its message.
    """

    offset: Int64s
    row: Int64s
    source: Int64s
    kept: Int64s
    ends_message: bool

    def after(self, index: int) -> RowPosition:
        """The position right after row ``index``."""
        offset = int(self.offset[index])
        last = index + 1 == self.offset.shape[0]
        if self.ends_message if last else int(self.offset[index + 1]) != offset:
            return RowPosition(offset + 1, 0)
        return RowPosition(offset, int(self.row[index]) + 1)


def encode(kind: Kind, epoch: int, body: Mapping[str, Any], arrays: Sequence[Array] = ()) -> List[Part]:
    """The parts of a message. Arrays go as they are, without a copy where they are contiguous.

    Raises:
        ValueError: for a dtype that is not numeric, or sizes beyond the limits.
    """
    fields = dict(body)
    parts: List[Part] = [b""]
    described = []
    for array in arrays:
        if array.dtype.str not in DTYPES:
            raise ValueError(f"cannot send an array of dtype {array.dtype}: expected numbers or bool, little endian")
        if array.nbytes > MAX_PART_BYTES:
            raise ValueError(f"cannot send an array of {array.nbytes} bytes: at most {MAX_PART_BYTES}")
        described.append([array.dtype.str, list(array.shape)])
        parts.append(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    if described:
        fields["arrays"] = described
    parts[0] = PREFIX.pack(MAGIC, VERSION, kind, epoch) + json.dumps(fields).encode()
    if len(parts[0]) > MAX_HEADER_BYTES or len(parts) > MAX_PARTS:
        raise ValueError(f"message too large: {len(parts[0])} header bytes, {len(arrays)} arrays")
    return parts


def decode(parts: Sequence[Part]) -> Wire:
    """The message of some parts.

    Raises:
        FrameError: where they are damaged, too large, or contradict each other.
    """
    if not 1 <= len(parts) <= MAX_PARTS:
        raise FrameError(f"{len(parts)} parts, expected 1 to {MAX_PARTS}")
    header = parts[0]
    if not PREFIX.size <= len(header) <= MAX_HEADER_BYTES:
        raise FrameError(f"a header of {len(header)} bytes")
    magic, version, number, epoch = PREFIX.unpack_from(header)
    if magic != MAGIC or version != VERSION:
        raise FrameError(f"magic {magic!r} version {version}, expected {MAGIC!r} version {VERSION}")
    try:
        kind = Kind(number)
        body = json.loads(bytes(header[PREFIX.size :]))
    except (ValueError, RecursionError) as error:
        raise FrameError(f"damaged header: {error}") from None
    if not isinstance(body, dict):
        raise FrameError("the header is not an object")
    described = body.pop("arrays", [])
    if not isinstance(described, list) or len(described) != len(parts) - 1:
        raise FrameError(f"{len(parts) - 1} array parts do not match the header")
    return Wire(kind, epoch, body, tuple(_array(entry, part) for entry, part in zip(described, parts[1:])))


def encode_frame(epoch: int, frame: Frame) -> List[Part]:
    """The DATA message of a frame."""
    positions = frame.positions
    body = {"lane": positions.partition, "begin": positions.begin, "next": positions.next, "high": positions.high}
    return encode(Kind.DATA, epoch, body, (*frame.columns, positions.event_time, positions.ranges, positions.rejects))


def decode_frame(wire: Wire) -> Frame:
    """The frame of a DATA message.

    Raises:
        FrameError: where fields are missing or the arrays do not fit together.
    """
    if len(wire.arrays) < 3:
        raise FrameError(f"{len(wire.arrays)} arrays in a data frame, expected at least 3")
    *columns, event_time, ranges, rejects = wire.arrays
    for name, array, width in (("event_time", event_time, 0), ("ranges", ranges, 4), ("rejects", rejects, 3)):
        if array.dtype != np.int64 or array.shape[1:] != ((width,) if width else ()) or array.ndim == 0:
            raise FrameError(f"{name}: dtype {array.dtype}, shape {list(array.shape)}")
    rows = event_time.shape[0]
    for column in columns:
        if column.ndim == 0 or column.shape[0] != rows:
            raise FrameError(f"a column of shape {list(column.shape)} in a frame of {rows} rows")
    positions = FramePositions(
        partition=_count(wire.body, "lane"),
        begin=_row_position(wire.body, "begin"),
        next=_row_position(wire.body, "next"),
        ranges=ranges,
        rejects=rejects,
        event_time=event_time,
        high=_count(wire.body, "high"),
    )
    return Frame(tuple(columns), positions)


def expand(positions: FramePositions) -> RowPositions:
    """The ranges row by row.

    Raises:
        FrameError: where ranges overlap or run backwards, a reject lies outside of them, or the rows do not add up.
    """
    rows, ranges, rejects = positions.event_time.shape[0], positions.ranges, positions.rejects
    offsets, first, last, source = ranges.T
    lengths = last - first + 1
    total = rows + rejects.shape[0]
    ascending = bool((offsets[1:] > offsets[:-1]).all() and (offsets >= 0).all() and (first >= 0).all())
    if not ascending or bool((lengths < 1).any() or (lengths > total).any()) or int(lengths.sum()) != total:
        raise FrameError(f"ranges do not hold {rows} rows and {rejects.shape[0]} rejects in ascending order")
    starts = np.cumsum(lengths) - lengths
    within = np.arange(total, dtype=np.int64) - np.repeat(starts, lengths)
    known = np.repeat(source != UNKNOWN_SOURCE_ROW, lengths)
    return RowPositions(
        offset=np.repeat(offsets, lengths),
        row=np.repeat(first, lengths) + within,
        source=np.where(known, np.repeat(source, lengths) + within, UNKNOWN_SOURCE_ROW),
        kept=_kept(total, ranges, starts, lengths, rejects),
        ends_message=ranges.shape[0] > 0 and positions.next.offset > int(offsets[-1]),
    )


def _kept(total: int, ranges: Int64s, starts: Int64s, lengths: Int64s, rejects: Int64s) -> Int64s:
    """Indices of the rows that are not rejected."""
    if rejects.shape[0] == 0:
        return np.arange(total, dtype=np.int64)
    message = np.minimum(np.searchsorted(ranges[:, 0], rejects[:, 0]), ranges.shape[0] - 1)
    within = rejects[:, 1] - ranges[message, 1]
    if (ranges[message, 0] != rejects[:, 0]).any() or (within < 0).any() or (within >= lengths[message]).any():
        raise FrameError("a rejected row outside of the frame's ranges")
    rejected = np.zeros(total, np.bool_)
    rejected[starts[message] + within] = True
    kept: Int64s = np.flatnonzero(~rejected).astype(np.int64, copy=False)
    if kept.shape[0] != total - rejects.shape[0]:
        raise FrameError("a row rejected twice")
    return kept


def _array(entry: Any, part: Part) -> Array:
    if not (isinstance(entry, list) and len(entry) == 2 and isinstance(entry[0], str) and isinstance(entry[1], list)):
        raise FrameError(f"an array described as {str(entry)[:100]}")
    name, shape = entry
    if name not in DTYPES or len(shape) > MAX_DIMENSIONS or not all(type(size) is int and size >= 0 for size in shape):
        raise FrameError(f"an array described as {str(entry)[:100]}")
    dtype = np.dtype(name)
    if math.prod(shape) * dtype.itemsize != len(part) or len(part) > MAX_PART_BYTES:
        raise FrameError(f"{len(part)} bytes for an array of dtype {name}, shape {str(shape)[:100]}")
    try:
        return np.frombuffer(part, dtype).reshape(shape)
    except ValueError as error:
        raise FrameError(f"an array of shape {str(shape)[:100]}: {error}") from None


def _count(body: Mapping[str, Any], key: str) -> int:
    value = body.get(key)
    if type(value) is not int or not 0 <= value < 2**63:
        raise FrameError(f"{key}: {str(value)[:100]}")
    return value


def _row_position(body: Mapping[str, Any], key: str) -> RowPosition:
    value = body.get(key)
    if not (isinstance(value, list) and len(value) == 2):
        raise FrameError(f"{key}: {str(value)[:100]}")
    return RowPosition(_count({key: value[0]}, key), _count({key: value[1]}, key))
