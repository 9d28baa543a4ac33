from __future__ import annotations

import os
import random
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, Dict, List

import numpy as np
import pytest
from safetensors import safe_open

from mindspore_rec.config import FeatureConfig
from mindspore_rec.features.batch import Features
from mindspore_rec.features.dictionary import Dictionary, dictionary_seeds, load_dictionary
from mindspore_rec.features.dictionary_file import (
    DictionaryContent,
    load_dictionary_file,
    read_dictionary_file,
    write_dictionary_file,
)
from mindspore_rec.features.dictionary_pickles import write_pickles
from mindspore_rec.features.engine import make_engine
from mindspore_rec.features.errors import FeatureConfigError
from mindspore_rec.features.hashing import hash_values
from mindspore_rec.features.id_table import lookup
from tests.features.contents import as_dicts, content_of, some_values
from tests.features.rows import line_of, plain_fields

DENSE, SLOTS = 2, 3
WIDE = 2**31 - 10
PICKLES = ("max_dict", "min_dict", "map_dict")


def write(folder: Path, content: DictionaryContent) -> str:
    path = folder / "dictionary.safetensors"
    write_dictionary_file(path, content, {"rows": 5})
    return str(path)


def from_pickles(folder: Path, content: DictionaryContent) -> Dictionary:
    largest, smallest, ids = map(str, write_pickles(folder, content))
    return load_dictionary(largest, smallest, ids, len(content.low), len(content.unknown_ids))


def find(dictionary: Dictionary, field: int, value: bytes) -> int:
    table = dictionary.table
    hashed = hash_values([value], dictionary_seeds(len(table.first))[field : field + 1])[0]
    return int(lookup(table.entries, table.first[field], table.mask[field], table.unknown[field], hashed))


def assert_same(one: Dictionary, other: Dictionary) -> None:
    assert one.digest == other.digest and one.entries == other.entries
    for name in ("low", "high", "number_ids"):
        mine, theirs = getattr(one, name), getattr(other, name)
        assert mine.dtype == theirs.dtype and mine.tobytes() == theirs.tobytes()
    for field in fields(one.table):
        mine, theirs = getattr(one.table, field.name), getattr(other.table, field.name)
        assert mine.dtype == theirs.dtype
        if field.name != "entries":  # their places depend on the order of the values
            assert np.array_equal(mine, theirs)


@pytest.mark.parametrize("first_id", [0, 5, WIDE, 2**62])
@pytest.mark.parametrize(("dense_dim", "slot_dim"), [(DENSE, SLOTS), (13, 26), (0, 1)])
def test_it_is_the_dictionary_of_the_pickles(tmp_path: Path, dense_dim: int, slot_dim: int, first_id: int) -> None:
    content = content_of(some_values(slot_dim), dense_dim, first_id)
    mine = load_dictionary_file(write(tmp_path, content), dense_dim, slot_dim)
    theirs = from_pickles(tmp_path, content)
    assert_same(mine, theirs)
    ids = as_dicts(content)[2]
    for name, expected in ids.items():
        if name.startswith("C"):
            number, value = name[1:].split("_", 1)
            assert find(mine, int(number) - 1, value.encode()) == find(theirs, int(number) - 1, value.encode())
            assert find(mine, int(number) - 1, value.encode()) == expected
    for field in range(slot_dim):
        assert find(mine, field, b"nowhere") == find(theirs, field, b"nowhere") == ids[f"OOVC{field + 1}"]


def test_a_dictionary_without_values(tmp_path: Path) -> None:
    content = content_of([[], []], 1)
    mine = load_dictionary_file(write(tmp_path, content), 1, 2)
    assert_same(mine, from_pickles(tmp_path, content))
    assert mine.entries == 0 and find(mine, 1, b"") == 2


def test_the_order_of_values_does_not_matter(tmp_path: Path) -> None:
    values = [[b"a", b"b"], [b"c"], []]
    content = content_of(values, DENSE)
    turned = content_of([[b"b", b"a"], [b"c"], []], DENSE)
    turned = replace(turned, ids=turned.ids[[1, 0, 2]])
    one, other = (load_dictionary_file(write(tmp_path, c), DENSE, SLOTS) for c in (content, turned))
    assert one.digest == other.digest


def test_content_is_read_as_written(tmp_path: Path) -> None:
    content = content_of(some_values(SLOTS), DENSE, WIDE)
    path = write(tmp_path, content)
    found = read_dictionary_file(path)
    for field in fields(content):
        mine, theirs = getattr(found, field.name), getattr(content, field.name)
        assert mine.dtype == theirs.dtype and mine.tobytes() == theirs.tobytes()
    assert os.listdir(tmp_path) == ["dictionary.safetensors"]
    with safe_open(path, "numpy") as file:
        assert file.metadata() == {"format": "mindspore_rec dictionary 1", "about": '{"rows": 5}'}


def test_a_file_cut_short_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Crash(BaseException):
        pass

    def crash(*_: object) -> None:
        raise Crash

    monkeypatch.setattr(os, "replace", crash)
    with pytest.raises(Crash):
        write(tmp_path, content_of([[b"a"]], 1))
    assert os.listdir(tmp_path) == []


def features_of(config: FeatureConfig, form: str) -> Features:
    rng = random.Random(3)
    rows = [plain_fields(rng) for _ in range(300)]
    odd = ["1.5", "-0.25", "1e25", "98765432109876543.1", ""]
    rows += [["1", *rng.choices(odd, k=13), *rows[0][14:]] for _ in range(2)]
    rows += [["2", *rows[0][1:]], ["1", "x", *rows[0][2:]], rows[0][:39]]
    return make_engine(config).transform(list(map(line_of, rows)), form)


@pytest.mark.parametrize("engine", ["numba", "pandas"])
@pytest.mark.parametrize("transform", [None, "log1p"])
def test_an_engine_gives_the_ids_and_weights_it_gives_with_the_pickles(
    tmp_path: Path, engine: Any, transform: Any
) -> None:
    content = content_of(some_values(26), 13, WIDE)
    path, pickles = write(tmp_path, content), map(str, write_pickles(tmp_path, content))
    common: Dict[str, Any] = {"engine": engine, "numeric_transform": transform}
    ours = FeatureConfig(dictionary=path, **common)
    theirs = FeatureConfig(**dict(zip(PICKLES, pickles)), **common)
    assert make_engine(ours).spec == make_engine(theirs).spec
    one, other = features_of(ours, "tsv"), features_of(theirs, "tsv")
    assert len(one) == 302 and len(one.reject_row) == 3
    for field in fields(Features):
        assert getattr(one, field.name).tobytes() == getattr(other, field.name).tobytes()
    known = np.isin(one.ids[:, 13:], content.ids)
    assert 0.2 < known.mean() < 0.9
    assert set(one.ids[:, 13:][~known]) <= set(content.unknown_ids.tolist())


@pytest.mark.parametrize("given", [PICKLES[:1], PICKLES[1:2], PICKLES[2:], PICKLES])
def test_it_is_refused_beside_pickles(tmp_path: Path, given: List[str]) -> None:
    content = content_of([[b"a"]], 1)
    paths = dict(zip(PICKLES, map(str, write_pickles(tmp_path, content))))
    config = FeatureConfig(
        dictionary=write(tmp_path, content), dense_dim=1, slot_dim=1, **{key: paths[key] for key in given}
    )
    with pytest.raises(FeatureConfigError) as caught:
        make_engine(config)
    assert str(caught.value) == f"{given[0]}: {paths[given[0]]}, expected none beside dictionary"
