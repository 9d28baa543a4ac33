"""What the hidden model gets: lines of splits add up to the passes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from mindspore_rec.config import UserError
from mindspore_rec.json_lines import append_lines
from mindspore_rec.metrics.pass_metrics import PassMetrics
from mindspore_rec.metrics.split_truth import oracle, truth_of
from mindspore_rec.stream.pass_schedule import PassKey, PassSchedule

SCHEDULE = PassSchedule("20190720", "20190720", 360, 2)


def rows(number: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(number)
    probabilities = random.random(300)
    return (random.random(300) < probabilities).astype(np.float64), probabilities


def lines() -> list:
    folders = [folder for key in SCHEDULE.passes() for folder in SCHEDULE.folders(key)]
    return [truth_of(folder, *rows(number)) for number, folder in enumerate(folders)]


def test_lines_add_up(tmp_path: Path) -> None:
    append_lines(tmp_path / "truth", lines())
    found = oracle(tmp_path / "truth", SCHEDULE)
    assert list(found) == [PassKey("20190720", 1), PassKey("20190720", 2)]
    for number, summary in enumerate(found.values()):
        metrics = PassMetrics()
        for split in (2 * number, 2 * number + 1):
            metrics.update(*rows(split))
        assert summary == pytest.approx(metrics.summary(), rel=1e-12)
    assert (
        lines()[0]["auc_oracle"]
        == oracle(tmp_path / "truth", PassSchedule("20190720", "20190720", 360, 1))[PassKey("20190720", 1)].auc
    )


def test_the_last_line_of_a_split_counts_and_all_are_needed(tmp_path: Path) -> None:
    given = lines()
    append_lines(tmp_path / "truth", [truth_of("20190720/0000", [0, 1], [0.5, 0.5]), *given[:3]])
    found = oracle(tmp_path / "truth", SCHEDULE)
    assert list(found) == [PassKey("20190720", 1)]
    assert found[PassKey("20190720", 1)].rows == 600


def test_what_is_no_truth_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file; expected the --truth of synthetic-passes"):
        oracle(tmp_path / "truth", SCHEDULE)
    for damaged in (
        {},
        {**lines()[0], "buckets": [5000]},
        {**lines()[0], "sums": [1]},
        {**lines()[0], "positives": None},
    ):
        (tmp_path / "truth").write_text(json.dumps(lines()[1]) + "\n" + json.dumps(damaged) + "\n", "utf-8")
        with pytest.raises(UserError, match="truth: line 2 is damaged"):
            oracle(tmp_path / "truth", SCHEDULE)
