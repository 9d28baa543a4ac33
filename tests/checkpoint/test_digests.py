"""Digests, computed anew from docs/checkpoint_format.md with whole numbers and hashlib alone."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from mindspore_rec.checkpoint.merge import row_digests

CHECKPOINT = Path(__file__).with_name("fixtures") / "version-4" / "step-000000000002"
MASK = 2**64 - 1
BY_ROW = ("ids", "rows", "show", "click", "last_step", "admitted_step")


def mix(h):
    h ^= h >> 33
    h = h * 0xFF51AFD7ED558CCD & MASK
    h ^= h >> 33
    h = h * 0xC4CEB9FE1A85EC53 & MASK
    return h ^ h >> 33


def row_digest(columns):
    total = 0
    for k in range(columns["ids"].size):
        words = [
            w for name in BY_ROW if name in columns for w in np.frombuffer(columns[name][k].tobytes(), "<u4").tolist()
        ]
        places = [mix((i + 1) * 0x9E3779B97F4A7C15 & MASK) | 1 for i in range(len(words))]
        total += mix(sum(word * place for word, place in zip(words, places)) & MASK)
    return total & MASK


def test_a_checkpoint_has_the_digests_the_page_says():
    manifest = json.loads((CHECKPOINT / "manifest.json").read_text())
    parts = {}
    for group, about in manifest["groups"].items():
        arrays = load_file(CHECKPOINT / f"{group}.safetensors")
        rows = {}
        for prefix in about["rows"]:
            columns = {name: arrays.pop(prefix + name) for name in BY_ROW if prefix + name in arrays}
            rows[prefix] = f"{row_digest(columns):016x}"
            assert rows[prefix] == about["rows"][prefix]["digest"]
        digest = hashlib.sha256()
        for name in sorted(arrays):
            array = arrays[name]
            digest.update(f"{name} {array.dtype.str} {list(array.shape)}\n".encode() + array.tobytes())
        assert digest.hexdigest() == about["arrays"]
        parts[group] = [digest.hexdigest(), rows]
    assert sorted(parts) == ["dense", "table-deep"]
    assert sorted(parts["table-deep"][1]) == ["", "waiting.0."]
    text = json.dumps([parts, manifest["meta"]], sort_keys=True)
    assert hashlib.sha256(text.encode()).hexdigest() == manifest["digest"]


@pytest.mark.parametrize("dtype", [np.float32, np.uint16])
def test_each_bit_of_a_row_counts(dtype):
    rng = np.random.default_rng(1)
    words = rng.integers(0, 2**32, (3, 4), dtype=np.uint32)
    rows = words.view(dtype)
    arrays = {"ids": rng.integers(-(2**62), 2**62, 3), "rows": rows}
    before = row_digests(arrays)[""]
    assert before == row_digest(arrays)
    seen = {before}
    for array in (arrays["ids"].view(np.uint32), words.reshape(-1)):
        for word in range(array.size):
            for bit in range(32):
                array[word] ^= np.uint32(1 << bit)
                seen.add(row_digests(arrays)[""])
                array[word] ^= np.uint32(1 << bit)
    assert len(seen) == 1 + 32 * (6 + 12)
    assert row_digests({name: array[::-1] for name, array in arrays.items()})[""] == before
