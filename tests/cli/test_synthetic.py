"""``python -m mindspore_rec synthetic``: what it prints and how it fails."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from mindspore_rec.__main__ import main
from tests.source_tree import REPOSITORY

SUMMARY_KEYS = {"output", "days", "rows", "days_written", "rows_written", "seconds", "rows_per_s"}


def test_summary_is_the_last_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--output", str(tmp_path / "days"), "--days", "2", "--rows_per_day", "100", "--seed", "5"]
    assert main(["synthetic", *arguments, "--drift", "0.5", "--churn", "2", "--gzip", "true"]) == 0
    summary = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert set(summary) == SUMMARY_KEYS
    assert (summary["days"], summary["rows"]) == (2, 200)
    manifest = json.loads((tmp_path / "days" / "synthetic.json").read_text("utf-8"))
    assert [manifest[key] for key in ("seed", "drift", "churn", "gzip")] == [5, 0.5, 2.0, True]
    assert manifest["rows"] == {"day_0.tsv.gz": 100, "day_1.tsv.gz": 100}


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("drift", "-1", "a number >= 0 and <= 100"),
        ("drift", "nan", "a number >= 0 and <= 100"),
        ("churn", "101", "a number >= 0 and <= 100"),
        ("seed", str(2**64), "a whole number >= 0"),
        ("days", "0", "a whole number >= 1"),
        ("rows_per_day", "ten", "a whole number >= 1"),
        ("gzip", "perhaps", "true or false"),
    ],
)
def test_a_bad_value_is_one_line(
    key: str, value: str, expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["synthetic", "--output", str(tmp_path), f"--{key}", value])
    assert ended.value.code == 2
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 1
    assert f"{key} = " in errors[0] and expected in errors[0]


def test_other_options_for_the_same_folder_are_one_line(tmp_path: Path) -> None:
    arguments = ["synthetic", "--output", str(tmp_path), "--rows_per_day", "50"]
    assert main(arguments) == 0
    done = subprocess.run(
        [sys.executable, "-m", "mindspore_rec", *arguments, "--drift", "1"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines() == [
        f"error: {tmp_path}/synthetic.json has drift = 0.0, not 1.0: give the same options or choose another --output"
    ]
