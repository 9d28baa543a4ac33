"""``python -m mindspore_rec passes``: what it prints and how it fails."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import List

import pytest

from mindspore_rec.__main__ import main
from mindspore_rec.config import ConfigError
from mindspore_rec.metrics.pass_metrics import PassMetrics
from mindspore_rec.metrics.pass_records import FILE, PassRecord, append_records
from tests.source_tree import REPOSITORY


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    metrics = PassMetrics()
    metrics.update([0, 1, 1], [0.3, 0.2, 0.6])
    append_records(tmp_path, [PassRecord(day, 1, "Infer", 1, metrics.summary()) for day in ("20190720", "20190721")])
    return tmp_path


def test_tables_of_all_days(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["passes", str(folder)]) == 0
    printed = capsys.readouterr().out
    days = printed.split("\n\n")
    assert [day.split()[0] for day in days] == ["20190720", "20190721"]
    assert all(day.splitlines()[2].split()[:3] == ["1", "3", "0.5000"] for day in days)


@pytest.mark.parametrize("name", ["a.png", "a.html"])
def test_a_plot(name: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib")
    path = folder / name
    assert main(["passes", str(folder), "--plot", str(path)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"wrote {path}"
    assert path.read_bytes()[:4] in (b"\x89PNG", b"<!DO")


def test_a_users_mistake_is_one_line(folder: Path) -> None:
    def run(*arguments: str) -> List[str]:
        done = subprocess.run(
            [sys.executable, "-m", "mindspore_rec", "passes", *arguments],
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode in (1, 2)
        return done.stderr.splitlines()

    none = folder / "none"
    expected = f"error: {none / FILE}: not there, or empty; expected the model_save_path of a pass-by-pass run"
    assert run(str(none)) == [expected]
    assert run(str(folder), "--plot", "a.jpg") == ["error: a.jpg: expected a name that ends in .png or .html"]
    (folder / FILE).write_text("{}\n", "utf-8")
    assert len(run(str(folder))) == 1 and "line 1 is damaged" in run(str(folder))[0]
    with pytest.raises(ConfigError, match="unknown argument '--plott'"):
        main(["passes", str(folder), "--plott", "a.png"])
