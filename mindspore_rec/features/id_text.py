"""Ids as people write them: a number, or a field and its value."""

from __future__ import annotations

import re

import numpy as np

from mindspore_rec.config import UserError
from mindspore_rec.features.hashing import field_seeds, hash_values
from mindspore_rec.features.spec import FeatureSpec


def id_of_text(text: str, spec: FeatureSpec) -> int:
    """Return the unsigned id that a text stands for.

    Args:
        text: an id, signed or unsigned; a number field such as I3; or a category field and its value, C5=68fd1e64.
        spec: of the ids.

    Raises:
        UserError: it is none of these, the field is unknown, or the ids are those of dictionaries.

    >>> id_of_text("-1", FeatureSpec()), id_of_text("C1=68fd1e64", FeatureSpec()), id_of_text("I1", FeatureSpec())
    (18446744073709551615, 13711089565194740496, 5932820873212145038)
    """
    if re.fullmatch(r"-?\d{1,20}", text) and -(1 << 63) <= int(text) < 1 << 64:
        return int(text) % (1 << 64)
    named = re.fullmatch(r"(?:I(\d{1,4})|C(\d{1,4})=(.*))", text, re.DOTALL)
    if named is None:
        raise UserError(f"id {text!r}: expected a 64-bit number, or a field such as I3 or C5=68fd1e64")
    number, category = int(named[1] or 0), int(named[2] or 0)
    if (number and number > spec.dense_dim) or (category and category > spec.slot_dim) or not number + category:
        raise UserError(f"id {text!r}: the fields are I1 to I{spec.dense_dim} and C1 to C{spec.slot_dim}")
    if spec.id_rule != "hash-v1":
        raise UserError(f"id {text!r}: its ids come from dictionaries; name the number that the dictionary gives")
    field = number - 1 if number else spec.dense_dim + category - 1
    seeds = field_seeds(spec.hash_seed, spec.num_fields)[field : field + 1]
    return int(hash_values([(named[3] or "").encode()], np.ascontiguousarray(seeds))[0])
