"""The AUC of each pass as a curve: before it was trained and while it was, as PNG or as an HTML page with the tables.

Needs matplotlib (``pip install 'mindspore-rec-online[plots]'``), and no display.
"""

from __future__ import annotations

import html
import io
from itertools import groupby
from pathlib import Path
from typing import Any, Dict, List, Sequence

from mindspore_rec.config import UserError
from mindspore_rec.metrics.day_table import day_tables
from mindspore_rec.metrics.pass_records import STAGES, PassRecord, Stage
from mindspore_rec.published_file import published
from mindspore_rec.stream.pass_schedule import PassKey

SUFFIXES = (".png", ".html")
_LABELS: Dict[Stage, str] = {"Infer": "before training (Infer)", "Train": "in training (Train)"}
_STYLES: Dict[Stage, Dict[str, Any]] = {  # colours that are told apart without colour vision, and marks
    "Infer": {"color": "#0072B2", "marker": "o", "linewidth": 1.8},
    "Train": {"color": "#D55E00", "marker": "^", "linewidth": 1.2, "linestyle": (0, (4, 1.5))},
}
_MOST_MARKS = 100
_MOST_TICKS, _MOST_DAYS = 24, 8
_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<style>body {{ font: 15px sans-serif; margin: 2em; color: #222 }} svg {{ max-width: 100%; height: auto }}
pre {{ overflow-x: auto }}</style></head>
<body><h1>{title}</h1>
{curve}
<pre>{tables}</pre>
</body></html>
"""


def write_curve(records: Sequence[PassRecord], path: Path, title: str) -> None:
    """Write the plot.

    Args:
        records: of passes, and of days, which only the tables of a page show; in order.
        path: of a file whose name ends in .png or .html.
        title: above the plot.

    Raises:
        UserError: the name ends in something else, no pass has rows, matplotlib is missing, or the file cannot be
            written.
    """
    if path.suffix not in SUFFIXES:
        raise UserError(f"{path}: expected a name that ends in {' or '.join(SUFFIXES)}")
    shown = [record for record in records if record.key is not None and record.summary.rows]
    if not shown:
        raise UserError("there is no pass with rows to plot yet")
    figure = _figure(shown)
    content = io.BytesIO()
    if path.suffix == ".png":
        figure.suptitle(title, x=0.5, fontsize=11)
        figure.savefig(content, format="png", dpi=150)
        data = content.getvalue()
    else:
        figure.savefig(content, format="svg")
        svg = content.getvalue().decode()
        tables = "\n\n".join(html.escape(table) for table in day_tables(records))
        data = _PAGE.format(title=html.escape(title), curve=svg[svg.index("<svg") :], tables=tables).encode()
    try:
        with published(path) as part:
            part.write_bytes(data)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}") from None


def _figure(records: Sequence[PassRecord]) -> Any:
    """The curves over the passes of the records, evenly spaced."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise UserError(
            "plots need matplotlib, which is not installed: pip install 'mindspore-rec-online[plots]'"
        ) from None
    keys = sorted({PassKey(record.day, record.number or 0) for record in records})
    place = {key: number for number, key in enumerate(keys)}
    figure = Figure(figsize=(9.0, 4.5), layout="constrained")
    FigureCanvasAgg(figure)  # no display
    axes = figure.add_subplot()
    for stage in STAGES:
        points = [(place[record.key], record.summary.auc) for record in records if record.stage == stage and record.key]
        mark = {} if len(points) <= _MOST_MARKS else {"marker": ""}
        axes.plot([x for x, _ in points], [y for _, y in points], label=_LABELS[stage], **{**_STYLES[stage], **mark})
    _label_passes(axes, keys)
    axes.set_ylabel("AUC")
    axes.grid(axis="y", color="#dddddd", linewidth=0.8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="best")
    return figure


def _label_passes(axes: Any, keys: List[PassKey]) -> None:
    """Numbers of passes below, and days above with lines between them; of many days, some days below."""
    days = [(day, len(list(of_day))) for day, of_day in groupby(keys, key=lambda key: key.day)]
    starts = [sum(count for _, count in days[:number]) for number in range(len(days))]
    axes.set_xlim(-0.6, len(keys) - 0.4)
    if len(days) > _MOST_DAYS:
        step = -(-len(days) // _MOST_DAYS)
        axes.set_xticks(starts[::step], [day for day, _ in days[::step]])
        axes.set_xlabel("day")
        return
    step = -(-len(keys) // _MOST_TICKS)
    axes.set_xticks(range(0, len(keys), step), [str(key.number) for key in keys[::step]])
    axes.set_xlabel("pass of the day")
    for start, (day, count) in zip(starts, days):
        if start:
            axes.axvline(start - 0.5, color="#bbbbbb", linewidth=0.8)
        place = (start + (count - 1) / 2, 1.01)
        axes.annotate(day, place, xycoords=("data", "axes fraction"), ha="center", va="bottom", fontsize=9)
