"""The curve of passes: a PNG, a page without anything from elsewhere, and one-line errors."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import List, Optional

import numpy as np
import pytest

from mindspore_rec.config import UserError
from mindspore_rec.metrics.day_table import day_tables
from mindspore_rec.metrics.pass_metrics import PassMetrics, PassSummary
from mindspore_rec.metrics.pass_records import STAGES, PassRecord
from mindspore_rec.monitor.pass_curve import _figure, write_curve
from mindspore_rec.stream.pass_schedule import PassKey, PassSchedule

pytest.importorskip("matplotlib")


def summary(auc: float) -> PassSummary:
    return PassSummary(1000, auc, 0.0, 0.3, 0.4, 0.25, 0.25, 1.0, 0.5)


def records(last_day: str = "20190721", split_per_pass: int = 4) -> List[PassRecord]:
    found = []
    for number, key in enumerate(PassSchedule("20190720", last_day, 60, split_per_pass).passes()):
        for stage in STAGES:
            auc = 0.6 + 0.001 * number + (0.01 if stage == "Train" else 0.0)
            found.append(PassRecord(*key, stage, 1, summary(auc)))
    return found


def test_a_png_has_curves_on_white(tmp_path: Path) -> None:
    from matplotlib import pyplot

    path = tmp_path / "a.png"
    write_curve(records(), path, "run")
    pixels = (pyplot.imread(path)[..., :3] * 255).round().astype(int)
    assert pixels.shape[0] > 500 and pixels.shape[1] > 1000
    assert (pixels == 255).all(axis=2).mean() > 0.8
    for colour in ((0x00, 0x72, 0xB2), (0xD5, 0x5E, 0x00)):
        assert (np.abs(pixels - colour) <= 2).all(axis=2).sum() > 500
    assert [file.name for file in tmp_path.iterdir()] == ["a.png"]


def test_a_page_stands_alone(tmp_path: Path) -> None:
    day = PassRecord("20190720", None, "Infer", 6, summary(0.6))
    path = tmp_path / "a.html"
    write_curve([*records(), day], path, "run <1>")
    page = path.read_text("utf-8")
    assert page.startswith("<!DOCTYPE html>") and page.count("<svg") == 1
    assert "<h1>run &lt;1&gt;</h1>" in page
    assert all(table in page for table in day_tables([*records()])[1:])
    assert "\n day  1,000" in page
    assert not re.search(r"(src|href)=\"(?!#)", page) and "<script" not in page


def test_axes_say_what_they_are() -> None:
    axes = _figure(records()).axes[0]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("pass of the day", "AUC")
    assert [label.get_text() for label in axes.get_xticklabels()] == [str(k) for k in range(1, 7)] * 2
    assert [text.get_text() for text in axes.texts] == ["20190720", "20190721"]
    for line, add in zip(axes.lines, (0.0, 0.01)):
        assert list(line.get_xdata()) == list(range(12))
        assert list(line.get_ydata()) == pytest.approx([0.6 + 0.001 * k + add for k in range(12)])
    assert [text.get_text() for text in axes.get_legend().get_texts()] == [
        "before training (Infer)",
        "in training (Train)",
    ]


@pytest.mark.parametrize(("last_day", "label"), [("20190727", "pass of the day"), ("20200720", "day")])
def test_many_passes_have_few_marks(last_day: str, label: str) -> None:
    figure = _figure(records(last_day, 2))
    axes = figure.axes[0]
    assert axes.get_xlabel() == label
    figure.canvas.draw()
    for texts in (axes.get_xticklabels(), axes.texts):
        boxes = [text.get_window_extent() for text in texts if text.get_text()]
        assert all(left.x1 < right.x0 for left, right in zip(boxes, boxes[1:]))
    assert (axes.lines[0].get_marker() == "") == (len(axes.lines[0].get_xdata()) > 100)


def test_passes_without_rows_are_left_out(tmp_path: Path) -> None:
    empty = PassRecord(*PassKey("20190720", 99), "Infer", 1, PassMetrics().summary())
    with pytest.raises(UserError, match="no pass with rows"):
        write_curve([empty, PassRecord("20190720", None, "Infer", 1, summary(0.7))], tmp_path / "a.png", "")


@pytest.mark.parametrize(
    ("name", "message"),
    [("a.pdf", r"a.pdf: expected a name that ends in .png or .html"), ("x/a.png", "cannot write .*a.png: No such")],
)
def test_a_file_that_cannot_be_is_one_line(name: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message) as error:
        write_curve(records(), tmp_path / name, "run")
    assert "\n" not in str(error.value)


def test_matplotlib_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module: Optional[object] = None
    monkeypatch.setitem(sys.modules, "matplotlib.figure", module)
    with pytest.raises(UserError, match=r"pip install 'mindspore-rec-online\[plots\]'"):
        write_curve(records(), tmp_path / "a.png", "run")
