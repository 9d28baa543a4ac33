"""``python -m mindspore_rec passes``: the tables and the AUC curve of a pass-by-pass run, from its ``metrics.jsonl``.

python -m mindspore_rec passes output_model --plot passes.png
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Optional, Sequence

from mindspore_rec.cli.arguments import Parser
from mindspore_rec.config import UserError
from mindspore_rec.metrics.day_table import day_tables
from mindspore_rec.metrics.pass_records import FILE, read_records
from mindspore_rec.monitor.pass_curve import write_curve

DESCRIPTION = "The metrics of each pass and day of a pass-by-pass run, as tables and as a curve."


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Print the tables, and write the plot where one is asked for; the exit status.

    Raises:
        UserError: there are no metrics, they are damaged, or the plot cannot be written.
    """
    given = _parser().parse_args(argv)
    folder = Path(given.model_save_path)
    records = read_records(folder)
    if not records:
        raise UserError(f"{folder / FILE}: not there, or empty; expected the model_save_path of a pass-by-pass run")
    sys.stdout.write("\n\n".join(day_tables(records)) + "\n")
    if given.plot is not None:
        write_curve(records, Path(given.plot), f"AUC by pass, {folder.resolve().name}")
        sys.stdout.write(f"wrote {given.plot}\n")
    return 0


def _parser() -> Parser:
    parser = Parser(prog="python -m mindspore_rec passes", description=DESCRIPTION, allow_abbrev=False)
    parser.add_argument("model_save_path", metavar="MODEL_SAVE_PATH", help="folder of the run's checkpoints")
    parser.add_argument("--plot", metavar="FILE", help="write the AUC of each pass to FILE: .png, or .html with tables")
    return parser
