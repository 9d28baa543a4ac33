"""The metrics of a day so far: those of its passes, and their sums, which are those of all its rows at once."""

from __future__ import annotations

import json
from typing import Dict, List, Mapping, Optional

import numpy as np

from mindspore_rec.metrics.group_auc import GroupAUC
from mindspore_rec.metrics.pass_metrics import PassMetrics
from mindspore_rec.metrics.pass_records import STAGES, PassRecord, Stage
from mindspore_rec.stream.pass_schedule import PassKey


class DayMetrics:
    """Sums the passes of a day. Its state goes into each checkpoint, so that a run that goes on sums the same passes.

    Attributes:
        records: of the passes, in the order they were added.

    Examples:
        >>> day, metrics = DayMetrics(), PassMetrics()
        >>> metrics.update([0, 1], [0.25, 0.75])
        >>> for number in (1, 2):
        ...     record = day.add(PassKey("20190720", number), "Infer", metrics)
        >>> [(record.number, record.passes, record.summary.rows) for record in day.end()]
        [(None, 2, 4)]
    """

    def __init__(self) -> None:
        self.records: List[PassRecord] = []
        self._sums: Dict[Stage, PassMetrics] = {}
        self._groups: Dict[Stage, GroupAUC] = {}

    def add(self, key: PassKey, stage: Stage, metrics: PassMetrics, groups: Optional[GroupAUC] = None) -> PassRecord:
        """Count a stage of a pass. One of another day, or one that was there already, begins a new sum.

        Args:
            key: day and pass.
            stage: of the pass.
            metrics: of all its rows, those of all workers.
            groups: likewise; None where there are none.
        """
        there = [(record.day, record.number, record.stage) for record in self.records]
        if (there and there[0][0] != key.day) or (key.day, key.number, stage) in there:
            self.reset()
        gauc = None if groups is None else groups.auc()
        record = PassRecord(key.day, key.number, stage, 1, metrics.summary(), gauc)
        self.records.append(record)
        total = self._sums.setdefault(stage, PassMetrics())
        total.counts += metrics.counts
        total.sums += metrics.sums
        if groups is not None:
            self._groups.setdefault(stage, GroupAUC(groups.buckets)).add(groups.state())
        return record

    def end(self) -> List[PassRecord]:
        """The records of the day as a whole, one for each stage it had, Infer first."""
        found = []
        for stage in [stage for stage in STAGES if stage in self._sums]:
            of_stage = [record for record in self.records if record.stage == stage]
            gauc = self._groups[stage].auc() if stage in self._groups else None
            found.append(PassRecord(of_stage[0].day, None, stage, len(of_stage), self._sums[stage].summary(), gauc))
        return found

    def reset(self) -> None:
        """Forget the day."""
        self.records = []
        self._sums.clear()
        self._groups.clear()

    def state(self) -> Dict[str, np.ndarray]:
        """For a checkpoint: ``records`` uint8, JSON text, and arrays such as ``Infer.counts``."""
        text = json.dumps([record.fields() for record in self.records])
        arrays: Dict[str, np.ndarray] = {"records": np.frombuffer(text.encode(), np.uint8)}
        for stage, total in self._sums.items():
            arrays.update({f"{stage}.counts": total.counts.copy(), f"{stage}.sums": total.sums.copy()})
        for stage, groups in self._groups.items():
            arrays.update({f"{stage}.groups.{name}": array for name, array in groups.state().items()})
        return arrays

    def load_state(self, state: Mapping[str, np.ndarray]) -> None:
        """Continue from what `state` returned.

        Raises:
            ValueError: it is none.
        """
        self.reset()
        self.records = [PassRecord.read(fields) for fields in json.loads(state["records"].tobytes())]
        for stage in STAGES:
            if f"{stage}.sums" not in state:
                continue
            total = self._sums.setdefault(stage, PassMetrics())
            total.counts = state[f"{stage}.counts"]
            total.sums[:] = state[f"{stage}.sums"]
            start = f"{stage}.groups."
            groups = {name[len(start) :]: array for name, array in state.items() if name.startswith(start)}
            if groups:
                self._groups[stage] = GroupAUC(int(groups["buckets"]))
                self._groups[stage].add(groups)
