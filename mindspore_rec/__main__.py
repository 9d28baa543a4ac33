"""``python -m mindspore_rec <command>``."""

from __future__ import annotations

import importlib
import sys
from typing import Optional, Sequence

from mindspore_rec.cli.options import run_cli
from mindspore_rec.config import ConfigError

COMMANDS = {
    "quickstart": "run the whole pipeline on this machine, once, on synthetic clicks",
    "launch": "run a program as several ranks, under mpirun or MindSpore's dynamic networking",
    "checkpoint": "list checkpoints, or verify every byte of them",
    "table": "say what a checkpoint knows of an embedding table, or of one id",
    "export": "make a model that answers requests of a checkpoint",
    "publications": "list publications, choose what servers answer with, or verify every byte of them",
    "consistency": "compare an exported model with the network it was made of, row by row",
    "serve": "answer HTTP requests with the newest version of a model that is being trained",
    "top": "show what a model server is doing, live in the terminal",
    "channel": "make the keys of a channel between hosts",
    "chaos": "kill every part of the pipeline many times, and show that no row is lost or doubled",
    "streaming-demo": "train pass by pass while data arrive, with the trainer killed on the way",
    "passes": "print the metrics of a pass-by-pass run as tables, and plot them",
    "synthetic": "write day files of synthetic clicks, and how likely each was",
    "synthetic-passes": "write folders of synthetic clicks for pass-by-pass training",
    "skip-grams": "make training rows of recall/word2vec from text",
}


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Run one command; the exit status.

    Args:
        argv: the command and its arguments; default: those of the process.

    Raises:
        ConfigError: there is no such command.
    """
    given = list(sys.argv[1:] if argv is None else argv)
    if not given or given[0] in ("-h", "--help"):
        lines = [f"  {name:16} {what}" for name, what in COMMANDS.items()]
        sys.stdout.write("\n".join(["usage: python -m mindspore_rec COMMAND [--help]", "", *lines, ""]))
        return 0
    if given[0] not in COMMANDS:
        raise ConfigError(f"unknown command {given[0]!r}: expected one of {', '.join(COMMANDS)}")
    sys.argv[0] = f"python -m mindspore_rec {given[0]}"  # what --help of the command calls itself
    status: int = importlib.import_module(f"mindspore_rec.cli.{given[0].replace('-', '_')}").main(given[1:])
    return status


if __name__ == "__main__":
    run_cli(main)
