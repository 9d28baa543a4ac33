"""The status of a model server for a terminal. The page shows the same, see docs/watching.md."""

from __future__ import annotations

import re
from datetime import datetime, tzinfo
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from mindspore_rec.monitor.sparkline import sparkline
from mindspore_rec.monitor.status_values import (
    UNKNOWN,
    duration,
    figure,
    mapping,
    metric,
    number,
    publications_of,
    served_of,
    standing,
    text,
)

_TABLE_METRIC = re.compile(r"table_(.+)_(?:rows|mib|evicted)")
_CURVES = (("AUC", "auc", 4), ("rows/s", "samples_per_s", 0), ("calibration", "calibration", 3))


def status_view(status: Mapping[str, Any], now: float, rows: int = 20, zone: Optional[tzinfo] = None) -> RenderableType:
    """What ``/v1/status`` said, to be printed by rich.

    Args:
        status: the answer, as it came; nothing of it is trusted.
        now: seconds since 1970, for ages.
        rows: publications in the table.
        zone: of the times; default: that of this machine.
    """
    publications = publications_of(status)
    last = publications[-1] if publications else {}
    served = served_of(status)
    parts: List[RenderableType] = [
        _heading(status, publications),
        _figures(status, served, last, now, zone),
        _curves(publications),
        _tables(mapping(status.get("tables")), mapping(last.get("metrics"))),
        _publications(publications[-rows:], number(served.get("number")), zone),
    ]
    return Group(*parts)


def _heading(status: Mapping[str, Any], publications: Sequence[Mapping[str, Any]]) -> Text:
    said = standing(status, publications)
    colour = "green" if said.good else "yellow"
    name = text(status.get("name")) or "mindspore_rec"
    return Text.assemble((name, "bold"), "  ", (said.label.upper(), f"bold {colour}"), f"  {said.words}")


def _figures(
    status: Mapping[str, Any],
    served: Mapping[str, Any],
    last: Mapping[str, Any],
    now: float,
    zone: Optional[tzinfo],
) -> Table:
    requests = mapping(status.get("requests"))
    freshness = [duration(number(status.get(f"click_to_servable_{which}_s"))) for which in ("p50", "p99")]
    times = [figure(number(requests.get(which)), 1) for which in ("p50_ms", "p99_ms")]
    counts = [f"{figure(metric(last, f'rows_{what}'))} {what}" for what in ("trained", "rejected", "skipped")]
    lines = {
        "served": _served(served, now, zone),
        "throughput": f"{figure(metric(last, 'samples_per_s'))} rows/s  {', '.join(counts)}  {_age(last, now)}",
        "lag": f"{figure(metric(last, 'lag_messages'))} messages, {_behind(last)} behind the events",
        "click to servable": f"p50 {freshness[0]}, p99 {freshness[1]}",
        "requests": f"{figure(number(requests.get('rate_per_s')), 1)} /s, p50 {times[0]} ms, p99 {times[1]} ms, "
        f"{figure(number(requests.get('failed')))} of {figure(number(requests.get('count')))} failed",
    }
    grid = Table.grid(padding=(0, 2))
    for label, line in lines.items():
        grid.add_row(Text(label, "dim"), Text(line))
    return grid


def _served(version: Mapping[str, Any], now: float, zone: Optional[tzinfo]) -> str:
    served = number(version.get("number"))
    if served is None:
        return "nothing yet"
    until = number(version.get("data_time"))
    data = "time of its data not known"
    if until is not None:
        data = f"data until {_moment(until / 1000, zone)}, {duration(now - until / 1000)} ago"
    return f"version {served:.0f}, step {figure(number(version.get('step')))}, {data}, {text(version.get('identity'))}"


def _age(last: Mapping[str, Any], now: float) -> str:
    created = number(last.get("created"))
    if created is None:
        return "no publication yet"
    return f"as of version {figure(number(last.get('version')))}, {duration(now - created)} ago"


def _behind(last: Mapping[str, Any]) -> str:
    created, until = number(last.get("created")), number(last.get("data_time"))
    return duration(None if created is None or until is None else created - until / 1000)


def _moment(seconds: float, zone: Optional[tzinfo]) -> str:
    try:
        return f"{datetime.fromtimestamp(seconds, zone):%Y-%m-%d %H:%M:%S}"
    except (ValueError, OverflowError, OSError):
        return UNKNOWN


def _curves(publications: Sequence[Mapping[str, Any]]) -> Table:
    grid = Table.grid(padding=(0, 2))
    for label, name, digits in _CURVES:
        values = [metric(entry, name) for entry in publications]
        newest = next((value for value in reversed(values) if value is not None), None)
        if newest is not None:
            grid.add_row(Text(label, "dim"), Text(sparkline(values)), Text(figure(newest, digits)))
    return grid


def _tables(served: Mapping[str, Any], metrics: Mapping[str, Any]) -> RenderableType:
    found = [match.group(1) for match in map(_TABLE_METRIC.fullmatch, metrics) if match]
    table = _table([("table", "left"), ("rows", "right"), ("served", "right"), ("MiB", "right"), ("evicted", "right")])
    names = sorted({*served, *found})
    for name in names:
        rows, mib, evicted = (number(metrics.get(f"table_{name}_{what}")) for what in ("rows", "mib", "evicted"))
        cells = [text(name), figure(rows), figure(number(served.get(name))), figure(mib, 1), figure(evicted)]
        table.add_row(*map(Text, cells))
    return table if names else Text("No table is known yet.", "dim")


def _publications(
    publications: Sequence[Dict[str, Any]], served: Optional[float], zone: Optional[tzinfo]
) -> RenderableType:
    if not publications:
        return Text("There is no publication yet: the trainer has not written one.", "dim")
    columns = [("version", "right"), ("kind", "left"), ("time", "left"), ("rows", "right"), ("MiB", "right")]
    table = _table([*columns, ("AUC", "right"), ("calibration", "right"), ("state", "left")])
    for entry in reversed(publications):
        version, size = number(entry["version"]), number(entry.get("bytes"))
        held = text(entry.get("held"))
        state = " ".join([*(["served"] if version == served else []), *([f"held back: {held}"] if held else [])])
        cells = [figure(version).replace(",", ""), text(entry.get("kind")), _moment(float(entry["created"]), zone)]
        cells += [figure(metric(entry, "rows")), figure(None if size is None else size / 2**20, 1)]
        cells += [figure(metric(entry, "auc"), 4), figure(metric(entry, "calibration"), 3), state]
        style = "bold" if version == served else "yellow" if held else ""
        table.add_row(*map(Text, cells), style=style)
    return table


def _table(columns: Sequence[Tuple[str, str]]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for label, side in columns:
        table.add_column(label, justify="right" if side == "right" else "left", overflow="fold")
    return table
