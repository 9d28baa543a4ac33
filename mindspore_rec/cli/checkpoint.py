"""``python -m mindspore_rec checkpoint``: what checkpoints there are, whether they are whole, and what was when.

python -m mindspore_rec checkpoint list checkpoints
python -m mindspore_rec checkpoint verify checkpoints
python -m mindspore_rec checkpoint diff checkpoints/step-000000001000 checkpoints/delta-000000001050
python -m mindspore_rec checkpoint compact checkpoints
python -m mindspore_rec checkpoint at checkpoints --time 2026-11-21T12:00:00 --out then
"""

from __future__ import annotations

import argparse
import logging
import sys
from datetime import datetime, timezone
from pathlib import Path
from typing import Callable, Dict, List, Optional, Sequence, Tuple

from tqdm import tqdm

from mindspore_rec.checkpoint.chain import read_state
from mindspore_rec.checkpoint.difference import difference
from mindspore_rec.checkpoint.errors import CheckpointError
from mindspore_rec.checkpoint.format import MANIFEST, Checkpoint, manifest_of
from mindspore_rec.checkpoint.history import compact, materialize, path_at, verified
from mindspore_rec.checkpoint.store import CheckpointStore
from mindspore_rec.cli.arguments import Parser
from mindspore_rec.config import ConfigError, UserError
from mindspore_rec.logs import setup_logging
from mindspore_rec.metrics.progressive import ProgressiveWindow, WindowMetrics

