"""What a pass-by-pass run must have left in ``model_save_path``, and whether two runs ended in one state."""

from __future__ import annotations

from pathlib import Path
from typing import Dict, List

from mindspore_rec.checkpoint.chain import read_state
from mindspore_rec.checkpoint.donefiles import (
    BASE_DONEFILE,
    DONEFILE,
    PATCH_DONEFILE,
    bases,
    checkpoints,
    patches,
)
from mindspore_rec.checkpoint.format import Checkpoint
from mindspore_rec.checkpoint.pass_layout import (
    base_folder,
    checkpoint_folder,
    day_start,
    delta_folder,
    inference_folder,
)
from mindspore_rec.checkpoint.save_plan import saves_by_frequency
from mindspore_rec.checkpoint.sparse_text import FOLDER as SPARSE_TEXT
from mindspore_rec.checkpoint.store import CheckpointStore
from mindspore_rec.cli.chaos_difference import differences
from mindspore_rec.config import UserError
from mindspore_rec.job_config import OnlineRunner
from mindspore_rec.metrics.pass_records import FILE
from mindspore_rec.stream.pass_schedule import PassSchedule, next_day


def outputs(runner: OnlineRunner, schedule: PassSchedule) -> Dict[str, List[str]]:
    """The folders below ``model_save_path`` of a run that trained all of its passes, by what they hold."""
    found: Dict[str, List[str]] = {"checkpoints": [], "inference models": [], "deltas": [], "bases": []}
    for key in schedule.passes():
        saves = saves_by_frequency(schedule, key, runner.checkpoint_per_pass, runner.save_delta_frequency)
        if saves.checkpoint:
            found["checkpoints"].append(checkpoint_folder(key))
            found["inference models"].append(inference_folder(key))
        if saves.delta:
            found["deltas"].append(delta_folder(key))
        if saves.end_of_day:
            found["bases"].append(base_folder(next_day(key.day)))
            found["checkpoints"].append(checkpoint_folder(day_start(next_day(key.day))))
    return found


def check_outputs(folder: Path, wanted: Dict[str, List[str]]) -> None:
    """See that everything is in ``model_save_path`` that belongs there.

    Raises:
        UserError: something is missing or empty, or no donefile names it; the message has its name.
    """
    for kind, names in wanted.items():
        for name in names:
            if not (folder / name).is_dir() or not any((folder / name).iterdir()):
                raise UserError(f"{folder / name} is missing or empty: expected one of the {kind}")
    for name in (DONEFILE, BASE_DONEFILE, PATCH_DONEFILE, FILE):
        if not (folder / name).is_file():
            raise UserError(f"{folder / name} is missing")
    logged = {
        "checkpoints": (DONEFILE, [line.path for line in checkpoints(folder)]),
        "bases": (BASE_DONEFILE, [line.input for line in bases(folder)]),
        "deltas": (PATCH_DONEFILE, [line.input for line in patches(folder)]),
    }
    for kind, (file, paths) in logged.items():
        there = {Path(path) for path in paths}
        for name in wanted[kind]:
            if folder / name not in there:
                raise UserError(f"{folder / file} has no line of {folder / name}")


def end_differences(first: Path, second: Path, end_day: str) -> List[str]:
    """What differs between the last checkpoints of two runs, but when their bases were made; none where all is equal.

    Args:
        first, second: ``model_save_path`` of each.
        end_day: last day of both.

    Raises:
        UserError: there is no such checkpoint.
        CheckpointError: one is damaged.
    """
    name = checkpoint_folder(day_start(next_day(end_day)))
    return differences(_without_time(first / name), _without_time(second / name))


def export_differences(first: Path, second: Path, wanted: Dict[str, List[str]]) -> List[str]:
    """A line for each file of table rows that is not the same in two runs, in all of their checkpoints and exports.

    Args:
        first, second: ``model_save_path`` of each.
        wanted: what `outputs` gave.
    """
    found = []
    for name in sorted(name for names in wanted.values() for name in names):
        contents = [
            {path.name: path.read_bytes() for path in (root / name / SPARSE_TEXT).glob("*")} for root in (first, second)
        ]
        files = sorted(contents[0].keys() | contents[1].keys())
        found += [f"{name}/{SPARSE_TEXT}/{file}" for file in files if contents[0].get(file) != contents[1].get(file)]
        found += [f"{name}/{SPARSE_TEXT} is empty"] * (not files)
    return found


def _without_time(folder: Path) -> Checkpoint:
    path = CheckpointStore(folder).newest_path()
    if path is None:
        raise UserError(f"{folder} is missing or empty: expected the last checkpoint")
    state = read_state(path)
    about = {key: value for key, value in state.meta.get("pass", {}).items() if key != "base_key"}
    return Checkpoint(state.groups, {**state.meta, "pass": about})
