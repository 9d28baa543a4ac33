"""``python -m mindspore_rec synthetic-passes``: a ``train_data_dir`` of synthetic clicks for pass-by-pass training.

``data/synthetic_passes.py`` describes the rows. A line on stdout for each pass that is complete says what AUC the
hidden model itself gets on it; the last line is one JSON object.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Dict, Optional, Sequence

from pydantic import Field

from mindspore_rec.cli.options import load
from mindspore_rec.config import ConfigError, Section
from mindspore_rec.data.synthetic_passes import SplitRows
from mindspore_rec.data.synthetic_tree import Pace, Splits, write_tree
from mindspore_rec.json_lines import append_lines
from mindspore_rec.metrics.pass_metrics import PassMetrics
from mindspore_rec.metrics.split_truth import truth_of
from mindspore_rec.stream.pass_schedule import PassSchedule


class SyntheticPassesConfig(Section):
    """Synthetic passes."""

    train_data_dir: str = Field("run/passes", min_length=1, description="folder of the days; begun again, work goes on")
    start_day: str = Field("20190720", description="first day")
    end_day: str = Field("20190721", description="last day")
    split_interval: int = Field(60, ge=1, le=1440, description="minutes of data in a folder, a split")
    split_per_pass: int = Field(4, ge=1, le=1440, description="splits in a pass")
    rows_per_split: int = Field(1500, ge=1, le=1000000, description="rows in a split, some 470 bytes each")
    files_per_split: int = Field(2, ge=1, le=1000, description="files that share them")
    seed: int = Field(7, ge=0, lt=2**64, description="seed of the rows")
    data_donefile: str = Field("", pattern=r"^[A-Za-z0-9._-]*$", description="file that says a split is complete")
    interval: float = Field(0.0, ge=0, le=86400, description="seconds from one split to the next; 0: all at once")
    donefile_seconds: float = Field(0.0, ge=0, le=86400, description="seconds from the files of a split to donefile")
    delay_split: int = Field(0, ge=0, description="number, from 1, of a split that comes late; 0: none")
    delay_seconds: float = Field(0.0, ge=0, le=86400, description="how late; splits after it do not wait for it")
    truth: Optional[str] = Field(None, description="file beside the data for what the hidden model gets, by split")


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Write the files; the exit status.

    Raises:
        ConfigError: the schedule is impossible, or the truth would be among the data.
        UserError: the folder holds other files, or cannot be written.
    """
    started = time.monotonic()
    config = load(SyntheticPassesConfig, "Write passes of synthetic clicks as slot text, all at once or live.", argv)
    schedule = PassSchedule(config.start_day, config.end_day, config.split_interval, config.split_per_pass)
    root = Path(config.train_data_dir)
    truth = _truth_path(config, root)
    passes = {folder: key for key in schedule.passes() for folder in schedule.folders(key)}
    metrics = {key: PassMetrics() for key in passes.values()}
    whole = PassMetrics()

    def written(split: str, rows: SplitRows) -> None:
        if truth is not None:
            append_lines(truth, [truth_of(split, rows.labels, rows.probabilities)])
        key = passes[split]
        for sums in (metrics[key], whole):
            sums.update(rows.labels, rows.probabilities)
        found = metrics[key].summary()
        if found.rows == config.split_per_pass * config.rows_per_split:
            _say(f"Day:{key.day}, Pass: {key.number}, {found.rows} rows, auc_oracle {found.auc:.6f}")

    splits = Splits(config.seed, config.rows_per_split, config.files_per_split, config.data_donefile)
    pace = Pace(config.interval, config.donefile_seconds, config.delay_split, config.delay_seconds)
    count = write_tree(root, schedule, splits, written, pace)
    summary: Dict[str, object] = {
        **{"train_data_dir": config.train_data_dir, "splits": len(passes), "passes": len(metrics)},
        **{"splits_written": count, "rows": whole.summary().rows, "auc_oracle": round(whole.summary().auc, 6)},
        "seconds": round(time.monotonic() - started, 1),
    }
    sys.stdout.write(json.dumps(summary) + "\n")
    return 0


def _truth_path(config: SyntheticPassesConfig, root: Path) -> Optional[Path]:
    if config.truth is None:
        return None
    path = Path(config.truth)
    if root.resolve() in path.resolve().parents:
        raise ConfigError(
            f"truth = {config.truth!r}: expected a file outside train_data_dir, which is only read as data"
        )
    if not path.parent.is_dir():
        raise ConfigError(f"truth = {config.truth!r}: expected a file in a folder that is there")
    return path


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
