"""Pass one: what it counts, what it refuses, and how it goes on after it was cut off."""

import json
import math
from collections import Counter
from pathlib import Path
from typing import List

import pytest

from mindspore_rec.config import UserError
from mindspore_rec.data import count_pass
from mindspore_rec.data.count_pass import CountPass
from mindspore_rec.data.count_runs import merge_field
from mindspore_rec.data.input_files import find_files
from mindspore_rec.data.synthetic import SyntheticStream
from mindspore_rec.features.spec import FeatureSpec
from mindspore_rec.stream import raw_lines

SPEC = FeatureSpec()
ROWS = 6000


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(raw_lines, "CHUNK_BYTES", 100_000)
    monkeypatch.setattr(count_pass, "_CHUNKS_PER_WORKER", 1)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    stream = SyntheticStream(seed=3)
    (tmp_path / "day_0").write_bytes(stream.lines(0, 4000))
    (tmp_path / "day_1").write_bytes(stream.lines(4000, ROWS - 4000))
    return tmp_path


def counting(folder: Path, memory: int = 1 << 30, max_bad: float = 0.01, spec: FeatureSpec = SPEC) -> CountPass:
    files = find_files(folder, "day_*")
    return CountPass(folder / "work", files, spec, folder / "bad_rows.jsonl", memory, workers=2, max_bad=max_bad)


def counts(work: CountPass, field: int) -> Counter:
    values, _ = merge_field(work.runs, field, threshold=1, memory=1 << 30)
    cuts = values.offsets.tolist()
    data = values.values.tobytes()
    return Counter({data[cuts[i] : cuts[i + 1]]: int(n) for i, n in enumerate(values.counts)})


def expected_columns(folder: Path) -> List[List[bytes]]:
    lines = b"".join((folder / name).read_bytes() for name in ("day_0", "day_1")).splitlines()
    return [list(column) for column in zip(*(line.split(b"\t") for line in lines))]


@pytest.mark.parametrize("memory", [1 << 30, 3 << 20], ids=["one run", "several runs"])
def test_it_counts_what_is_there(folder: Path, memory: int) -> None:
    work = counting(folder, memory)
    totals = work.run()
    columns = expected_columns(folder)
    assert (totals.rows, totals.bad_rows, totals.file_rows) == (ROWS, 0, [4000, 2000])
    assert totals.clicks == columns[0].count(b"1")
    for k in range(13):
        numbers = [float(text) for text in columns[1 + k] if text]
        assert (totals.low[k], totals.high[k]) == (min(numbers), max(numbers))
        assert totals.missing[k] == ROWS - len(numbers)
    for k in range(26):
        assert counts(work, k) == Counter(columns[14 + k])
    assert (len(work.runs) > 1) == (memory < 1 << 30)


def test_bytes_and_rows_of_the_progress_add_up(folder: Path) -> None:
    seen: List[List[int]] = []
    counting(folder).run(lambda size, rows: seen.append([size, rows]))
    assert [sum(column) for column in zip(*seen)] == [sum(f.size for f in find_files(folder, "day_*")), ROWS]


class CutOffError(Exception):
    """What ends a pass in these tests."""


@pytest.mark.parametrize("after", [1, 4, 6])
def test_a_pass_cut_off_goes_on_behind_its_newest_run(folder: Path, after: int) -> None:
    calls = 0

    def cut_off(size: int, rows: int) -> None:
        nonlocal calls
        calls += 1
        if calls == after:
            raise CutOffError

    with pytest.raises(CutOffError):
        counting(folder, 3 << 20).run(cut_off)
    again = counting(folder, 3 << 20)
    skipped = again.totals.rows
    assert (skipped > 0) == (after > 2)
    read: List[int] = []
    totals = again.run(lambda size, rows: read.append(rows))
    assert sum(read) == ROWS - skipped
    columns = expected_columns(folder)
    assert totals.rows == ROWS and totals.clicks == columns[0].count(b"1")
    for k in (0, 2, 5, 25):
        assert counts(again, k) == Counter(columns[14 + k])


def test_other_files_begin_a_new_pass(folder: Path) -> None:
    counting(folder, 3 << 20).run()
    with (folder / "day_1").open("ab") as file:
        file.write(SyntheticStream(seed=3).lines(ROWS, 10))
    again = counting(folder)
    assert not again.runs and not list((folder / "work").iterdir())
    assert again.run().rows == ROWS + 10


def test_bad_rows_are_listed_once_also_after_a_restart(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bad = b"2" + SyntheticStream(seed=3).lines(0, 1)[1:]
    (folder / "day_1").write_bytes(bad + (folder / "day_1").read_bytes() + b"a\tb\xff\n")
    seen = 0

    def cut_off(size: int, rows: int) -> None:
        nonlocal seen
        seen += rows
        if seen > 5500:
            raise CutOffError

    with pytest.raises(CutOffError):
        counting(folder, 3 << 20).run(cut_off)
    totals = counting(folder, 3 << 20).run()
    assert (totals.rows, totals.bad_rows) == (ROWS + 2, 2)
    listed = [json.loads(line) for line in (folder / "bad_rows.jsonl").read_text().splitlines()]
    assert [(entry["file"], entry["row"], entry["reason"]) for entry in listed] == [
        ("day_1", 0, "label"),
        ("day_1", 2001, "utf-8"),
    ]
    assert listed[0]["line"].startswith("2\t") and listed[1]["line"] == "a\tb\\xff"


def test_too_many_bad_rows_are_an_error(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (folder / "day_1").open("ab") as file:
        file.write(b"junk\n" * 70)
    with pytest.raises(UserError, match=r"^max_bad = 0.01: 70 of the first 6070 rows are bad; .*bad_rows.jsonl"):
        counting(folder).run()
    monkeypatch.setattr(count_pass, "_BAD_ROWS_AT_LEAST", 100)
    (folder / "day_0").write_bytes(b"junk\n" * 100_000)
    with pytest.raises(UserError, match=r"of the first \d{5} rows are bad"):
        counting(folder).run()
    assert counting(folder, max_bad=1.0).run().bad_rows == 100_070


def test_empty_files_are_no_rows_and_only_those_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "day_0").write_bytes(b"")
    with pytest.raises(UserError, match=r"^data_path: no row in any of the 1 files"):
        counting(tmp_path).run()
    (tmp_path / "day_1").write_bytes(SyntheticStream(seed=3).lines(0, 5))
    (tmp_path / "day_2").write_bytes(b"")
    assert counting(tmp_path).run().file_rows == [0, 5, 0]


def test_fields_without_numbers_have_bounds(tmp_path: Path) -> None:
    (tmp_path / "day_0").write_bytes(b"0\t\t2\tx\n1\t\t-1\ty\n")
    totals = counting(tmp_path, spec=FeatureSpec(dense_dim=2, slot_dim=1)).run()
    assert totals.low[0] == math.inf
    assert totals.bounds() == ([0.0, -1.0], [0.0, 2.0])
