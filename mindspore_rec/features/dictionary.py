"""Dictionary ids (rule dict-v1): the three files of MindSpore's Criteo preprocessing, checked and made fast.

``all_val_max_dict.pkl`` and ``all_val_min_dict.pkl`` map ``I1 ..`` to the largest and smallest number of each field.
``cat2id_dict.pkl`` maps ``I1 ..`` to the ids of the number fields, ``OOVC1 ..`` to the ids of unknown values, and
``C1_<value>`` to the id of a value.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import Any, Dict, List, Tuple

import numpy as np
import numpy.typing as npt
from numba import njit

from mindspore_rec.features.batch import Float64, Int32, Int64, UInt8, UInt32, UInt64
from mindspore_rec.features.errors import FeatureConfigError
from mindspore_rec.features.hashing import avalanche, field_seeds, hash_span, join_values
from mindspore_rec.features.id_table import IdTable, build_table
from mindspore_rec.features.number_pickle import Number, load_number_dict

_MAX_BOUNDS_BYTES = 1 << 20
_MAX_IDS_BYTES = 8 << 30
_ZERO, _NINE = ord("0"), ord("9")
_CATEGORY, _UNDERSCORE = ord("C"), ord("_")
_FIELD_SHIFT = np.uint64(48)
_SECOND = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True, eq=False)
class Dictionary:
    """What the three files hold.

    Attributes:
        low: float64[dense_dim], smallest number of each field.
        high: float64[dense_dim], largest.
        number_ids: int64[dense_dim].
        table: ids of category values.
        entries: number of category values.
        digest: 32 hex digits, the same for the same content in any order.
    """

    low: Float64
    high: Float64
    number_ids: Int64
    table: IdTable
    entries: int
    digest: str


@njit(cache=True, nogil=True)
def _split_keys(buffer: UInt8, offsets: Int64, seeds: UInt32, fields: Int32, hashes: UInt64) -> None:
    """Field and hash of each key ``C<field>_<value>``; field -1 for keys of another form."""
    for i in range(len(fields)):
        position, end = offsets[i], offsets[i + 1]
        fields[i] = -1
        if position == end or buffer[position] != _CATEGORY:
            continue
        position += 1
        number = 0
        first_digit = position
        while position < end and position < first_digit + 4 and _ZERO <= buffer[position] <= _NINE:
            number = number * 10 + buffer[position] - _ZERO
            position += 1
        if number == 0 or buffer[first_digit] == _ZERO or position == end or buffer[position] != _UNDERSCORE:
            continue
        if number <= len(seeds):
            fields[i] = number - 1
            hashes[i] = hash_span(buffer, position + 1, end - position - 1, seeds[number - 1])


def _load_bounds(key: str, path: str, dense_dim: int) -> Float64:
    """float64[dense_dim] of a dictionary with exactly the keys I1 .. I<dense_dim>."""
    bounds = load_number_dict(key, path, _MAX_BOUNDS_BYTES)
    names = [f"I{i + 1}" for i in range(dense_dim)]
    wrong = sorted(set(names) ^ set(bounds))
    if wrong:
        state = "is missing" if wrong[0] in names else "is unknown"
        raise FeatureConfigError(f"{key}: {path}, entry {wrong[0]!r:.80} {state}; expected I1 to I{dense_dim}")
    try:
        values = [float(bounds[name]) for name in names]
    except OverflowError:
        values = [math.inf]
    if not all(map(math.isfinite, values)):
        raise FeatureConfigError(f"{key}: {path}, holds a number that is not finite; expected finite ones")
    return np.array(values, np.float64)


def check_bounds(low: Float64, high: Float64, key: str = "max_dict", low_name: str = "min_dict") -> None:
    """FeatureConfigError unless each field has finite bounds in order; ``key`` and ``low_name`` are for messages."""
    for i in range(len(low)):
        if not low[i] <= high[i]:
            raise FeatureConfigError(f"{key}: I{i + 1} is {high[i]:g}, expected at least its {low_name}, {low[i]:g}")
        if not math.isfinite(float(high[i]) - float(low[i])):
            raise FeatureConfigError(f"{key}: I{i + 1} is {high[i]:g}, expected a finite range above {low[i]:g}")


def _take_ids(path: str, ids: Dict[str, Number], prefix: str, count: int) -> Int64:
    """Remove ``prefix1 .. prefix<count>`` from the dictionary; their ids."""
    taken: List[Number] = []
    for i in range(count):
        name = f"{prefix}{i + 1}"
        if name not in ids:
            expected = f"{prefix}1 to {prefix}{count}"
            raise FeatureConfigError(f"map_dict: {path}, entry {name!r} is missing; expected {expected}")
        taken.append(ids.pop(name))
    return _id_array(path, taken)


def _id_array(path: str, ids: List[Number]) -> Int64:
    if not all(type(value) is int and 0 <= value < 2**63 - 1 for value in ids):
        raise FeatureConfigError(f"map_dict: {path}, holds an id that is no whole number from 0; expected int64 ids")
    return np.array(ids, np.int64)


def _category_values(path: str, names: List[str], slot_dim: int) -> Tuple[Int32, UInt64]:
    """Field and hash of each ``C<field>_<value>``."""
    try:
        encoded = [name.encode() for name in names]
    except UnicodeEncodeError:
        raise FeatureConfigError(f"map_dict: {path}, holds a name that is not Unicode text; expected UTF-8") from None
    buffer, offsets = join_values(encoded)
    fields = np.empty(len(names), np.int32)
    hashes = np.empty(len(names), np.uint64)
    _split_keys(buffer, offsets, dictionary_seeds(slot_dim), fields, hashes)
    unknown = np.flatnonzero(fields < 0)
    if len(unknown):
        name = names[unknown[0]]
        raise FeatureConfigError(f"map_dict: {path}, entry {name!r:.80} is unknown; expected C1_ to C{slot_dim}_")
    return fields, hashes


def dictionary_seeds(slot_dim: int) -> UInt32:
    """Seeds of the tables' hashes; they decide speed and digest, not ids."""
    return field_seeds(0, slot_dim)


