from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest

from mindspore_rec.config import FeatureConfig
from mindspore_rec.features.engine import make_engine, row_bytes
from mindspore_rec.features.errors import FeatureConfigError
from mindspore_rec.features.numba_engine import NumbaEngine
from mindspore_rec.features.pandas_engine import PandasEngine
from tests.features.rows import dictionaries


@pytest.fixture
def paths(tmp_path: Path) -> dict[str, str]:
    made = {}
    for key, content in zip(("max_dict", "min_dict", "map_dict"), dictionaries()):
        made[key] = str(tmp_path / f"{key}.pkl")
        Path(made[key]).write_bytes(pickle.dumps(content))
    return made


def test_defaults_are_hash_ids_and_log1p() -> None:
    engine = make_engine(FeatureConfig(hash_seed=3))
    assert isinstance(engine, NumbaEngine)
    spec = engine.spec
    assert (spec.id_rule, spec.numeric_transform, spec.hash_seed, spec.dictionary_digest) == (
        "hash-v1",
        "log1p",
        3,
        None,
    )
    assert isinstance(make_engine(FeatureConfig(engine="pandas")), PandasEngine)


def test_dictionaries_mean_dictionary_ids_and_minmax(paths: dict[str, str]) -> None:
    spec = make_engine(FeatureConfig(**paths)).spec
    assert (spec.id_rule, spec.numeric_transform) == ("dict-v1", "minmax")
    assert spec.dictionary_digest is not None and len(spec.dictionary_digest) == 32
    other = make_engine(FeatureConfig(numeric_transform="log1p", **paths)).spec
    assert other.numeric_transform == "log1p" and other.digest() != spec.digest()


@pytest.mark.parametrize("given", [["max_dict"], ["min_dict"], ["map_dict"], ["max_dict", "map_dict"]])
def test_some_dictionaries_only(paths: dict[str, str], given: list[str]) -> None:
    with pytest.raises(FeatureConfigError) as caught:
        make_engine(FeatureConfig(**{key: paths[key] for key in given}))
    assert (
        str(caught.value)
        == f"{given[0]}: {paths[given[0]]}, expected all of max_dict, min_dict and map_dict or none of them"
    )


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"numeric_transform": "minmax"}, "numeric_transform: minmax, expected log1p without dictionaries"),
        ({"map_dict": "absent.pkl", "max_dict": None, "min_dict": None}, "map_dict: absent.pkl, expected all of"),
    ],
)
def test_settings_that_do_not_go_together(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=r"^" + words):
        make_engine(FeatureConfig(**changes))


def test_bad_dictionaries_are_one_line(paths: dict[str, str]) -> None:
    with pytest.raises(FeatureConfigError, match=r"^map_dict: nowhere\.pkl, no such file"):
        make_engine(FeatureConfig(**{**paths, "map_dict": "nowhere.pkl"}))
    with pytest.raises(FeatureConfigError, match=r"^hash_seed: 5, expected 0 where dictionaries"):
        make_engine(FeatureConfig(hash_seed=5, **paths))
    with pytest.raises(FeatureConfigError, match=r"^max_dict: .*expected I1 to I12"):
        make_engine(FeatureConfig(dense_dim=12, **paths))


def test_row_bytes() -> None:
    message = b"a\tb\r\n\nc\xff\n"
    assert [row_bytes(message, "block", row) for row in range(3)] == [b"a\tb", b"", b"c\xff"]
    assert row_bytes(b"[1]\n", "json", 0) == b"[1]\n"
    for form, row in (("block", 3), ("block", -1), ("json", 1)):
        with pytest.raises(IndexError, match=f"^row {row} of a message of"):
            row_bytes(message, form, row)
    with pytest.raises(ValueError, match=r"^format: 'csv'"):
        row_bytes(message, "csv", 0)
