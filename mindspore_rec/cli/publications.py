"""``python -m mindspore_rec publications``: what a trainer published, and what servers answer with.

python -m mindspore_rec publications list publications
python -m mindspore_rec publications rollback publications 12
python -m mindspore_rec publications release publications
python -m mindspore_rec publications verify publications
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import Callable, Dict, List, Optional, Sequence, Tuple

from mindspore_rec.cli.arguments import Parser
from mindspore_rec.config import ConfigError, UserError
from mindspore_rec.logs import setup_logging
from mindspore_rec.serving.publication import PublicationError, PublicationManifest
from mindspore_rec.serving.publication_check import checked
from mindspore_rec.serving.publication_folder import Current, PublicationFolder

DESCRIPTION = "What a trainer published, what servers answer with, and whether all of it is whole."
HEADINGS = ("version", "kind", "age", "data time", "step", "rows", "MiB", "auc", "log loss", "calibration", "")
_LEFT = ("kind", "data time", "")  # columns of words
_AGES = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))
Outcome = Tuple[List[str], int]  # lines to print, exit status


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Do what was asked for; the exit status, 1 where `verify` found damage.

    Raises:
        UserError: there is no such folder or version, or one that is needed is damaged.
    """
    setup_logging(logging.WARNING)
    given = _parser().parse_args(argv)
    folder = PublicationFolder(Path(given.folder))
    if not folder.kinds():
        raise UserError(f"{folder.path} is no folder of publications, or has none yet")
    try:
        lines, status = COMMANDS[given.what](folder, given)
    except OSError as error:
        raise UserError(f"{error.filename}: {error.strerror}") from None
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    return status


def _list(folder: PublicationFolder, given: argparse.Namespace) -> Outcome:
    current, now, rows = folder.current(), time.time(), []
    for version, kinds in folder.kinds().items():
        try:
            manifest = folder.manifest_of(version, kinds[0])
        except PublicationError as error:
            rows.append([str(version), "+".join(kinds), *[""] * (len(HEADINGS) - 3), f"damaged: {error}"])
            continue
        rows.append([str(version), "+".join(kinds), *_cells(manifest, now), _state(manifest, current)])
    return _aligned([list(HEADINGS), *rows]), 0


def _cells(manifest: PublicationManifest, now: float) -> List[str]:
    """What a line of `list` has between the kind and the state."""
    moment = "-"
    if manifest.data_time is not None:
        moment = f"{datetime.fromtimestamp(manifest.data_time / 1000, timezone.utc):%Y-%m-%d %H:%M:%S}"
    figures = manifest.metrics
    shown = [f"{figures[name]:.4f}" if name in figures else "-" for name in ("auc", "log_loss", "calibration")]
    rows = f"{figures['rows']:,.0f}" if "rows" in figures else "-"
    return [age(now - manifest.created), moment, f"{manifest.step:,}", rows, f"{manifest.nbytes / 2**20:,.1f}", *shown]


def _state(manifest: PublicationManifest, current: Optional[Current]) -> str:
    words = []
    if current is not None and current.version == manifest.version:
        words.append("current, pinned" if current.pinned else "current")
    if manifest.held:
        words.append(f"held: {manifest.held}")
    return "; ".join(words)


def age(seconds: float) -> str:
    """Seconds in the largest unit that fits.

    >>> age(0.4), age(59.0), age(7300.0), age(90000.0)
    ('0 s', '59 s', '2 h', '1 d')
    """
    size, unit = next((pair for pair in _AGES if seconds >= pair[0]), _AGES[-1])
    return f"{max(seconds, 0) // size:.0f} {unit}"


def _aligned(rows: Sequence[Sequence[str]]) -> List[str]:
    widths = [max(len(row[k]) for row in rows) for k in range(len(HEADINGS))]
    lines = []
    for row in rows:
        cells = [
            cell.ljust(width) if heading in _LEFT else cell.rjust(width)
            for cell, width, heading in zip(row, widths, HEADINGS)
        ]
        lines.append("  ".join(cells).rstrip())
    return lines


def _release(folder: PublicationFolder, given: argparse.Namespace) -> Outcome:
    version = folder.newest() if given.version is None else given.version
    folder.chain(version)
    folder.point(version)
    folder.leave_release(version)
    return [f"version {version} is current; the trainer moves it on, and its gate begins anew"], 0


def _rollback(folder: PublicationFolder, given: argparse.Namespace) -> Outcome:
    folder.chain(given.version)
    folder.point(given.version, pinned=True)
    return [f"version {given.version} is current and stays so until `publications release`"], 0


def _verify(folder: PublicationFolder, given: argparse.Namespace) -> Outcome:
    current = folder.current()
    lines, status = [], 0
    for found in checked(folder):
        if found.error:
            lines.append(f"damaged: {found.error}")
            status = 1
        else:
            lines.append(f"whole: {found.name}, {found.nbytes / 2**20:,.1f} MiB")
    if current is not None and current.version not in folder.kinds():
        lines.append(f"damaged: current is version {current.version}, which is missing")
        status = 1
    return lines, status


COMMANDS: Dict[str, Callable[[PublicationFolder, argparse.Namespace], Outcome]] = {
    "list": _list,
    "release": _release,
    "rollback": _rollback,
    "verify": _verify,
}


def _version(text: str) -> int:
    if not text.isdigit() or not int(text):
        raise ConfigError(f"version {text}: expected a whole number >= 1")
    return int(text)


def _parser() -> Parser:
    parser = Parser(prog="python -m mindspore_rec publications", description=DESCRIPTION)
    commands = parser.add_subparsers(dest="what", required=True, metavar=" | ".join(COMMANDS))
    words = {
        "list": "age, size and figures of each, which is current, and what the gate holds back",
        "release": "servers answer with a version, held back or not, and the trainer moves them on from there",
        "rollback": "servers answer with a version, whatever the trainer publishes, until a release",
        "verify": "read every byte",
    }
    for name, help_text in words.items():
        command = commands.add_parser(name, help=help_text)
        command.add_argument("folder", metavar="FOLDER", help="of publications")
        if name == "rollback":
            command.add_argument("version", metavar="VERSION", type=_version, help="a number of `list`")
        if name == "release":
            command.add_argument("version", metavar="VERSION", type=_version, nargs="?", help="default: the newest")
    return parser