@njit(cache=True, nogil=True)
def _sum_entries(fields: Int32, hashes: UInt64, ids: Int64, sums: UInt64) -> None:
    """Add up two mixes of each entry: the sums do not depend on the order of the entries."""
    for i in range(len(fields)):
        mixed = avalanche(hashes[i] ^ avalanche(np.uint64(ids[i]) ^ (np.uint64(fields[i]) << _FIELD_SHIFT)))
        sums[0] += mixed
        sums[1] += avalanche(mixed + _SECOND)


def digest(parts: List[npt.NDArray[Any]], fields: Int32, hashes: UInt64, ids: Int64) -> str:
    """32 hex digits of the content, whatever the order of its values."""
    sums = np.zeros(3, np.uint64)
    _sum_entries(fields, hashes, ids, sums)
    sums[2] = len(fields)
    content = hashlib.sha256()
    for array in (*parts, sums):
        content.update(len(array).to_bytes(8, "little"))
        content.update(array.tobytes())
    return content.hexdigest()[:32]


def load_dictionary(max_dict: str, min_dict: str, map_dict: str, dense_dim: int, slot_dim: int) -> Dictionary:
    """Read and check the three files.

    Raises:
        FeatureConfigError: a file is missing, too large, holds anything but names and numbers, or does not fit the
            fields of the data set.
    """
    high = _load_bounds("max_dict", max_dict, dense_dim)
    low = _load_bounds("min_dict", min_dict, dense_dim)
    check_bounds(low, high)
    by_name = load_number_dict("map_dict", map_dict, _MAX_IDS_BYTES)
    number_ids = _take_ids(map_dict, by_name, "I", dense_dim)
    oov = _take_ids(map_dict, by_name, "OOVC", slot_dim)
    names = list(by_name)
    ids = _id_array(map_dict, list(by_name.values()))
    del by_name
    fields, hashes = _category_values(map_dict, names, slot_dim)
    table, collision = build_table(hashes, fields, ids, oov)
    if collision >= 0:
        name = names[collision]
        raise FeatureConfigError(f"map_dict: {map_dict}, entry {name!r:.80} has the hash of another; rename one")
    whole = digest([low, high, number_ids, oov], fields, hashes, ids)
    return Dictionary(low, high, number_ids, table, len(names), whole)
