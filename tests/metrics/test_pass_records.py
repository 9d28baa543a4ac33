"""metrics.jsonl: what was written is read, the last line of a pass counts, and damage is told."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, Optional

import pytest

from mindspore_rec.config import UserError
from mindspore_rec.metrics.pass_metrics import PassMetrics
from mindspore_rec.metrics.pass_records import FILE, PassRecord, Stage, append_records, read_records
from mindspore_rec.stream.pass_schedule import PassKey


def record(day: str, number: Optional[int], stage: Stage = "Infer", probability: float = 0.25) -> PassRecord:
    metrics = PassMetrics()
    metrics.update([0, 1], [probability, 0.75])
    return PassRecord(day, number, stage, 1, metrics.summary(), 0.5)


def test_what_was_written_is_read_in_order(tmp_path: Path) -> None:
    given = [record("20190721", 1), record("20190720", None), record("20190720", 10, "Train"), record("20190720", 2)]
    append_records(tmp_path, given[:3])
    append_records(tmp_path, given[3:])
    assert read_records(tmp_path) == [given[3], given[2], given[1], given[0]]
    assert [found.key for found in read_records(tmp_path)][:3] == [
        PassKey("20190720", 2),
        PassKey("20190720", 10),
        None,
    ]


def test_the_last_line_of_a_pass_and_stage_counts(tmp_path: Path) -> None:
    append_records(tmp_path, [record("20190720", 1), record("20190720", 1, "Train"), record("20190720", None)])
    again = record("20190720", 1, probability=0.5)
    append_records(tmp_path, [again])
    assert read_records(tmp_path) == [again, record("20190720", 1, "Train"), record("20190720", None)]


def test_lines_are_for_programs(tmp_path: Path) -> None:
    append_records(tmp_path, [record("20190720", 3), PassRecord("20190720", None, "Train", 6, PassMetrics().summary())])
    first, second = (json.loads(line) for line in (tmp_path / FILE).read_text("utf-8").splitlines())
    assert (first["day"], first["pass"], first["stage"], first["rows"]) == ("20190720", 3, "Infer", 2)
    assert (first["auc"], first["gauc"], first["mae"], first["copc"]) == (1.0, 0.5, 0.25, 1.0)
    assert (second["pass"], second["passes"], second["gauc"], second["mae"], second["auc"]) == (
        None,
        6,
        None,
        None,
        0.5,
    )
    found = read_records(tmp_path)[1]
    assert math.isnan(found.summary.mae) and found.gauc is None and found.passes == 6


def test_there_are_none(tmp_path: Path) -> None:
    assert read_records(tmp_path) == []


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("day", "20190732", "'20190732' is no day"),
        ("day", 20190720, "day = 20190720: expected text"),
        ("pass", 0, "pass = 0: expected a whole number of at least 1"),
        ("pass", True, "pass = True: expected a whole number"),
        ("stage", "Test", "stage = 'Test': expected Infer or Train"),
        ("rows", -1, "rows = -1: expected a whole number of at least 0"),
        ("passes", None, "passes = None: expected a whole number"),
        ("auc", "0.5", "auc = '0.5': expected a number or null"),
        ("gauc", True, "gauc = True: expected a number or null"),
    ],
)
def test_a_line_that_is_none_is_named(key: str, value: Any, message: str, tmp_path: Path) -> None:
    append_records(tmp_path, [record("20190720", 1)])
    fields = {**record("20190720", 2).fields(), key: value}
    with (tmp_path / FILE).open("a", encoding="utf-8") as file:
        file.write(json.dumps(fields) + "\n")
    with pytest.raises(UserError, match=f"metrics.jsonl: line 2 is damaged: {message}"):
        read_records(tmp_path)


@pytest.mark.parametrize("key", ["day", "pass", "stage", "passes", "rows", "auc", "gauc"])
def test_every_field_is_needed(key: str) -> None:
    fields = record("20190720", 2).fields()
    assert PassRecord.read(fields) == record("20190720", 2)
    del fields[key]
    with pytest.raises(ValueError, match=key):
        PassRecord.read(fields)
