"""``python -m mindspore_rec table``: what a checkpoint knows of an embedding table, or of one id in it.

python -m mindspore_rec table stats checkpoints
python -m mindspore_rec table explain checkpoints C5=68fd1e64 --table deep
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any, Dict, Optional, Sequence

import yaml

from mindspore_rec.checkpoint.array_file import Arrays
from mindspore_rec.checkpoint.chain import read_state
from mindspore_rec.checkpoint.errors import CheckpointError
from mindspore_rec.checkpoint.format import TABLE, manifest_of
from mindspore_rec.checkpoint.store import CheckpointStore
from mindspore_rec.cli.arguments import Parser
from mindspore_rec.config import UserError
from mindspore_rec.embedding.explanation import explain, known_of_state, summary
from mindspore_rec.features.id_text import id_of_text
from mindspore_rec.features.spec import FeatureSpec

DESCRIPTION = "What a checkpoint knows of an embedding table, or of one id in it."


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Print YAML; the exit status.

    Raises:
        UserError: there is no such checkpoint or table, it is damaged, or the id is none.
    """
    given = _parser().parse_args(argv)
    path = _checkpoint(Path(given.checkpoint))
    meta = manifest_of(path).meta
    tables: Dict[str, Any] = meta.get("tables", {})
    chosen = [given.table] if given.table else sorted(tables)
    if not tables or not set(chosen) <= set(tables):
        raise UserError(f"checkpoint {path} has no table {given.table!r}: it has {', '.join(sorted(tables)) or 'none'}")
    for name in chosen:
        arrays = read_state(path, only=TABLE + name).groups.get(TABLE + name)
        if arrays is None:
            raise CheckpointError(f"checkpoint {path}: {TABLE}{name}.safetensors is missing")
        _print({"table": name, **_report(given, arrays, tables[name], meta)})
    return 0


def _report(given: argparse.Namespace, state: Arrays, about: Dict[str, Any], meta: Dict[str, Any]) -> Dict[str, Any]:
    if given.what == "stats":
        return {**summary(state), **{key: value for key, value in about.items() if value is not None}}
    spec = FeatureSpec.from_json(json.dumps(meta["spec"])) if meta.get("spec") else FeatureSpec()
    wanted = id_of_text(given.id, spec)
    found = asdict(explain(wanted, known_of_state(state, about, wanted), about))
    return {key: value for key, value in found.items() if value not in (None, "")}


def _parser() -> Parser:
    parser = Parser(prog="python -m mindspore_rec table", description=DESCRIPTION)
    commands = parser.add_subparsers(dest="what", required=True, metavar="stats | explain")
    for name, help_text in (("stats", "rows, ages and rules of each table"), ("explain", "what is known of one id")):
        command = commands.add_parser(name, help=help_text)
        command.add_argument("checkpoint", metavar="FOLDER", help="a checkpoint, or a folder of them: its newest")
        if name == "explain":
            command.add_argument("id", metavar="ID", help="a number, signed or not, or a value: I3, C5=68fd1e64")
        command.add_argument("--table", metavar="NAME", default="", help="only this one")
    return parser


def _checkpoint(folder: Path) -> Path:
    newest = CheckpointStore(folder).newest_path()
    if newest is None and not folder.is_dir():
        raise UserError(f"no such folder: {folder}")
    return newest or folder


def _print(report: Dict[str, Any]) -> None:
    sys.stdout.write(yaml.safe_dump(report, sort_keys=False, default_flow_style=None, width=100) + "\n")
