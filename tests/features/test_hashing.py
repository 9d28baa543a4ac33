from __future__ import annotations

import mmh3
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mindspore_rec.features.hashing import field_seeds, hash_spans, hash_values, hash_word
from mindspore_rec.features.words import PADDING

SEEDS = st.integers(0, 2**32 - 1)


def expected(value: bytes, seed: int) -> int:
    return int(mmh3.hash64(value, seed, True)[0])


@given(st.binary(max_size=70), SEEDS)
def test_equals_mmh3(value: bytes, seed: int) -> None:
    assert hash_values([value], np.array([seed], np.uint32)).view(np.int64)[0] == expected(value, seed)


@pytest.mark.parametrize("size", range(70))
def test_equals_mmh3_at_every_size(size: int) -> None:
    value = np.random.default_rng(size).bytes(size)
    assert hash_values([value], np.array([size], np.uint32)).view(np.int64)[0] == expected(value, size)


@given(st.lists(st.binary(max_size=20), max_size=9), st.lists(SEEDS, min_size=1, max_size=3))
def test_many_values_take_their_seeds_in_turn(values: list[bytes], seeds: list[int]) -> None:
    hashes = hash_values(values, np.array(seeds, np.uint32)).view(np.int64).tolist()
    assert hashes == [expected(value, seeds[i % len(seeds)]) for i, value in enumerate(values)]


@given(st.binary(max_size=8), SEEDS)
def test_word_form_equals_the_general_one(value: bytes, seed: int) -> None:
    word = np.uint64(int.from_bytes(value, "little"))
    assert np.uint64(hash_word(word, len(value), np.uint32(seed))).view(np.int64) == expected(value, seed)


@given(st.binary(max_size=40), st.binary(min_size=PADDING, max_size=PADDING))
def test_bytes_behind_a_value_do_not_matter(value: bytes, behind: bytes) -> None:
    buffer = np.frombuffer(value + behind, np.uint8)
    hashes = hash_spans(buffer, np.array([0, len(value)]), np.array([3], np.uint32))
    assert hashes.view(np.int64)[0] == expected(value, 3)


@given(SEEDS)
def test_seeds_differ_between_fields_and_between_hash_seeds(hash_seed: int) -> None:
    seeds = field_seeds(hash_seed, 2000).tolist()
    assert len(set(seeds)) == 2000
    assert seeds == [(hash_seed + 0x9E3779B9 * (field + 1)) % 2**32 for field in range(2000)]
    other = field_seeds((hash_seed + 1) % 2**32, 2000).tolist()
    assert all(one != two for one, two in zip(seeds, other))
