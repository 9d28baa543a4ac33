"""``python -m mindspore_rec consistency``: compare an exported model with the network it was made of.

python -m mindspore_rec consistency --model models/ctr --data part-0
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Optional, Sequence

from mindspore_rec.checkpoint.saved import read_saved
from mindspore_rec.cli.arguments import Parser
from mindspore_rec.config import UserError
from mindspore_rec.logs import quiet_mindspore, setup_logging

DESCRIPTION = "Compare each variable of an exported model with that of the network in training, row by row."


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Print a line a variable; the exit status, 1 where one differs.

    Raises:
        UserError: the export, its checkpoint or the data cannot be read, or there are no rows to compare.
    """
    given = _parser().parse_args(argv)
    setup_logging(logging.WARNING)
    quiet_mindspore()
    from mindspore_rec.serving.consistency import TOLERANCE, compare
    from mindspore_rec.serving.data_rows import format_of, network_rows
    from mindspore_rec.serving.exported_model import read_export
    from mindspore_rec.serving.trained_model import trained_model
    from mindspore_rec.train.device import use_device

    use_device("CPU")
    exported = read_export(Path(given.model))
    manifest = exported.manifest
    format = format_of(manifest, given.format or "", given.dictionary or "")
    named = given.checkpoint or manifest.source.checkpoint
    if not named and manifest.source.pass_number is not None:  # beside it; see checkpoint/pass_layout.py
        named = Path(given.model).resolve().with_name(str(manifest.source.pass_number))
    if not named:
        raise UserError(f"--checkpoint: expected that of {given.model}, which does not name it")
    checkpoint = read_saved(Path(named))
    trained = trained_model(checkpoint, Path(given.model_file) if given.model_file else None)
    if manifest.source.digest and trained.source.digest != manifest.source.digest:
        raise UserError(f"{checkpoint.path} is not the state that {given.model} was made of: another digest")
    found = compare(exported, trained, network_rows(given.data, format, manifest))
    if not found[0].rows:
        raise UserError(f"--data {given.data}: no rows, expected at least one")
    for one in found:
        verdict = f"{one.differing:,} beyond {TOLERANCE:g}" if one.differing else "equal"
        sys.stdout.write(f"{one.name}: {one.rows:,} rows, largest difference {one.largest:.3g}, {verdict}\n")
    return int(any(one.differing for one in found))


def _parser() -> Parser:
    parser = Parser(prog="python -m mindspore_rec consistency", description=DESCRIPTION)
    parser.add_argument("--model", metavar="DIR", required=True, help="the exported model")
    parser.add_argument("--data", metavar="PATH", required=True, help="a file of rows, or a folder of them")
    parser.add_argument(
        "--checkpoint", metavar="PATH", help="what it was made of; default: what it names, or that of its pass"
    )
    parser.add_argument(
        "--format",
        choices=("feasign_slot", "slot_feasign", "raw_tsv", "parquet"),
        help="of the data; default: raw_tsv where the model has a feature spec, else feasign_slot",
    )
    parser.add_argument("--dictionary", metavar="FILE", help="dictionary.safetensors, where ids come from one")
    parser.add_argument("--model_file", metavar="PATH", help="model.py of a model that is not built in; it is run")
    return parser
