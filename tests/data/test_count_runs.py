from __future__ import annotations

import os
import random
from collections import Counter
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from mindspore_rec.data import count_runs
from mindspore_rec.data.count_runs import merge_field, read_text, write_run
from mindspore_rec.data.value_counts import CountedValues, ValueCounts
from mindspore_rec.features.dictionary import dictionary_seeds
from mindspore_rec.features.hashing import hash_values, join_values

PLENTY = 1 << 30
WORDS = [b"", b"a", b"red", b"\0", "推荐".encode(), b"long enough not to fit a word", b"z" * 3000]


def counted(values: Sequence[bytes], field: int = 0) -> CountedValues:
    table = ValueCounts()
    buffer, offsets = join_values(values)
    spans = (offsets[:-1].astype(np.uint64) << np.uint64(24)) | np.diff(offsets).astype(np.uint64)
    table.add(buffer, hash_values(values, dictionary_seeds(field + 1)[field:]), spans)
    return table.content()


def write_runs(folder: Path, runs: Sequence[Sequence[Sequence[bytes]]]) -> List[Path]:
    """A file of each run, a list of values for each of its fields."""
    paths = []
    for number, fields in enumerate(runs):
        paths.append(folder / f"run-{number}.safetensors")
        write_run(paths[-1], [counted(values, k) for k, values in enumerate(fields)], "")
    return paths


def counts_of(content: CountedValues) -> Dict[bytes, int]:
    values = [content.values[start:end].tobytes() for start, end in zip(content.offsets, content.offsets[1:])]
    assert len(set(values)) == len(values) == len(content)
    return dict(zip(values, content.counts.tolist()))


def assert_merged(
    paths: Sequence[Path], field: int, lists: Sequence[Sequence[bytes]], threshold: int, memory: int
) -> None:
    content, distinct = merge_field(paths, field, threshold, memory)
    total = Counter(value for values in lists for value in values)
    found = counts_of(content)
    assert found == {value: count for value, count in total.items() if count >= threshold}
    assert distinct == len(total)
    assert np.array_equal(content.hashes, hash_values(list(found), dictionary_seeds(field + 1)[field:]))
    assert (content.hashes[1:] > content.hashes[:-1]).all()
    assert content.offsets[0] == 0 and content.offsets[-1] == len(content.values)
    dtypes = [content.hashes.dtype, content.counts.dtype, content.offsets.dtype, content.values.dtype]
    assert dtypes == [np.uint64, np.int64, np.int64, np.uint8]


@pytest.mark.parametrize("memory", [PLENTY, 20_000, 2_000])
@pytest.mark.parametrize("threshold", [1, 2, 6])
def test_random_runs(tmp_path: Path, threshold: int, memory: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random(7)
    names = [*WORDS, *(b"%x" % i for i in range(150))]
    runs = [[[rng.choice(names) for _ in range(rng.randrange(200))] for _ in range(3)] for _ in range(4)]
    runs[2][1] = []
    paths = write_runs(tmp_path, runs)
    reads = []

    def read(*args: Any) -> CountedValues:
        reads.append(args)
        return whole_read(*args)

    whole_read = count_runs._read
    monkeypatch.setattr(count_runs, "_read", read)
    for field in range(3):
        assert_merged(paths, field, [run[field] for run in runs], threshold, memory)
    assert (len(reads) > 3 * len(runs)) == (memory < PLENTY)  # several ranges of hashes, or one


def test_counts_add_up_to_the_threshold(tmp_path: Path) -> None:
    runs = [[[b"a"] * 3 + [b"b"] * 2 + [b"c"]], [[b"a"] * 3 + [b"b"] * 3], [[b"c"] * 5]]
    paths = write_runs(tmp_path, runs)
    content, distinct = merge_field(paths, 0, 6, PLENTY)
    assert (counts_of(content), distinct) == ({b"a": 6, b"c": 6}, 3)
    assert counts_of(merge_field(paths[:1], 0, 3, PLENTY)[0]) == {b"a": 3}


@pytest.mark.parametrize("memory", [PLENTY, 30])
def test_fields_without_values_and_with_empty_ones_only(tmp_path: Path, memory: int) -> None:
    none: List[bytes] = []
    runs = [[none, [b""], none], [none, [b"", b""], [b""]], [none, none, [b"x"]]]
    paths = write_runs(tmp_path, runs)
    for field in range(3):
        for threshold in (1, 2, 100):
            assert_merged(paths, field, [run[field] for run in runs], threshold, memory)
            assert_merged(paths[:1], field, [runs[0][field]], threshold, memory)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    runs=st.lists(st.lists(st.binary(max_size=2) | st.binary(max_size=20)), min_size=1, max_size=4),
    threshold=st.integers(1, 3),
    memory=st.sampled_from([PLENTY, 1000, 200]),
)
def test_any_runs(tmp_path: Path, runs: List[List[bytes]], threshold: int, memory: int) -> None:
    paths = write_runs(tmp_path, [[values] for values in runs])
    assert_merged(paths, 0, runs, threshold, memory)


def test_counts_beyond_those_of_one_table(tmp_path: Path) -> None:
    content = counted([b"often", b"once"])
    often = int(np.argmax(np.diff(content.offsets)))
    content.counts[often] = (1 << 28) - 1
    paths = [tmp_path / f"{k}.safetensors" for k in range(20)]
    for path in paths:
        write_run(path, [content], "")
    assert counts_of(merge_field(paths, 0, 21, PLENTY)[0]) == {b"often": 20 * ((1 << 28) - 1)}


@pytest.mark.parametrize("text", ["", "plain", '{"key": "C:\\\\x\n\\u00e9"}', "推荐\n\0\t" * 1000])
def test_text_is_read_as_written(tmp_path: Path, text: str) -> None:
    path = tmp_path / "run.safetensors"
    write_run(path, [counted([b"a"])], text)
    assert read_text(path) == text


@pytest.mark.parametrize("when", ["in the file", "before it is moved"])
def test_a_run_cut_short_is_not_there(tmp_path: Path, when: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Crash(BaseException):
        pass

    def cut_short(arrays: Dict[str, Any], path: str, metadata: Optional[Dict[str, str]] = None) -> None:
        save_file(arrays, path, metadata)
        os.truncate(path, os.path.getsize(path) // 2)
        raise Crash

    def crash(*_: object) -> None:
        raise Crash

    path = tmp_path / "run-000000.safetensors"
    with monkeypatch.context() as patch:
        if when == "in the file":
            patch.setattr(count_runs, "save_file", cut_short)
        else:
            patch.setattr(os, "replace", crash)
        with pytest.raises(Crash):
            write_run(path, [counted([b"a"] * 3)], "first")
    assert list(tmp_path.iterdir()) == []
    write_run(path, [counted([b"a"] * 2)], "second")
    assert [found.name for found in tmp_path.iterdir()] == [path.name]
    assert read_text(path) == "second" and counts_of(merge_field([path], 0, 1, PLENTY)[0]) == {b"a": 2}
