from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any, Dict, List, Mapping, Sequence

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mindspore_rec.features import dictionary_pickles
from mindspore_rec.features.dictionary import Dictionary, load_dictionary
from mindspore_rec.features.dictionary_pickles import write_pickles
from mindspore_rec.features.errors import FeatureConfigError
from tests.features.contents import SAME_HASH, as_dicts, content_of, some_values

NAMES = ["all_val_max_dict.pkl", "all_val_min_dict.pkl", "cat2id_dict.pkl"]
AT_THE_WIDE_IDS = 2**31 - 40  # 39 ids of a Criteo row below 2**31, those of values from it on


def unpickled(path: Path) -> Dict[str, Any]:
    loaded = pickle.loads(path.read_bytes())  # noqa: S301 - a file of this test
    assert type(loaded) is dict
    return loaded


def load(paths: Sequence[Path], dense_dim: int, slot_dim: int) -> Dictionary:
    largest, smallest, ids = map(str, paths)
    return load_dictionary(largest, smallest, ids, dense_dim, slot_dim)


def assert_written(folder: Path, values: List[List[bytes]], dense_dim: int, first_id: int = 0) -> None:
    content = content_of(values, dense_dim, first_id)
    paths = write_pickles(folder, content)
    assert list(paths) == [folder / name for name in NAMES]
    assert sorted(path.name for path in folder.iterdir()) == NAMES
    dicts: Sequence[Mapping[str, Any]] = as_dicts(content)
    for path, expected in zip(paths, dicts):
        found = unpickled(path)
        assert list(found.items()) == list(expected.items())
        assert {(type(name), type(value)) for name, value in found.items()} == {
            (type(name), type(value)) for name, value in expected.items()
        }
    dictionary = load(paths, dense_dim, len(values))
    assert dictionary.entries == len(content.ids)
    assert (dictionary.low.tobytes(), dictionary.high.tobytes()) == (content.low.tobytes(), content.high.tobytes())


@pytest.mark.parametrize("first_id", [0, 5, 2**31 - 5, AT_THE_WIDE_IDS, 2**31 - 39, 2**32, 2**62])
def test_pickles_hold_the_dictionary(tmp_path: Path, first_id: int) -> None:
    assert_written(tmp_path, some_values(26), 13, first_id)


@pytest.mark.parametrize("batch", [1, 3, 100, 127, 128, 129, 100_000])
def test_any_number_of_values_in_a_batch(tmp_path: Path, batch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dictionary_pickles, "_BATCH", batch)
    assert_written(tmp_path, [[b"%d" % k for k in range(28)], [b""], [b"%d" % k for k in range(99)]], 1)


def test_fields_of_one_to_four_digits_and_no_number_fields(tmp_path: Path) -> None:
    assert_written(tmp_path, [[b"v%d" % k] if k in (0, 8, 9, 98, 99, 998, 999) else [] for k in range(1000)], 0)


def test_no_values(tmp_path: Path) -> None:
    assert_written(tmp_path, [[], []], 2)


def test_long_and_empty_values(tmp_path: Path) -> None:
    assert_written(tmp_path, [[b"x" * 255, b"", b"x" * 256, "é".encode() * 40_000, b"y" * 2**17]], 1)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(st.text(max_size=30).map(str.encode), unique=True), min_size=1, max_size=12))
def test_any_values(tmp_path: Path, values: List[List[bytes]]) -> None:
    assert_written(tmp_path, values, 1, AT_THE_WIDE_IDS)


def test_bounds_are_exact(tmp_path: Path) -> None:
    content = content_of([[b"a"]], 5)
    content.low[:] = [-0.0, 5e-324, 0.1, -1e25, -(2.0**63)]
    content.high[:] = [0.0, 1 / 3, 1.7976931348623157e308, 1e25, 2.0**53 + 2]
    paths = write_pickles(tmp_path, content)
    for path, bounds in zip(paths, (content.high, content.low)):
        assert np.array(list(unpickled(path).values())).tobytes() == bounds.tobytes()


def test_values_of_one_hash_are_refused_when_loaded(tmp_path: Path) -> None:
    paths = write_pickles(tmp_path, content_of([list(SAME_HASH[:2])], 1))
    assert len(unpickled(paths[2])) == 4
    with pytest.raises(FeatureConfigError, match=r"^map_dict: .*has the hash of another; rename one$"):
        load(paths, 1, 1)


def test_a_file_cut_short_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Crash(BaseException):
        pass

    def crash(*_: object) -> None:
        raise Crash

    old = content_of([[b"old"]], 1)
    paths = write_pickles(tmp_path, old)
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", crash)
        with pytest.raises(Crash):
            write_pickles(tmp_path, content_of([[b"new"]], 1))
    assert [unpickled(path) for path in paths] == list(as_dicts(old))
    paths[2].unlink()
    with monkeypatch.context() as patch:
        patch.setattr(dictionary_pickles, "_items", crash)
        with pytest.raises(Crash):
            write_pickles(tmp_path, content_of([[b"new"]], 1))
    assert not paths[2].exists()
