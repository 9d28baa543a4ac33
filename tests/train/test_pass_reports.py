"""Reports of passes: bars, metrics.jsonl and the table of a day, also when a run goes on."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, List, Optional

import numpy as np
import pytest

from mindspore_rec.metrics.day_table import day_table
from mindspore_rec.metrics.pass_records import FILE, PassRecord, Stage, read_records
from mindspore_rec.stream.pass_schedule import PassKey
from mindspore_rec.train.part_metrics import PartMetrics
from mindspore_rec.train.pass_loop import PassReports
from mindspore_rec.train.pass_reports import NoBars, ProgressBars, RunReports

DAY = "20190720"


def metrics_of(number: int) -> PartMetrics:
    random = np.random.default_rng(number)
    metrics = PartMetrics(0)
    labels, groups = random.integers(0, 2, 100), random.integers(0, 9, 100)
    metrics.update(labels, random.random(100), groups)
    return metrics


def run(reports: PassReports, numbers: List[int]) -> None:
    stages: List[Stage] = ["Infer", "Train"]
    for number in numbers:
        for stage in stages:
            reports.begin_stage(PassKey(DAY, number), stage, 100)
            reports.advance(60)
            reports.advance(40)
            reports.end_stage(PassKey(DAY, number), stage, metrics_of(number))


class Noted:
    """Bars that keep what they are told."""

    def __init__(self) -> None:
        self.told: List[Any] = []

    def begin_stage(self, key: PassKey, stage: Stage, rows: Optional[int]) -> None:
        self.told.append((key, stage, rows))

    def advance(self, rows: int) -> None:
        self.told.append(rows)

    def end_stage(self) -> None:
        self.told.append("end")


def test_a_stage_is_shown_and_written(tmp_path: Path) -> None:
    bars = Noted()
    run(RunReports(tmp_path, bars), [3])
    key = PassKey(DAY, 3)
    assert bars.told == [(key, "Infer", 100), 60, 40, "end", (key, "Train", 100), 60, 40, "end"]
    metrics = metrics_of(3)
    wanted = [PassRecord(DAY, 3, stage, 1, metrics.summary(), metrics.gauc) for stage in ("Infer", "Train")]
    assert read_records(tmp_path) == wanted
    assert metrics.gauc is not None


def test_the_day_has_a_table(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    reports = RunReports(tmp_path)
    run(reports, [1, 2])
    reports.end_day(DAY)
    records = read_records(tmp_path)
    assert caplog.messages == [f"day {DAY} is trained\n{day_table(records)}"]
    assert [(record.number, record.passes, record.summary.rows) for record in records[-2:]] == [(None, 2, 200)] * 2


def test_a_rank_that_does_not_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    reports = RunReports(None)
    run(reports, [1])
    reports.end_day(DAY)
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_goes_on_reports_what_one_without_a_break_does(tmp_path: Path) -> None:
    for name in ("whole", "broken"):
        (tmp_path / name).mkdir()
    whole, broken = RunReports(tmp_path / "whole"), RunReports(tmp_path / "broken")
    run(whole, [1, 2, 3])
    run(broken, [1])
    states = {name: part.state() for name, part in broken.kept.items()}
    run(broken, [2])  # then it is killed, in the midst of a line
    with (tmp_path / "broken" / FILE).open("a") as file:
        file.write('{"day": "2019')
    again = RunReports(tmp_path / "broken")
    for name, part in again.kept.items():
        part.load_state(states[name])
    run(again, [2, 3])
    for reports in (whole, again):
        reports.end_day(DAY)
    assert read_records(tmp_path / "broken") == read_records(tmp_path / "whole")
    assert len((tmp_path / "broken" / FILE).read_text().splitlines()) == 10
    assert len((tmp_path / "whole" / FILE).read_text().splitlines()) == 8
    ends = [{name: part.state() for name, part in reports.kept.items()} for reports in (whole, again)]
    assert all(np.array_equal(array, ends[1]["day"][name]) for name, array in ends[0]["day"].items())


def test_no_bars_are_bars() -> None:
    bars: ProgressBars = NoBars()
    bars.begin_stage(PassKey(DAY, 1), "Infer", None)
    bars.advance(3)
    bars.end_stage()
