from __future__ import annotations

import pickle
import random
from pathlib import Path
from typing import Any, Callable

import numpy as np
import pytest

from mindspore_rec.features.dictionary import Dictionary, dictionary_seeds, load_dictionary
from mindspore_rec.features.errors import FeatureConfigError
from mindspore_rec.features.hashing import hash_values
from mindspore_rec.features.id_table import build_table, lookup
from tests.features.rows import dictionaries

DENSE, SLOTS = 2, 3


def write_and_load(folder: Path, contents: Any) -> Dictionary:
    paths = []
    for name, content in zip(("max", "min", "map"), contents):
        paths.append(str(folder / f"{name}.pkl"))
        Path(paths[-1]).write_bytes(pickle.dumps(content))
    return load_dictionary(paths[0], paths[1], paths[2], DENSE, SLOTS)


def find(dictionary: Dictionary, field: int, value: str) -> int:
    table = dictionary.table
    hashed = hash_values([value.encode()], dictionary_seeds(SLOTS)[field : field + 1])[0]
    return int(lookup(table.entries, table.first[field], table.mask[field], table.unknown[field], hashed))


def test_every_entry_is_found_and_unknown_values_are_not(tmp_path: Path) -> None:
    contents = dictionaries(DENSE, SLOTS, values=500)
    dictionary = write_and_load(tmp_path, contents)
    ids = contents[2]
    assert dictionary.entries == len(ids) - DENSE - SLOTS
    for name, expected in ids.items():
        if name.startswith("C"):
            field, value = name[1:].split("_", 1)
            assert find(dictionary, int(field) - 1, value) == expected
    for field in range(SLOTS):
        for value in ("nowhere", "C1_", "00000000x", "1f4"):
            assert find(dictionary, field, value) == ids[f"OOVC{field + 1}"]
    assert dictionary.number_ids.tolist() == [ids["I1"], ids["I2"]]
    assert dictionary.high.tolist() == [100.0, 1.0] and dictionary.low.tolist() == [-1.0, 1.0]


def test_a_field_without_values_knows_none(tmp_path: Path) -> None:
    largest, smallest, ids = dictionaries(DENSE, SLOTS)
    ids = {name: value for name, value in ids.items() if not name.startswith("C2_")}
    assert find(write_and_load(tmp_path, (largest, smallest, ids)), 1, "00000000") == ids["OOVC2"]


