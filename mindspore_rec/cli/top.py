"""``python -m mindspore_rec top``: what a model server is doing, live in a terminal.

python -m mindspore_rec top
python -m mindspore_rec top http://127.0.0.1:8501 --interval 5
python -m mindspore_rec top --once
"""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any, Callable, Dict, Optional, Sequence

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from mindspore_rec.cli.arguments import Parser
from mindspore_rec.config import ConfigError
from mindspore_rec.monitor.status_client import NoStatusError, StatusClient
from mindspore_rec.monitor.status_values import duration
from mindspore_rec.monitor.status_view import status_view

DESCRIPTION = "What a model server is doing, live: Ctrl-C ends it."
_LONGEST_TOKEN = 4096


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Show the status until Ctrl-C, or once where stdout is no terminal; the exit status.

    Raises:
        UserError: the address, the interval or the token is wrong; with ``--once``: there is no answer.
    """
    given = _parser().parse_args(argv)
    interval = _interval(given.interval)
    client = StatusClient(given.address, _token(given.token_file))
    console = Console()
    if given.once or not console.is_terminal:
        console.print(status_view(client.fetch(), time.time()))
        return 0
    try:
        with Live(console=console, screen=True, auto_refresh=False) as live:
            watch(client, lambda view: live.update(view, refresh=True), interval)
    except KeyboardInterrupt:
        pass
    return 0


def watch(
    client: StatusClient,
    show: Callable[[RenderableType], None],
    interval: float,
    wait: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.time,
) -> None:
    """Show the status again and again, and where there is none since when; ends by an exception only.

    Args:
        client: whom to ask.
        show: puts a view on the screen.
        interval: seconds between two answers.
        wait: sleeps so many seconds.
        clock: seconds since 1970.
    """
    last: Optional[Dict[str, Any]] = None
    answered_at = clock()
    while True:
        try:
            last = client.fetch()
            answered_at = clock()
            view = status_view(last, answered_at)
        except NoStatusError as error:
            view = _silent(str(error), clock() - answered_at, last, answered_at)
        show(view)
        wait(interval)


def _silent(why: str, seconds: float, last: Optional[Dict[str, Any]], then: float) -> RenderableType:
    words = f"no answer since {duration(seconds)} ({why})"
    if last is None:
        return Text(words, "bold red")
    return Group(Text(f"{words}; the figures are those of then", "bold red"), status_view(last, then))


def _parser() -> Parser:
    parser = Parser(prog="python -m mindspore_rec top", description=DESCRIPTION)
    parser.add_argument(
        "address", nargs="?", default="http://127.0.0.1:8501", metavar="ADDRESS", help="default: %(default)s"
    )
    parser.add_argument("--interval", default="1", metavar="X", help="seconds between two looks (default: 1)")
    parser.add_argument("--once", action="store_true", help="print once and exit, as where stdout is no terminal")
    parser.add_argument("--token_file", default="", metavar="FILE", help="file with the access token of the server")
    parser.known = ("interval", "once", "token_file")
    return parser


def _interval(given: str) -> float:
    try:
        seconds = float(given)
    except ValueError:
        seconds = math.nan
    if not 0.05 <= seconds <= 3600:
        raise ConfigError(f"interval = {given!r}: expected seconds from 0.05 to 3600")
    return seconds


def _token(path: str) -> str:
    if not path:
        return ""
    try:
        with Path(path).open("rb") as file:
            token = file.read(_LONGEST_TOKEN + 1).strip()
    except OSError as error:
        raise ConfigError(f"token_file = {path!r}: expected a file that can be read ({error.strerror})") from None
    if not token or len(token) > _LONGEST_TOKEN or not all(33 <= byte < 127 for byte in token):
        raise ConfigError(f"token_file = {path!r}: expected one line of ASCII text in it, the token")
    return token.decode("ascii")
