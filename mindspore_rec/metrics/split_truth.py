"""What the hidden model itself would get on synthetic splits: ``--truth`` of ``synthetic-passes``, a JSON line a split.

A line holds what `PassMetrics` of the true probabilities counted, so the lines of a pass add up to those of its rows.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, Mapping

import numpy as np
from numpy.typing import ArrayLike

from mindspore_rec.config import UserError
from mindspore_rec.json_lines import read_lines
from mindspore_rec.metrics.pass_metrics import PassMetrics, PassSummary
from mindspore_rec.stream.pass_schedule import PassKey, PassSchedule


def truth_of(split: str, labels: ArrayLike, probabilities: ArrayLike) -> Dict[str, Any]:
    """The line of a split.

    Args:
        split: its folder, such as 20190720/0300.
        labels: 0 or 1.
        probabilities: P(click) of each row.

    >>> fields = truth_of("20190720/0300", [0, 1], [0.25, 0.75])
    >>> fields["rows"], fields["auc_oracle"], fields["buckets"], fields["positives"]
    (2, 1.0, [1024, 3072], [0, 1])
    """
    metrics = PassMetrics()
    metrics.update(labels, probabilities)
    buckets = np.flatnonzero(metrics.counts.any(axis=0))
    negatives, positives = metrics.counts[:, buckets].tolist()
    summary = metrics.summary()
    return {
        **{"split": split, "rows": summary.rows, "auc_oracle": summary.auc, "sums": metrics.sums.tolist()},
        **{"buckets": buckets.tolist(), "negatives": negatives, "positives": positives},
    }


def oracle(path: Path, schedule: PassSchedule) -> Dict[PassKey, PassSummary]:
    """Metrics of the hidden model in each pass of a schedule whose splits all have a line, in order.

    Raises:
        UserError: there is no such file, or a line of it is none.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file; expected the --truth of synthetic-passes")
    splits: Dict[str, PassMetrics] = {}
    for number, fields in read_lines(path):
        try:
            splits[str(fields["split"])] = _metrics(fields)
        except (KeyError, TypeError, ValueError, IndexError):
            raise UserError(f"{path}: line {number} is damaged: expected that of a split") from None
    found = {}
    for key in schedule.passes():
        folders = schedule.folders(key)
        if all(folder in splits for folder in folders):
            total = PassMetrics()
            for folder in folders:
                total.counts += splits[folder].counts
                total.sums += splits[folder].sums
            found[key] = total.summary()
    return found


def _metrics(fields: Mapping[str, Any]) -> PassMetrics:
    metrics = PassMetrics()
    metrics.counts[:, fields["buckets"]] = fields["negatives"], fields["positives"]
    metrics.sums[:] = np.reshape(fields["sums"], metrics.sums.shape)
    return metrics
