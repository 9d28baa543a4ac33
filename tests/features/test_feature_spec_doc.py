"""docs/feature_spec.md says what the code does."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np

from mindspore_rec.features.batch import REASONS
from mindspore_rec.features.hashing import field_seeds, hash_values
from mindspore_rec.features.spec import FeatureSpec

TEXT = (Path(__file__).parents[2] / "docs" / "feature_spec.md").read_text(encoding="utf-8")


def test_vectors() -> None:
    vectors = re.findall(r"^\| (\d+) \| (\d+) \| `(\".*\")` \| (\d+) \| (\d+) \| (-?\d+) \|$", TEXT, re.MULTILINE)
    assert len(vectors) >= 12
    for hash_seed, field, text, size, seed, expected in vectors:
        value = json.loads(text).encode()
        seeds = field_seeds(int(hash_seed), int(field) + 1)[int(field) :]
        assert (len(value), seeds[0]) == (int(size), int(seed))
        assert hash_values([value], seeds).view(np.int64)[0] == int(expected), text


def test_reasons() -> None:
    assert set(re.findall(r"^\| \d? ?\| `([\w-]+)` \|", TEXT, re.MULTILINE)) == set(REASONS)


def test_digest() -> None:
    assert f"    {FeatureSpec().to_json()}\n\n    {FeatureSpec().digest()}\n" in TEXT
