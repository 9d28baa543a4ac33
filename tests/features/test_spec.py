from __future__ import annotations

import json
from dataclasses import fields, replace
from typing import Any

import pytest

from mindspore_rec.features.errors import FeatureConfigError
from mindspore_rec.features.spec import FeatureSpec

OTHER_VALUES = {
    "name": "avazu",
    "dense_dim": 0,
    "slot_dim": 3,
    "numeric_transform": "minmax",
    "hash_seed": 5,
    "dictionary_digest": "ff",
}
BY_DICTIONARY = FeatureSpec(id_rule="dict-v1", dictionary_digest="00")


def test_every_field_that_may_differ_changes_the_digest() -> None:
    changed = [
        replace(FeatureSpec(), **{key: OTHER_VALUES[key]}) for key in ("name", "dense_dim", "slot_dim", "hash_seed")
    ]
    changed += [
        replace(BY_DICTIONARY, **{key: OTHER_VALUES[key]}) for key in ("numeric_transform", "dictionary_digest")
    ]
    digests = {spec.digest() for spec in [FeatureSpec(), BY_DICTIONARY, *changed]}
    assert len(digests) == 8
    assert all(len(digest) == 16 and int(digest, 16) >= 0 for digest in digests)


@pytest.mark.parametrize("spec", [FeatureSpec(), BY_DICTIONARY, FeatureSpec(dense_dim=0, slot_dim=1)])
def test_json_round_trip(spec: FeatureSpec) -> None:
    assert FeatureSpec.from_json(spec.to_json()) == spec
    assert set(json.loads(spec.to_json())) == {field.name for field in fields(FeatureSpec)}
    assert spec.num_columns == 1 + spec.num_fields == 1 + spec.dense_dim + spec.slot_dim


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"name": ""}, "name: ''"),
        ({"version": 2}, "version: 2, expected"),
        ({"dense_dim": -1}, "dense_dim: -1, expected"),
        ({"slot_dim": 0}, "slot_dim: 0, expected"),
        ({"slot_dim": 2.0}, "slot_dim: 2.0, expected"),
        ({"hash_seed": 2**32}, "hash_seed: 4294967296, expected"),
        ({"numeric_transform": "zscore"}, "numeric_transform: 'zscore', expected log1p or minmax"),
        ({"numeric_transform": "minmax"}, "numeric_transform: minmax, expected log1p without dictionaries"),
        ({"id_rule": "md5"}, "id_rule: 'md5', expected"),
        ({"id_rule": "dict-v1"}, "dictionary_digest: missing"),
        ({"dictionary_digest": "00"}, "dictionary_digest: given"),
        ({"id_rule": "dict-v1", "dictionary_digest": "00", "hash_seed": 1}, "hash_seed: 1, expected 0"),
    ],
)
def test_bad_values_are_named(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(FeatureConfigError, match=r"^" + words.replace("(", r"\(")) as caught:
        FeatureSpec(**changes)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "[]", "{}", "null", FeatureSpec().to_json()[:-1] + ',"more":1}'])
def test_from_json_refuses_anything_else(text: str) -> None:
    with pytest.raises(FeatureConfigError, match=r"^feature spec: "):
        FeatureSpec.from_json(text)
