"""``python -m mindspore_rec skip-grams``: what it prints."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mindspore_rec.__main__ import main


def test_the_summary_is_the_last_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "text.txt").write_text("a b\n" * 5, "utf-8")
    rows = str(tmp_path / "part-0")
    assert main(["skip-grams", "--text_file", str(tmp_path / "text.txt"), "--rows_file", rows, "--negatives", "3"]) == 0
    summary = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert summary == {"rows_file": rows, "words": 2, "words_in_text": 10, "rows": 5 * 2 * 4}
    assert Path(rows).read_text("utf-8").count("\n") == 40
