"""Dictionaries to test files of them with, and what they are in plain Python."""

from __future__ import annotations

from typing import Dict, List, Sequence, Tuple

import numpy as np

from mindspore_rec.features.dictionary_file import DictionaryContent
from mindspore_rec.features.hashing import join_values
from tests.features.rows import CATEGORIES

#: Different values with the same hash in field C1, found by running MurmurHash3 backwards.
SAME_HASH = (b"68fd1e64", b"$)_f6WS:YT`#tM<8", b"Aq<H:bmEsl6{0vW_")


def content_of(values: Sequence[Sequence[bytes]], dense_dim: int, first_id: int = 0) -> DictionaryContent:
    """The dictionary of each field's values, with ids in order from ``first_id``; I2 has one number only."""
    slot_dim, flat = len(values), [value for field in values for value in field]
    buffer, offsets = join_values(flat)
    low, high = -1.5 * np.arange(dense_dim), 100.0 + np.arange(dense_dim)
    if dense_dim > 1:
        low[1] = high[1] = 1.0
    first_unknown, first_value = first_id + dense_dim, first_id + dense_dim + slot_dim
    return DictionaryContent(
        low=low,
        high=high,
        number_ids=np.arange(first_id, first_unknown),
        unknown_ids=np.arange(first_unknown, first_value),
        fields=np.repeat(np.arange(slot_dim, dtype=np.int32), [len(field) for field in values]),
        ids=np.arange(first_value, first_value + len(flat)),
        counts=np.arange(len(flat), 0, -1),
        offsets=offsets,
        values=buffer[: offsets[-1]],
    )


def some_values(slot_dim: int, most: int = 60) -> List[List[bytes]]:
    """Values of each field, among them those of ``rows.plain_fields``; the second field has none."""
    shared = [*CATEGORIES, "a_b", "_", "C2_x", "\0", "😀"]
    fields = [[*map(str.encode, shared), *(b"%08x" % k for k in range(most * i // slot_dim))] for i in range(slot_dim)]
    if slot_dim > 1:
        fields[1] = []
    return fields


def as_dicts(content: DictionaryContent) -> Tuple[Dict[str, float], Dict[str, float], Dict[str, int]]:
    """Largest, smallest and ids by name, as MindSpore's Criteo preprocessing has them."""
    names = [f"I{i + 1}" for i in range(len(content.low))]
    ids = dict(zip(names, content.number_ids.tolist()))
    ids.update({f"OOVC{i + 1}": number for i, number in enumerate(content.unknown_ids.tolist())})
    for i, (field, number) in enumerate(zip(content.fields.tolist(), content.ids.tolist())):
        value = content.values[content.offsets[i] : content.offsets[i + 1]].tobytes()
        ids[f"C{field + 1}_{value.decode()}"] = number
    return dict(zip(names, content.high.tolist())), dict(zip(names, content.low.tolist())), ids
