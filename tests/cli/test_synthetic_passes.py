"""``python -m mindspore_rec synthetic-passes``: its files, the truth beside them, and one-line errors."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import List, Tuple

import numpy as np
import pytest

from mindspore_rec.__main__ import main
from mindspore_rec.config import ConfigError
from mindspore_rec.data.synthetic_passes import split_rows
from mindspore_rec.metrics import auc
from mindspore_rec.metrics.split_truth import oracle
from mindspore_rec.stream.pass_schedule import PassKey, PassSchedule
from tests.source_tree import REPOSITORY

SCHEDULE = PassSchedule("20190720", "20190720", 360, 2)


def arguments(folder: Path) -> List[str]:
    days = ["--end_day", "20190720", "--split_interval", "360", "--split_per_pass", "2"]
    return ["--train_data_dir", str(folder / "data"), *days, "--rows_per_split", "200"]


def test_files_truth_and_summary(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    extra = ["--truth", str(tmp_path / "truth.jsonl"), "--data_donefile", "data.done"]
    assert main(["synthetic-passes", *arguments(tmp_path), *extra]) == 0
    *lines, last = capsys.readouterr().out.splitlines()
    summary = json.loads(last)
    assert {key: summary[key] for key in ("splits", "passes", "splits_written", "rows")} == {
        **{"splits": 4, "passes": 2, "splits_written": 4, "rows": 800}
    }
    found = oracle(tmp_path / "truth.jsonl", SCHEDULE)
    assert list(found) == [PassKey("20190720", 1), PassKey("20190720", 2)]
    assert lines == [
        f"Day:20190720, Pass: {key.number}, 400 rows, auc_oracle {known.auc:.6f}" for key, known in found.items()
    ]
    rows = [split_rows(7, "20190720", minute, 200)[1:] for minute in (0, 360)]
    labels, probabilities = (np.concatenate(column) for column in zip(*rows))
    assert found[PassKey("20190720", 1)].auc == pytest.approx(auc(labels, probabilities), abs=1e-3)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "truth.jsonl"]
    assert len(list((tmp_path / "data").rglob("data.done"))) == 4


def test_a_process_that_writes_live(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mindspore_rec", "synthetic-passes", *arguments(tmp_path)]
    pace = ["--data_donefile", "data.done", "--interval", "0.2", "--donefile_seconds", "0.1"]
    late = ["--delay_split", "2", "--delay_seconds", "0.9"]
    done = subprocess.run([*command, *pace, *late], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert [line.split(",")[1] for line in lines[:2]] == [" Pass: 2", " Pass: 1"]  # the late split is of the first
    moments = {path.parent.name: path.stat().st_mtime for path in (tmp_path / "data").rglob("data.done")}
    assert sorted(moments, key=moments.__getitem__) == ["0000", "1200", "1800", "0600"]
    assert json.loads(lines[-1])["seconds"] >= 1.2


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("--split_per_pass", "3"), "split_per_pass = 3: expected a number that divides the 4 splits of a day"),
        (("--split_interval", "7"), "split_interval = 7: expected minutes that divide"),
        (("--truth", "{root}/data/truth"), "expected a file outside train_data_dir"),
        (("--truth", "{root}/none/truth"), "expected a file in a folder that is there"),
    ],
)
def test_a_bad_value_is_one_line(given: Tuple[str, str], message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message) as error:
        main(["synthetic-passes", *arguments(tmp_path), given[0], given[1].format(root=tmp_path)])
    assert "\n" not in str(error.value)
    assert not (tmp_path / "data").exists()
