"""``python -m mindspore_rec channel``: the keys of a channel that leaves this machine.

python -m mindspore_rec channel keys channel_keys
python -m mindspore_rec channel keys channel_keys trainer-2 trainer-3
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Optional, Sequence

from mindspore_rec.cli.arguments import Parser
from mindspore_rec.stream.channel_keys import CONSUMER, make_keys

DESCRIPTION = "Make CURVE keys: a folder for the consumer, and one for each trainer it is to let in."


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Make keys and say where they are; the exit status.

    Raises:
        UserError: a trainer has keys already, or a folder cannot be written.
    """
    given = _parser().parse_args(argv)
    for path in make_keys(Path(given.folder), given.names):
        program = "consumer.py" if path.name == CONSUMER else "online_train.py, dist_online_train.py"
        sys.stdout.write(f"{program}: --channel_keys {path}\n")
    return 0


def _parser() -> Parser:
    parser = Parser(prog="python -m mindspore_rec channel", description=DESCRIPTION)
    commands = parser.add_subparsers(dest="what", required=True, metavar="keys")
    keys = commands.add_parser("keys", help="make them; those that are there stay")
    keys.add_argument("folder", metavar="FOLDER", help="of all of them; the secrets are readable by their owner alone")
    keys.add_argument("names", metavar="NAME", nargs="*", default=["trainer"], help="of new trainers; default: trainer")
    return parser
