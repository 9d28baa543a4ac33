"""``python -m mindspore_rec export``: make a model that answers requests of a checkpoint.

python -m mindspore_rec export checkpoints --to models/ctr
python -m mindspore_rec export run/20190720/6 --to models/ctr --layout paddle --feed 1,2,3 --fetch probability,logit
python -m mindspore_rec export run/20190720/6 --to models/ctr --row_type int8 --min_score 1.5
"""

from __future__ import annotations

import logging
import math
import sys
from pathlib import Path
from typing import Optional, Sequence, Tuple

from mindspore_rec.checkpoint.saved import read_saved
from mindspore_rec.cli.arguments import Parser
from mindspore_rec.config import UserError
from mindspore_rec.logs import quiet_mindspore, setup_logging

ROW_TYPES = ("float32", "float16", "int8")
DESCRIPTION = "Export the model of a checkpoint: graph, tables without optimizer state, dense parameters, manifest."


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Write the export and say what it is; the exit status.

    Raises:
        UserError: there is no such checkpoint, it is damaged, or its model cannot be exported.
    """
    given = _parser().parse_args(argv)
    setup_logging(logging.WARNING)
    quiet_mindspore()
    from mindspore_rec.serving.export import ModelExport
    from mindspore_rec.serving.trained_model import trained_model
    from mindspore_rec.train.device import use_device

    use_device("CPU")
    checkpoint = read_saved(Path(given.checkpoint))
    trained = trained_model(checkpoint, Path(given.model) if given.model else None)
    export = ModelExport(trained.network, trained.inputs, given.feed, given.fetch, weighted=trained.weighted)
    rows, source = trained.rows(), trained.source
    if given.min_score is not None:
        rows, source = trained.rows_worth(given.min_score), source.model_copy(update={"kind": "base"})
    try:
        folder = export.write(Path(given.to), rows, source, given.layout, given.row_type, given.onnx)
    except OSError as error:
        raise UserError(f"--to {given.to}: {error.filename}: {error.strerror}") from None
    tables = ", ".join(f"table {name} {len(own):,} rows" for name, own in rows.items())
    sys.stdout.write(f"wrote {folder} of {checkpoint.path}: step {source.step:,}, {tables}\n")
    return 0


def _parser() -> Parser:
    parser = Parser(prog="python -m mindspore_rec export", description=DESCRIPTION)
    parser.add_argument(
        "checkpoint", metavar="CHECKPOINT", help="a checkpoint, a folder of them (its newest), or the folder of a pass"
    )
    parser.add_argument(
        "--to", metavar="DIR", required=True, help="folder to write; an export that is there is replaced"
    )
    parser.add_argument("--layout", choices=("native", "paddle"), default="native", help="of the files; default native")
    parser.add_argument(
        "--row_type", choices=ROW_TYPES, default="float32", help="of the rows in the files; default float32"
    )
    parser.add_argument(
        "--min_score", metavar="X", type=_number, help="leave out rows of a lower show-click score; default: all rows"
    )
    parser.add_argument("--onnx", action="store_true", help="write the graph as model.onnx too, for other runtimes")
    parser.add_argument("--model", metavar="PATH", help="model.py of a model that is not built in; it is run")
    parser.add_argument("--feed", metavar="SLOTS", type=_names, help="slots it is given; default: those of the model")
    parser.add_argument("--fetch", metavar="VARIABLES", type=_names, help="what it returns; default: that of the model")
    return parser


def _number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value


def _names(text: str) -> Tuple[str, ...]:
    """Names split by commas."""
    return tuple(name.strip() for name in text.split(",") if name.strip())
