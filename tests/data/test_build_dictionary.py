"""Against a dictionary made in plain Python, value by value, in the order of mindrec."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path
from typing import Dict, List, Optional, Tuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mindspore_rec.data import build_dictionary as module
from mindspore_rec.data.build_dictionary import build_dictionary, value_order
from mindspore_rec.data.count_runs import write_run
from mindspore_rec.data.row_scan import scan_rows
from mindspore_rec.data.statistics import Totals
from mindspore_rec.data.value_counts import CountedValues, ValueCounts
from mindspore_rec.features.dictionary_file import DictionaryContent
from mindspore_rec.features.hashing import join_values
from mindspore_rec.features.spec import FeatureSpec

PLENTY = 1 << 30
SORT_BYTES = [module._SORT_BYTES, 0]  # values padded to one size, and Python's sort
Row = List[str]  # label, numbers, categories


def make_rows(count: int, seed: int, dense_dim: int = 13, slot_dim: int = 26) -> List[Row]:
    """Numbers with gaps, none at all in the last field; values of which many are as frequent as another."""
    rng = random.Random(seed)
    odd = ["", "a", "a\0", "a\0\0", "a\0b", "a\x01", "ab", "é", "z", "\x7f", "推", "😀", "w" * 300]
    rows = []
    for _ in range(count):
        numbers = [rng.choice(["", str(rng.randint(-99, 9999)), "-0.5", "1e25"]) for _ in range(dense_dim - 1)]
        categories = [
            rng.choice(odd) if rng.random() < 0.4 else f"{rng.randrange(4 * k + 1):08x}" for k in range(slot_dim)
        ]
        rows.append(["1", *numbers, *[""] * (dense_dim > 0), *categories])
    return rows


def pass_one(folder: Path, runs: List[List[Row]], dense_dim: int = 13, slot_dim: int = 26) -> Tuple[List[Path], Totals]:
    spec, totals, paths = FeatureSpec(dense_dim=dense_dim, slot_dim=slot_dim), Totals(dense_dim), []
    for number, rows in enumerate(runs):
        scanned = scan_rows("".join("\t".join(row) + "\n" for row in rows).encode(), spec)
        assert scanned.rows == len(rows) and scanned.rejects == []
        totals.add(0, scanned)
        tables = [ValueCounts() for _ in range(slot_dim)]
        for k, table in enumerate(tables):
            table.add(scanned.buffer, scanned.hashes[k], scanned.spans[k])
        paths.append(folder / f"run-{number}.safetensors")
        write_run(paths[-1], [table.content() for table in tables], "")
    return paths, totals


def in_plain_python(rows: List[Row], threshold: int, dense_dim: int = 13, slot_dim: int = 26) -> Dict[bytes, int]:
    """Names as in cat2id_dict.pkl, in the order of their ids."""
    ids = {b"I%d" % (k + 1): k for k in range(dense_dim)}
    for k in range(slot_dim):
        ids[b"OOVC%d" % (k + 1)] = len(ids)
    for k in range(slot_dim):
        counts = Counter(row[1 + dense_dim + k].encode() for row in rows)
        for value in sorted(counts, key=lambda value: (-counts[value], value)):
            if counts[value] >= threshold:
                ids[b"C%d_%b" % (k + 1, value)] = len(ids)
    return ids


def names_of(content: DictionaryContent) -> Dict[bytes, int]:
    ids = {b"I%d" % (k + 1): int(number) for k, number in enumerate(content.number_ids)}
    ids.update({b"OOVC%d" % (k + 1): int(number) for k, number in enumerate(content.unknown_ids)})
    for i, field in enumerate(content.fields):
        value = content.values[content.offsets[i] : content.offsets[i + 1]].tobytes()
        ids[b"C%d_%b" % (field + 1, value)] = int(content.ids[i])
    return ids


@pytest.mark.parametrize("sort_bytes", SORT_BYTES)
@pytest.mark.parametrize(("threshold", "memory", "workers"), [(1, PLENTY, 1), (2, 2000, 2), (6, PLENTY, 3)])
def test_ids_are_those_of_plain_python(
    tmp_path: Path, threshold: int, memory: int, workers: int, sort_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_SORT_BYTES", sort_bytes)
    rows = make_rows(330, seed=threshold)
    paths, totals = pass_one(tmp_path, [rows[:100], rows[100:110], rows[110:]])
    done: List[Optional[bool]] = []
    content, distinct = build_dictionary(paths, totals, 26, threshold, memory, workers, lambda: done.append(None))
    expected = in_plain_python(rows, threshold)
    assert list(names_of(content).items()) == list(expected.items())
    assert list(expected.values()) == list(range(39 + len(content.ids)))
    assert len(done) == 26
    assert distinct == [len({row[14 + k] for row in rows}) for k in range(26)]
    counts = Counter((k, row[14 + k].encode()) for row in rows for k in range(26))
    for i, count in enumerate(content.counts.tolist()):
        value = content.values[content.offsets[i] : content.offsets[i + 1]].tobytes()
        assert counts[int(content.fields[i]), value] == count >= threshold


def test_numbers_of_mindrec(tmp_path: Path) -> None:
    content, _ = build_dictionary(*pass_one(tmp_path, [make_rows(20, seed=0)]), 26, 1, PLENTY, 2)
    assert content.number_ids.tolist() == list(range(13))
    assert content.unknown_ids.tolist() == list(range(13, 39))
    assert content.ids.tolist() == list(range(39, 39 + len(content.fields)))
    assert {name: getattr(content, name).dtype for name in ("number_ids", "unknown_ids", "ids", "counts")} == {
        name: np.dtype(np.int64) for name in ("number_ids", "unknown_ids", "ids", "counts")
    }
    assert content.fields.dtype == np.int32 and content.offsets.dtype == np.int64 and content.values.dtype == np.uint8


def test_a_value_at_the_threshold_is_kept_and_one_below_is_not(tmp_path: Path) -> None:
    values = ["at"] * 3 + ["below"] * 2 + ["above"] * 4 + [""] * 3 + ["split"] * 3
    rows = [["0", "5", value] for value in values]
    content, distinct = build_dictionary(*pass_one(tmp_path, [rows[:-1], rows[-1:]], 1, 1), 1, 3, PLENTY, 1)
    assert names_of(content) == {b"I1": 0, b"OOVC1": 1, b"C1_above": 2, b"C1_": 3, b"C1_at": 4, b"C1_split": 5}
    assert distinct == [5]


def test_no_value_is_frequent_enough(tmp_path: Path) -> None:
    rows = [["0", "5", value, "x"] for value in "abc"]
    content, distinct = build_dictionary(*pass_one(tmp_path, [rows], 1, 2), 2, 4, PLENTY, 2)
    assert names_of(content) == {b"I1": 0, b"OOVC1": 1, b"OOVC2": 2} and distinct == [3, 1]
    assert content.offsets.tolist() == [0] and len(content.values) == len(content.counts) == 0


def test_bounds_are_those_seen_and_nought_where_none_was(tmp_path: Path) -> None:
    numbers = [["-7", "", "", "2.5"], ["3", "", "4", ""], ["", "", "", "1e25"]]
    rows = [["1", *row, "c"] for row in numbers]
    paths, totals = pass_one(tmp_path, [rows[:1], rows[1:]], 4, 1)
    content, _ = build_dictionary(paths, totals, 1, 1, PLENTY, 1)
    assert content.low.tolist() == [-7.0, 0.0, 4.0, 2.5] and content.high.tolist() == [3.0, 0.0, 4.0, 1e25]
    assert content.low.dtype == content.high.dtype == np.float64


def test_no_number_fields(tmp_path: Path) -> None:
    content, _ = build_dictionary(*pass_one(tmp_path, [[["1", "a"], ["0", "b"], ["0", "b"]]], 0, 1), 1, 1, PLENTY, 1)
    assert names_of(content) == {b"OOVC1": 0, b"C1_b": 1, b"C1_a": 2}
    assert content.low.shape == content.high.shape == content.number_ids.shape == (0,)


@settings(deadline=None)
@given(st.dictionaries(st.binary(max_size=3) | st.text("a\0é", max_size=9).map(str.encode), st.integers(1, 3)))
def test_any_values_in_both_ways_to_sort(counts: Dict[bytes, int]) -> None:
    values = list(counts)
    buffer, offsets = join_values(values)
    content = CountedValues(
        np.arange(len(values), dtype=np.uint64),
        np.array(list(counts.values()), np.int64),
        offsets,
        buffer[: offsets[-1]],
    )
    expected = sorted(range(len(values)), key=lambda i: (-counts[values[i]], values[i]))
    for sort_bytes in SORT_BYTES:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, "_SORT_BYTES", sort_bytes)
            order = value_order(content)
        assert order.dtype == np.int64 and order.tolist() == expected