def test_digest_is_that_of_the_content(tmp_path: Path) -> None:
    def digest(change: Callable[[Any, Any, Any], None]) -> str:
        largest, smallest, ids = dictionaries(DENSE, SLOTS)
        change(largest, smallest, ids)
        return write_and_load(tmp_path, (largest, smallest, ids)).digest

    def shuffle(largest: Any, smallest: Any, ids: Any) -> None:
        items = list(ids.items())
        random.Random(1).shuffle(items)
        ids.clear()
        ids.update(items)

    same = digest(lambda *_: None)
    assert digest(shuffle) == same
    changes = [
        lambda largest, smallest, ids: largest.update(I1=99.0),
        lambda largest, smallest, ids: smallest.update(I1=-2.0),
        lambda largest, smallest, ids: ids.update(I1=1000),
        lambda largest, smallest, ids: ids.update(OOVC3=1000),
        lambda largest, smallest, ids: ids.update({"C1_new": 1000}),
        lambda largest, smallest, ids: ids.update({"C3_a_b": 1000}),
        lambda largest, smallest, ids: ids.pop("C3_a_b"),
    ]
    assert len({same, *map(digest, changes)}) == 1 + len(changes)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda largest, smallest, ids: largest.pop("I2"),
            r"^max_dict: .*max.pkl, entry 'I2' is missing; expected I1 to I2",
        ),
        (lambda largest, smallest, ids: smallest.update(I3=1), r"^min_dict: .*, entry 'I3' is unknown"),
        (
            lambda largest, smallest, ids: largest.update(I1=-5),
            r"^max_dict: I1 is -5, expected at least its min_dict, -1",
        ),
        (lambda largest, smallest, ids: largest.update(I1=float("nan")), "^max_dict: .*finite"),
        (lambda largest, smallest, ids: largest.update(I1=10**400), "^max_dict: .*finite"),
        (lambda largest, smallest, ids: (largest.update(I1=1e308), smallest.update(I1=-1e308)), "finite range"),
        (lambda largest, smallest, ids: ids.pop("I1"), r"^map_dict: .*entry 'I1' is missing; expected I1 to I2"),
        (lambda largest, smallest, ids: ids.pop("OOVC3"), r"^map_dict: .*entry 'OOVC3' is missing"),
        (
            lambda largest, smallest, ids: ids.update(C4_x=5),
            r"^map_dict: .*entry 'C4_x' is unknown; expected C1_ to C3_",
        ),
        (lambda largest, smallest, ids: ids.update(C0_x=5), "'C0_x' is unknown"),
        (lambda largest, smallest, ids: ids.update(C01_x=5), "'C01_x' is unknown"),
        (lambda largest, smallest, ids: ids.update(C1=5), "'C1' is unknown"),
        (lambda largest, smallest, ids: ids.update(C_x=5), "'C_x' is unknown"),
        (lambda largest, smallest, ids: ids.update(I3=5), "'I3' is unknown"),
        (lambda largest, smallest, ids: ids.update({"": 5}), "'' is unknown"),
        (lambda largest, smallest, ids: ids.update(C11111111111111111111_x=5), "is unknown"),
        (lambda largest, smallest, ids: ids.update({"C1_\ud800": 5}), "not Unicode"),
        (lambda largest, smallest, ids: ids.update(C1_x=-1), "no whole number from 0"),
        (lambda largest, smallest, ids: ids.update(C1_x=0.5), "no whole number from 0"),
        (lambda largest, smallest, ids: ids.update(C1_x=2**63), "no whole number from 0"),
    ],
)
def test_files_that_do_not_fit_are_refused(tmp_path: Path, change: Callable[[Any, Any, Any], None], words: str) -> None:
    largest, smallest, ids = dictionaries(DENSE, SLOTS)
    change(largest, smallest, ids)
    with pytest.raises(FeatureConfigError, match=words) as caught:
        write_and_load(tmp_path, (largest, smallest, ids))
    assert "\n" not in str(caught.value)


def test_swapped_files_are_refused(tmp_path: Path) -> None:
    largest, smallest, ids = dictionaries(DENSE, SLOTS)
    with pytest.raises(FeatureConfigError, match=r"^max_dict: I1 is -1, expected at least"):
        write_and_load(tmp_path, (smallest, largest, ids))
    with pytest.raises(FeatureConfigError, match=r"^max_dict: .* is unknown; expected I1 to I2"):
        write_and_load(tmp_path, (ids, smallest, largest))


def test_colliding_hashes_are_found() -> None:
    hashes = np.array([1, 2, 1, 1], np.uint64)
    fields = np.array([0, 0, 1, 0], np.int32)
    unknown = np.array([90, 91])
    assert build_table(hashes, fields, np.arange(4), unknown)[1] == 3
    assert build_table(hashes[:3], fields[:3], np.arange(3), unknown)[1] == -1


def test_values_that_share_a_slot_are_kept_apart() -> None:
    count = 300
    hashes = (np.arange(count, dtype=np.uint64) << np.uint64(40)) | np.uint64(7)
    table, collision = build_table(hashes, np.zeros(count, np.int32), np.arange(count) * 3, np.array([9999]))
    assert collision == -1
    found = [lookup(table.entries, table.first[0], table.mask[0], table.unknown[0], hashed) for hashed in hashes]
    assert found == [3 * i for i in range(count)]
    assert lookup(table.entries, table.first[0], table.mask[0], table.unknown[0], np.uint64(7 | 1 << 63)) == 9999
