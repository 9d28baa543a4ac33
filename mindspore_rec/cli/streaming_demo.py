"""``python -m mindspore_rec streaming-demo``: pass-by-pass training of data that arrive meanwhile, with kill -9.

A writer fills ``train_data_dir`` split by split, with donefiles that come late and one split later than those after it.
The trainer waits for each pass; it is killed in the middle of a pass and while it saves, and started again. Then the
same data are trained once more without a break: the last states of both, and the table rows of all checkpoints and
exports, must be the same to the bit. The last line on stdout is one JSON object; the exit status is 1 where an output
is missing or the runs differ.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence

from pydantic import Field

from mindspore_rec.cli.job import load_job, schedule_of
from mindspore_rec.cli.options import load
from mindspore_rec.cli.processes import Programs
from mindspore_rec.cli.run_folder import new_run_folder
from mindspore_rec.cli.streaming_kills import Batches, draw
from mindspore_rec.cli.streaming_outputs import check_outputs, end_differences, export_differences, outputs
from mindspore_rec.cli.streaming_run import CONFIG, REPOSITORY, StreamingRun
from mindspore_rec.config import ConfigError, Section, UserError
from mindspore_rec.job_config import OnlineRunner
from mindspore_rec.metrics.pass_records import PassRecord, read_records
from mindspore_rec.metrics.split_truth import oracle
from mindspore_rec.monitor.pass_curve import write_curve
from mindspore_rec.stream.pass_schedule import PassSchedule

MOST_DIFFERENCES = 10


class StreamingDemoConfig(Section):
    """The streaming demo."""

    rows_per_split: int = Field(1000, ge=100, le=1000000, description="rows in each of the 48 splits")
    seed: int = Field(7, ge=0, lt=2**63, description="seed of the rows, and of when the trainer is killed")
    folder: Optional[str] = Field(
        None, description="new folder for data, models and logs; default: run/streaming-<time>"
    )


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Run the demo; the exit status.

    Raises:
        UserError: a program failed, its last lines are on stderr by then; or an output is missing.
    """
    started = time.monotonic()
    config = load(StreamingDemoConfig, "Train pass by pass while data arrive, with the trainer killed twice.", argv)
    if not CONFIG.is_file():
        raise UserError(f"the demo runs programs of the repository, and {CONFIG} is missing: use a clone")
    folder = new_run_folder("streaming", config.folder, REPOSITORY / "run")
    with Programs(folder) as programs:
        try:
            run = StreamingRun(folder, programs, _say)
            summary = _demo(config, folder, run)
        finally:
            programs.stop()
    summary["seconds"] = round(time.monotonic() - started, 1)
    sys.stdout.write(json.dumps(summary) + "\n")
    return 0 if summary["resumed_exactly"] else 1


def _demo(config: StreamingDemoConfig, folder: Path, run: StreamingRun) -> Dict[str, Any]:
    """All of it; the summary."""
    job = load_job(str(CONFIG), run.overrides(run.model)).runners[0]
    runner, batch_size = job.config, job.phases[0].dataset.batch_size
    if not isinstance(runner, OnlineRunner):
        raise ConfigError(f"{CONFIG}: expected a runner of class online_train")
    schedule = schedule_of(runner)
    passes = list(schedule.passes())
    batches = Batches.of(config.rows_per_split * runner.split_per_pass, runner.infer_batch_size, batch_size)
    kills = draw(len(passes), batches, config.seed)
    _say(f"{len(passes)} passes of {len(list(schedule.days()))} days; data, models and logs in {folder}")
    run.run(run.writer(runner, config.rows_per_split, config.seed), kills)
    wanted = outputs(runner, schedule)
    check_outputs(run.model, wanted)
    _say("checkpoints, exports, inference models and donefiles are all there")
    records = read_records(run.model)
    aucs = _show_passes(records, run.truth, schedule)
    _plot(records, folder / "passes.html")
    unequal = end_differences(run.model, run.reference, runner.end_day)
    unequal += export_differences(run.model, run.reference, wanted)
    for line in unequal[:MOST_DIFFERENCES]:
        sys.stderr.write(f"the runs differ: {line}\n")
    return {"kills": len(kills), "passes": len(passes), **aucs, "resumed_exactly": not unequal}


def _show_passes(records: Sequence[PassRecord], truth: Path, schedule: PassSchedule) -> Dict[str, float]:
    """A line for each pass; the figures of the last one.

    Raises:
        UserError: a pass has no metrics.
    """
    aucs = {(record.key, record.stage): record.summary.auc for record in records}
    known = oracle(truth, schedule)
    figures: List[float] = []
    _say("     day  pass    rows  predict AUC  train AUC  oracle AUC")
    for key in schedule.passes():
        if (key, "Infer") not in aucs or (key, "Train") not in aucs or key not in known:
            raise UserError(f"pass {key.number} of day {key.day} has no metrics")
        figures = [aucs[key, "Infer"], aucs[key, "Train"], known[key].auc]
        cells = f"{figures[0]:11.4f}  {figures[1]:9.4f}  {figures[2]:10.4f}"
        _say(f"{key.day}  {key.number:4}  {known[key].rows:6,}  {cells}")
    names = ("predict_auc_last", "train_auc_last", "auc_oracle")
    return {name: round(figure, 6) for name, figure in zip(names, figures)}


def _plot(records: Sequence[PassRecord], path: Path) -> None:
    try:
        write_curve(records, path, "AUC by pass")
        _say(f"curve: {path}")
    except UserError as error:  # matplotlib is not installed
        _say(f"no curve: {error}")


def _say(text: str) -> None:
    sys.stdout.write(f"streaming: {text}\n")
    sys.stdout.flush()