DESCRIPTION = "What checkpoints there are in a folder, whether they are whole, and what was when."
_NAMED = ("rows_trained", "rows_rejected", "rows_skipped")
Outcome = Tuple[List[str], int]  # lines to print, exit status


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Print what was asked for; the exit status, 1 where `verify` found a damaged checkpoint.

    Raises:
        UserError: there is no such folder, no checkpoint in it, or one that is needed is damaged.
    """
    setup_logging(logging.WARNING)
    given = _parser().parse_args(argv)
    try:
        lines, status = COMMANDS[given.what](given)
    except OSError as error:
        raise UserError(f"{error.filename}: {error.strerror}") from None
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    return status


def _paths(folder: Path) -> List[Path]:
    """The checkpoints of a folder, or the one it is."""
    paths = CheckpointStore(folder).paths() or ([folder] if (folder / MANIFEST).exists() else [])
    if not paths:
        raise UserError(f"{folder} is no checkpoint, and no folder of checkpoints")
    return paths


def _list(given: argparse.Namespace) -> Outcome:
    return [_listed(path) for path in _paths(Path(given.folder))], 0


def _listed(path: Path) -> str:
    try:
        manifest = manifest_of(path)
    except CheckpointError as error:
        return f"damaged: {error}"
    progress = manifest.meta.get("progress", {})
    size = sum(file.stat().st_size for file in path.iterdir())
    counts = [f"{name} {progress[name]:,}" for name in _NAMED if progress.get(name)]
    if progress.get("event_time", -1) >= 0:
        moment = datetime.fromtimestamp(progress["event_time"] / 1000, timezone.utc)
        counts.append(f"rows up to {moment:%Y-%m-%d %H:%M:%S} UTC")
    if manifest.parent is not None:
        counts.append(f"adds to step {manifest.parent.step}")
    return ", ".join([path.name, f"{size / 2**20:,.1f} MiB", *counts])


def _verify(given: argparse.Namespace) -> Outcome:
    paths = _paths(Path(given.folder))
    lines, status = [], 0
    for path, error in tqdm(verified(paths), total=len(paths), leave=False):
        if error is not None:
            lines.append(f"damaged: {error}")
            status = 1
        else:
            size = sum(file.stat().st_size for file in path.iterdir())
            lines.append(f"whole: {path.name}, {size / 2**20:,.1f} MiB, digest {manifest_of(path).digest[:16]}")
    return lines, status


def _diff(given: argparse.Namespace) -> Outcome:
    before, after = (read_state(_paths(Path(path))[-1]) for path in (given.before, given.after))
    lines = [f"from {before.path} to {after.path}"]
    counts = [state.meta.get("progress", {}) for state in (before, after)]
    for name in ("step", *_NAMED):
        if name in counts[0] and name in counts[1]:
            lines.append(f"{name}: {counts[0][name]:,} -> {counts[1][name]:,}")
    metrics = [_metrics(state) for state in (before, after)]
    if metrics[0] is not None and metrics[1] is not None:
        for name in ("auc", "log_loss", "calibration"):
            old, new = (getattr(found, name) for found in metrics)
            lines.append(f"{name} of the window: {old:.5f} -> {new:.5f} ({new - old:+.5f})")
    for name, table in difference(before, after, given.most).items():
        lines.append(f"table {name}: {table.added:,} rows added, {table.removed:,} removed, {table.changed:,} changed")
        lines += [f"  id {moved} moved by {distance:g}" for moved, distance in table.moved]
    return lines, 0


def _compact(given: argparse.Namespace) -> Outcome:
    folder = Path(given.folder)
    _paths(folder)
    written = compact(CheckpointStore(folder, keep=given.keep))
    return [f"wrote {written}" if written is not None else "nothing to do: the newest checkpoint is a full one"], 0


def _at(given: argparse.Namespace) -> Outcome:
    path = path_at(_paths(Path(given.folder)), given.step, given.time)
    return [f"wrote {materialize(path, Path(given.out))}, the state of {path}"], 0


COMMANDS: Dict[str, Callable[[argparse.Namespace], Outcome]] = {
    "list": _list,
    "verify": _verify,
    "diff": _diff,
    "compact": _compact,
    "at": _at,
}


def _metrics(state: Checkpoint) -> Optional[WindowMetrics]:
    if "window" not in state.meta or "window" not in state.groups:
        return None
    window = ProgressiveWindow(int(state.meta["window"]["size"]))
    window.load_state({**state.meta["window"], **state.groups["window"]})
    return window.metrics()


def _milliseconds(text: str) -> int:
    """An ISO time, UTC where it names no zone, in milliseconds since 1970."""
    try:
        moment = datetime.fromisoformat(text[:-1] + "+00:00" if text.endswith("Z") else text)
    except ValueError:
        raise ConfigError(f"--time {text}: expected an ISO time, as 2026-11-21T12:00:00") from None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).timestamp() * 1000)


def _whole_number(text: str) -> int:
    if not text.isdigit():
        raise ConfigError(f"{text}: expected a whole number")
    return int(text)


def _parser() -> Parser:
    parser = Parser(prog="python -m mindspore_rec checkpoint", description=DESCRIPTION)
    commands = parser.add_subparsers(dest="what", required=True, metavar=" | ".join(COMMANDS))
    words = {
        "list": "size and progress of each",
        "verify": "read every byte and compute digests along the chains of deltas",
        "compact": "make the newest state a full checkpoint and remove what it supersedes",
        "at": "write the state of a step or time as a full checkpoint",
    }
    for name, help_text in words.items():
        command = commands.add_parser(name, help=help_text)
        command.add_argument("folder", metavar="FOLDER", help="a folder of checkpoints")
        if name == "compact":
            command.add_argument("--keep", metavar="N", type=_whole_number, default=3, help="full checkpoints kept")
        if name == "at":
            when = command.add_mutually_exclusive_group(required=True)
            when.add_argument("--step", metavar="N", type=_whole_number, help="the newest state no later than this")
            when.add_argument("--time", metavar="ISO", type=_milliseconds, help="before any row later than this (UTC)")
            command.add_argument("--out", metavar="FOLDER", required=True, help="folder of checkpoints to write it to")
    diff = commands.add_parser("diff", help="rows added, removed and moved most, and metrics")
    diff.add_argument("before", metavar="BEFORE", help="a checkpoint, or a folder of them: its newest")
    diff.add_argument("after", metavar="AFTER", help="likewise")
    diff.add_argument("--most", metavar="N", type=_whole_number, default=5, help="ids named that moved most")
    return parser
