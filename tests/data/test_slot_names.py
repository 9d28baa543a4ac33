from __future__ import annotations

import random

import numpy as np

from mindspore_rec.data.slot_names import find_name, index_names
from mindspore_rec.features.hashing import join_values

LETTERS = "ab\x00é"


def test_names_are_found_and_others_are_not() -> None:
    rng = random.Random(1)
    texts = list({"".join(rng.choice(LETTERS) for _ in range(rng.choice([1, 2, 7, 8, 9, 17]))) for _ in range(3000)})
    names, others = texts[::2], texts[1::2]
    index = index_names(names)
    buffer, offsets = join_values([text.encode() for text in (*names, *others, "")])
    found = [find_name(index, buffer, offsets[i], offsets[i + 1] - offsets[i]) for i in range(len(offsets) - 1)]
    assert found == [*range(len(names)), *[-1] * len(others), -1]


def test_what_stands_behind_a_name_does_not_matter() -> None:
    index = index_names(["1", "12", "dense_feature"])
    buffer, _ = join_values([b"123dense_features"])
    assert [find_name(index, buffer, 0, size) for size in range(4)] == [-1, 0, 1, -1]
    assert [find_name(index, buffer, 3, size) for size in (12, 13, 14)] == [-1, 2, -1]
    assert np.count_nonzero(index.numbers >= 0) == 3
