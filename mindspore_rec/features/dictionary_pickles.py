"""Write the three pickles of MindSpore's Criteo preprocessing from a dictionary, without making its Python objects.

Pickle protocol 2 (PEP 307): a dict is ``}``, then ``(`` key value ... ``u`` any number of times; text is ``X``, its
size in 4 bytes and UTF-8; a 32-bit integer ``J`` and 4 bytes, a longer one ``8a 08`` and 8 bytes.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import BinaryIO, Dict, Tuple

import numpy as np
from numba import njit

from mindspore_rec.features.batch import Int32, Int64, UInt8
from mindspore_rec.features.dictionary_file import DictionaryContent
from mindspore_rec.features.words import Whole
from mindspore_rec.published_file import published

_BATCH = 100_000
_ITEM_BYTES = 32  # of a key and its id, the value apart


def write_pickles(folder: Path, content: DictionaryContent) -> Tuple[Path, Path, Path]:
    """Write all_val_max_dict.pkl, all_val_min_dict.pkl and cat2id_dict.pkl; each is there whole or not at all."""
    names = [f"I{i + 1}" for i in range(len(content.low))]
    largest, smallest, ids = (folder / f"{name}_dict.pkl" for name in ("all_val_max", "all_val_min", "cat2id"))
    for path, bounds in ((largest, content.high), (smallest, content.low)):
        with published(path) as part:
            part.write_bytes(pickle.dumps(dict(zip(names, bounds.tolist())), protocol=2))
    with published(ids) as part, part.open("wb") as file:
        _write_ids(file, content)
    return largest, smallest, ids


def _write_ids(file: BinaryIO, content: DictionaryContent) -> None:
    singles: Dict[str, int] = {f"I{i + 1}": int(n) for i, n in enumerate(content.number_ids)}
    singles.update({f"OOVC{i + 1}": int(n) for i, n in enumerate(content.unknown_ids)})
    file.write(b"\x80\x02}(")
    file.write(b"".join(b"X" + len(key).to_bytes(4, "little") + key.encode() + _whole(n) for key, n in singles.items()))
    file.write(b"u")
    for begin in range(0, len(content.fields), _BATCH):
        end = min(begin + _BATCH, len(content.fields))
        room = int(content.offsets[end] - content.offsets[begin]) + _ITEM_BYTES * (end - begin)
        out = np.empty(room, np.uint8)
        used = _items(content.fields, content.ids, content.offsets, content.values, begin, end, out)
        file.write(b"(" + out[:used].tobytes() + b"u")
    file.write(b".")


def _whole(number: int) -> bytes:
    if number < 2**31:
        return b"J" + number.to_bytes(4, "little")
    return b"\x8a\x08" + number.to_bytes(8, "little")


@njit(cache=True, nogil=True)
def _items(
    fields: Int32, ids: Int64, offsets: Int64, values: UInt8, begin: Whole, end: Whole, out: UInt8
) -> Whole:
    """Keys ``C<field>_<value>`` and ids of values ``begin`` to ``end``; how many bytes."""
    digits = np.empty(8, np.uint8)
    used: Whole = 0
    for i in range(begin, end):
        number, count = fields[i] + 1, 0
        while number:
            digits[count] = 48 + number % 10
            number //= 10
            count += 1
        size = offsets[i + 1] - offsets[i] + count + 2
        out[used] = 88  # X
        for k in range(4):
            out[used + 1 + k] = (size >> (8 * k)) & 255
        used += 5
        out[used] = 67  # C
        for k in range(count):
            out[used + 1 + k] = digits[count - 1 - k]
        out[used + 1 + count] = 95  # _
        used += count + 2
        for k in range(offsets[i], offsets[i + 1]):
            out[used] = values[k]
            used += 1
        wide = ids[i] >= 1 << 31
        out[used] = 0x8A if wide else 74  # J
        used += 1
        if wide:
            out[used] = 8
            used += 1
        for k in range(8 if wide else 4):
            out[used] = (ids[i] >> (8 * k)) & 255
            used += 1
    return used
