"""``python -m mindspore_rec checkpoint``: what checkpoints there are, and whether they are whole.

    python -m mindspore_rec checkpoint list checkpoints
    python -m mindspore_rec checkpoint verify checkpoints
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import List, Optional, Sequence

from tqdm import tqdm

from mindspore_rec.checkpoint.format import CheckpointError, read_checkpoint, verify_checkpoint
from mindspore_rec.checkpoint.store import CheckpointStore
from mindspore_rec.cli.arguments import Parser
from mindspore_rec.config import UserError

DESCRIPTION = "What checkpoints there are in a folder, and whether they are whole."
_NAMED = ("rows_trained", "rows_rejected", "rows_skipped")


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Print a line for each checkpoint; the exit status, 1 where `verify` found a damaged one.

    Raises:
        UserError: there is no such folder, or no checkpoint in it.
    """
    given = _parser().parse_args(argv)
    folder = Path(given.folder)
    paths = CheckpointStore(folder).paths() or ([folder] if (folder / "manifest.json").exists() else [])
    if not paths:
        raise UserError(f"{folder} is no checkpoint, and no folder of checkpoints")
    lines = [_verified(path) if given.what == "verify" else _listed(path) for path in tqdm(paths, leave=False)]
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    return int(any(line.startswith("damaged") for line in lines))


def _listed(path: Path) -> str:
    try:
        progress = read_checkpoint(path, only="").meta.get("progress", {})
    except CheckpointError as error:
        return f"damaged: {error}"
    size = sum(file.stat().st_size for file in path.iterdir())
    counts = [f"{name} {progress[name]:,}" for name in _NAMED if progress.get(name)]
    return ", ".join([path.name, f"{size / 2**20:,.1f} MiB", *counts])


def _verified(path: Path) -> str:
    try:
        return f"whole: {path.name}, {verify_checkpoint(path) / 2**20:,.1f} MiB"
    except CheckpointError as error:
        return f"damaged: {error}"


def _parser() -> Parser:
    parser = Parser(prog="python -m mindspore_rec checkpoint", description=DESCRIPTION)
    commands = parser.add_subparsers(dest="what", required=True, metavar="list | verify")
    words: List[str] = ["size and progress of each", "read every byte and compare it with its checksum"]
    for name, help_text in zip(("list", "verify"), words):
        command = commands.add_parser(name, help=help_text)
        command.add_argument("folder", metavar="FOLDER", help="a checkpoint, or a folder of them")
    return parser
