"""``metrics.jsonl`` in ``model_save_path``: the metrics of each pass and day, as JSON objects that programs read.

A line is of a pass and a stage (``"pass": 3, "stage": "Infer"``) or of all passes of a day (``"pass": null``). A run
that goes on from a checkpoint trains some passes again and adds their lines again: the last one of a day, pass and
stage counts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, Hashable, Iterable, List, Literal, Mapping, Optional, Tuple

from mindspore_rec.config import UserError
from mindspore_rec.json_lines import append_lines, read_lines
from mindspore_rec.metrics.pass_metrics import PassSummary
from mindspore_rec.stream.pass_schedule import PassKey, day_of

FILE = "metrics.jsonl"
Stage = Literal["Infer", "Train"]
STAGES: Tuple[Stage, ...] = ("Infer", "Train")
_MEANS = tuple(name for name in PassSummary._fields if name != "rows")


@dataclass(frozen=True)
class PassRecord:
    """Metrics of a pass, or of a day, in one stage.

    Attributes:
        day: YYYYMMDD.
        number: of the pass; None for the whole day.
        stage: Infer: predicted before it is trained; Train: while it is.
        passes: how many it sums.
        summary: the metrics.
        gauc: AUC within groups of rows; None where there are no groups.
    """

    day: str
    number: Optional[int]
    stage: Stage
    passes: int
    summary: PassSummary
    gauc: Optional[float] = None

    @property
    def key(self) -> Optional[PassKey]:
        """Of the pass; None for a whole day."""
        return None if self.number is None else PassKey(self.day, self.number)

    def fields(self) -> Dict[str, Any]:
        """As it is written; what is not finite as null.

        >>> from mindspore_rec.metrics.pass_metrics import PassMetrics
        >>> list(PassRecord("20190720", 3, "Infer", 1, PassMetrics().summary()).fields())[:6]
        ['day', 'pass', 'stage', 'passes', 'rows', 'auc']
        """
        means = {name: _finite(getattr(self.summary, name)) for name in _MEANS}
        head = {"day": self.day, "pass": self.number, "stage": self.stage, "passes": self.passes}
        return {**head, "rows": self.summary.rows, **means, "gauc": self.gauc}

    @classmethod
    def read(cls, fields: Mapping[str, Any]) -> PassRecord:
        """What `fields` gave.

        Raises:
            ValueError: a field is missing or of another kind; the message names it.
        """
        for key, least in (("passes", 0), ("rows", 0), ("pass", 1)):
            value = fields.get(key)
            if not (type(value) is int and value >= least) and not (key == "pass" and key in fields and value is None):
                raise ValueError(f"{key} = {value!r}: expected a whole number of at least {least}")
        if fields.get("stage") not in STAGES:
            raise ValueError(f"stage = {fields.get('stage')!r}: expected {' or '.join(STAGES)}")
        if not isinstance(fields.get("day"), str):
            raise ValueError(f"day = {fields.get('day')!r}: expected text such as '20190720'")
        day_of(fields["day"])
        for key in (*_MEANS, "gauc"):
            if key not in fields or not (fields[key] is None or type(fields[key]) in (int, float)):
                raise ValueError(f"{key} = {fields.get(key)!r}: expected a number or null")
        means = {name: math.nan if fields[name] is None else float(fields[name]) for name in _MEANS}
        summary = PassSummary(rows=fields["rows"], **means)
        return cls(fields["day"], fields["pass"], fields["stage"], fields["passes"], summary, fields["gauc"])


def append_records(folder: Path, records: Iterable[PassRecord]) -> None:
    """Add to ``metrics.jsonl`` in a folder, before the checkpoint that says the passes are done: then none is missing.

    Raises:
        OSError: it cannot be written.
    """
    append_lines(folder / FILE, [record.fields() for record in records])


def read_records(folder: Path) -> List[PassRecord]:
    """The records of ``metrics.jsonl`` in a folder, the last one of each day, pass and stage: by day and pass, a day
    after its passes, Infer before Train. None where there is no such file.

    Raises:
        UserError: a line is none, or the file cannot be read.
    """
    found: Dict[Hashable, PassRecord] = {}
    for number, fields in read_lines(folder / FILE):
        try:
            record = PassRecord.read(fields)
        except ValueError as error:
            raise UserError(f"{folder / FILE}: line {number} is damaged: {error}") from None
        found[record.day, record.number, record.stage] = record
    return sorted(found.values(), key=lambda record: (record.day, record.number or math.inf, record.stage))


def _finite(value: float) -> Optional[float]:
    return value if math.isfinite(value) else None
