"""What is known of a table and of one id, live or in a checkpoint, for people to read."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import Any, Dict, List, Mapping, Optional

import numpy as np

from mindspore_rec.embedding.halves import FLOAT32, ROW_TYPES, unpack
from mindspore_rec.embedding.sketch import CountingSketch
from mindspore_rec.embedding.statistics import STATISTICS, from_arrays
from mindspore_rec.embedding.timeline import Timeline

_UNSIGNED = 1 << 64


@dataclass(frozen=True)
class TableStats:
    """Figures of a table.

    Attributes:
        rows: ids with a row.
        free_rows: rows given up and not used again yet.
        waiting: ids without a row that are counted one by one.
        load: share of the index in use.
        longest_probe: entries between an id's home in the index and where it is, at most.
        nbytes: of rows, index, statistics and waiting ids.
        admitted: rows given out.
        refused: ids turned away for lack of room, once for each batch they were in.
        evicted: rows given up.
    """

    rows: int
    free_rows: int
    waiting: int
    load: float
    longest_probe: int
    nbytes: int
    admitted: int
    refused: int
    evicted: int


@dataclass(frozen=True)
class Explanation:
    """What is known of an id.

    Attributes:
        id: unsigned.
        state: "has a row", "waits for admission", "unknown" or "padding".
        admission: the rule that admitted it, or that it waits for.
        admitted: step and time at which it got its row, empty where unknown.
        last_seen: likewise, in training.
        show, click: occurrences and clicks among them, decayed where a rule says so; None where they are not kept.
        norm: Euclidean norm of its weights.
        weights: of its row.
        optimizer: name of the slots and their values.
    """

    id: int
    state: str
    admission: str
    admitted: str = ""
    last_seen: str = ""
    show: Optional[float] = None
    click: Optional[float] = None
    norm: Optional[float] = None
    weights: Optional[List[float]] = None
    optimizer: Optional[Dict[str, List[float]]] = None


@dataclass(frozen=True)
class Known:
    """What a table or a checkpoint has of one id.

    Attributes:
        values: float32[dim + slots], None without a row.
        statistics: STATISTICS[], of its row or of its waiting; None where there are none.
        timeline: of the table.
    """

    values: Optional[np.ndarray]
    statistics: Optional[np.ndarray]
    timeline: Timeline


def explain(id: int, known: Known, about: Mapping[str, Any]) -> Explanation:
    """Return what is known of an id; `about` is `HashTable.about()`."""
    unsigned, admission = id % _UNSIGNED, str(about["admission"])
    padding = about["padding_id"]
    if padding is not None and padding % _UNSIGNED == unsigned:
        return Explanation(unsigned, "padding", admission)
    statistics, bare = known.statistics, Explanation(unsigned, "unknown", admission)
    if known.values is None and (statistics is None or not statistics["show"] > 0):
        return bare
    if statistics is not None:
        bare = replace(
            bare,
            state="waits for admission",
            last_seen=_moment(known.timeline, int(statistics["last_step"])) if statistics["last_step"] else "",
            show=float(statistics["show"]),
            click=float(statistics["click"]) if known.values is not None or statistics["last_step"] else None,
        )
    if known.values is None:
        return bare
    dim = int(about["dim"])
    sizes = [dim, *(size for _, size in about["slots"])]
    weights, *slots = np.split(known.values, np.cumsum(sizes)[:-1])
    return replace(
        bare,
        state="has a row",
        admitted="" if statistics is None else _moment(known.timeline, int(statistics["admitted_step"])),
        norm=float(np.sqrt(np.square(weights.astype(np.float64)).sum())),
        weights=weights.tolist(),
        optimizer={str(name): values.tolist() for (name, _), values in zip(about["slots"], slots)},
    )


def known_of_state(state: Mapping[str, np.ndarray], about: Mapping[str, Any], id: int) -> Known:
    """Look an id up in what `HashTable.state()` returned."""
    wanted = np.array([id % _UNSIGNED], np.uint64).view(np.int64)[0]
    timeline = Timeline()
    if "timeline" in state:
        timeline.load_state(state["timeline"])
    step = int(state["step"][0])
    found = np.flatnonzero(state["ids"] == wanted)
    if found.size:
        kept = from_arrays(dict(state), state["ids"].size, step)[found[0]] if "last_step" in state else None
        return Known(values_of_rows(state["rows"][found], about)[0], kept, timeline)
    waiting: Dict[int, Dict[str, np.ndarray]] = {}
    for key, array in state.items():
        if key.startswith("waiting."):
            _, rule, column = key.split(".", 2)
            waiting.setdefault(int(rule), {})[column] = array
    seen = [_seen(waiting[rule], wanted, step) for rule in sorted(waiting)]
    return Known(None, max(seen, key=lambda record: float(record["show"]), default=None), timeline)


def summary(state: Mapping[str, np.ndarray]) -> Dict[str, Any]:
    """Return figures of what `HashTable.state()` returned, JSON-able; ages in steps, at the quartiles."""
    step = int(state["step"][0])
    waiting = sum(array.size for key, array in state.items() if key.startswith("waiting.") and key.endswith(".ids"))
    figures: Dict[str, Any] = {"rows": int(state["ids"].size), "waiting": int(waiting), "step": step}
    if "counters" in state:
        figures.update(zip(("admitted", "refused", "evicted"), state["counters"].tolist()))
    figures["bytes"] = int(sum(array.nbytes for array in state.values()))
    if "last_step" in state and state["ids"].size:
        ages = np.percentile(step - state["last_step"].astype(np.int64), (25, 50, 75, 100), method="nearest")
        figures["steps_unseen_quartiles"] = ages.tolist()
        figures["show_quartiles"] = np.percentile(state["show"], (25, 50, 75, 100), method="nearest").tolist()
    return figures


def _seen(waiting: Dict[str, np.ndarray], wanted: np.int64, step: int) -> np.ndarray:
    """STATISTICS[] of an id, as far as a rule for which ids wait knows it."""
    record = np.zeros((), STATISTICS)
    if "cells" in waiting:
        record["show"] = CountingSketch.of_state(waiting).counts(np.array([wanted]))[0]
    for found in np.flatnonzero(waiting.get("ids", np.empty(0)) == wanted):
        record = from_arrays(waiting, waiting["ids"].size, step)[found]
    return record


def values_of_rows(content: np.ndarray, about: Mapping[str, Any]) -> np.ndarray:
    """float32[n, dim + slots] of rows as they are stored."""
    kind, dim = ROW_TYPES[about["row_type"]], int(about["dim"])
    if kind == FLOAT32:
        return content
    slots = content.view(np.float32)[:, (dim + 1) // 2 :]
    values = np.empty((len(content), dim + slots.shape[1]), np.float32)
    unpack(content, np.arange(len(content)), dim, kind, values, values.view(np.uint32))
    values[:, dim:] = slots
    return values


def _moment(timeline: Timeline, step: int) -> str:
    seconds = timeline.moment(step).seconds
    when = f", {datetime.fromtimestamp(seconds, timezone.utc):%Y-%m-%d %H:%M:%S} UTC" if seconds > 0 else ""
    return f"step {step}{when}"
