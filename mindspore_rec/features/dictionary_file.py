"""The dictionaries of a data set in one file that is no pickle: written by ``process_data.py``, read by every engine.

A safetensors file with the arrays of `DictionaryContent` and, in its header, ``format``, which is
``mindspore_rec dictionary 1``, and ``about``, a JSON text on where it came from.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Dict

import numpy as np
from numba import njit
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from mindspore_rec.features.batch import Float64, Int32, Int64, UInt8, UInt32, UInt64
from mindspore_rec.features.dictionary import Dictionary, check_bounds, dictionary_seeds, digest
from mindspore_rec.features.errors import FeatureConfigError
from mindspore_rec.features.hashing import hash_span
from mindspore_rec.features.id_table import build_table
from mindspore_rec.features.words import PADDING
from mindspore_rec.published_file import published

_FORMAT = "mindspore_rec dictionary 1"


@dataclass(frozen=True, eq=False)
class DictionaryContent:
    """Bounds, ids and m category values.

    Attributes:
        low: float64[dense_dim], smallest number of each field.
        high: float64[dense_dim], largest.
        number_ids: int64[dense_dim].
        unknown_ids: int64[slot_dim], id of any value of the field that is not listed.
        fields: int32[m], category field of each value, from 0.
        ids: int64[m].
        counts: int64[m], how often the value was seen.
        offsets: int64[m + 1], of the values.
        values: uint8[offsets[m]], UTF-8, end to end.
    """

    low: Float64
    high: Float64
    number_ids: Int64
    unknown_ids: Int64
    fields: Int32
    ids: Int64
    counts: Int64
    offsets: Int64
    values: UInt8


_DTYPES = {
    "low": np.float64,
    "high": np.float64,
    "number_ids": np.int64,
    "unknown_ids": np.int64,
    "fields": np.int32,
    "ids": np.int64,
    "counts": np.int64,
    "offsets": np.int64,
    "values": np.uint8,
}


def write_dictionary_file(path: Path, content: DictionaryContent, about: Dict[str, Any]) -> None:
    """Write the file; it is there whole or not at all."""
    arrays = {field.name: np.ascontiguousarray(getattr(content, field.name)) for field in fields(content)}
    with published(path) as part:
        save_file(arrays, str(part), {"format": _FORMAT, "about": json.dumps(about, sort_keys=True)})


def read_dictionary_file(path: str) -> DictionaryContent:
    """Read and check the file.

    Raises:
        FeatureConfigError: it is missing, damaged, of another format, or its arrays do not go together.
    """
    if not os.path.isfile(path):
        raise FeatureConfigError(f"dictionary: {path}, no such file; expected one that process_data.py wrote")
    try:
        with safe_open(path, "numpy") as file:
            found = (file.metadata() or {}).get("format")
            if found != _FORMAT:
                raise FeatureConfigError(f"dictionary: {path}, format {found!r:.60}; expected {_FORMAT!r}")
            arrays = {name: file.get_tensor(name) for name in _DTYPES}
    except (SafetensorError, OSError, TypeError, AttributeError) as error:  # the last two: dtypes numpy has not
        reason = " ".join(str(error).split())[:200]
        raise FeatureConfigError(f"dictionary: {path}, {reason}; expected a file of process_data.py") from None
    for name, dtype in _DTYPES.items():
        if arrays[name].dtype != dtype or arrays[name].ndim != 1:
            raise FeatureConfigError(f"dictionary: {path}, {name!r} is not {dtype.__name__}; expected a whole file")
    content = DictionaryContent(**arrays)
    _check(path, content)
    return content


def _check(path: str, content: DictionaryContent) -> None:
    values, slots = len(content.fields), len(content.unknown_ids)
    ids = np.concatenate((content.number_ids, content.unknown_ids, content.ids))
    sound = {
        "low": len(content.low) == len(content.high) == len(content.number_ids),
        "ids": len(content.ids) == len(content.counts) == values and bool(np.all((ids >= 0) & (ids < 2**63 - 1))),
        "fields": not values or (content.fields.min() >= 0 and content.fields.max() < slots),
        "offsets": len(content.offsets) == values + 1
        and content.offsets[0] == 0
        and content.offsets[-1] == len(content.values)
        and bool(np.all(content.offsets[1:] >= content.offsets[:-1])),  # a difference may overflow
    }
    for name, is_sound in sound.items():
        if not is_sound:
            raise FeatureConfigError(f"dictionary: {path}, {name!r} does not fit the rest; expected a whole file")


@njit(cache=True, nogil=True)
def _hash_fields(buffer: UInt8, offsets: Int64, fields: Int32, seeds: UInt32, hashes: UInt64) -> None:
    for i in range(len(fields)):
        hashes[i] = hash_span(buffer, offsets[i], offsets[i + 1] - offsets[i], seeds[fields[i]])


def load_dictionary_file(path: str, dense_dim: int, slot_dim: int) -> Dictionary:
    """The dictionary of a file of `write_dictionary_file`: equal to that of the three pickles with its content.

    Raises:
        FeatureConfigError: as `read_dictionary_file`, or the file is of other numbers of fields.
    """
    content = read_dictionary_file(path)
    found = (len(content.low), len(content.unknown_ids))
    if found != (dense_dim, slot_dim):
        raise FeatureConfigError(
            f"dictionary: {path}, has {found[0]} number and {found[1]} category fields; expected dense_dim ="
            f" {dense_dim} and slot_dim = {slot_dim}"
        )
    check_bounds(content.low, content.high, "dictionary", "low")
    buffer = np.concatenate((content.values, np.zeros(PADDING, np.uint8)))
    hashes = np.empty(len(content.fields), np.uint64)
    _hash_fields(buffer, content.offsets, content.fields, dictionary_seeds(slot_dim), hashes)
    table, collision = build_table(hashes, content.fields, content.ids, content.unknown_ids)
    if collision >= 0:
        raise FeatureConfigError(f"dictionary: {path}, value {collision} has the hash of another of its field")
    parts = [content.low, content.high, content.number_ids, content.unknown_ids]
    whole = digest(parts, content.fields, hashes, content.ids)
    return Dictionary(content.low, content.high, content.number_ids, table, len(hashes), whole)
