"""What a run of the whole pipeline on this machine needs first: a new folder, and ports for the channel."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Optional

from mindspore_rec.config import UserError
from mindspore_rec.stream.brokers import free_port

MAX_PORT = 65_000  # the largest that `port` may be


def new_run_folder(kind: str, wanted: Optional[str], runs: Path) -> Path:
    """Make the folder of a run.

    Args:
        kind: of run, the begin of its name.
        wanted: by the user; None: one in `runs` named after the time.

    Raises:
        UserError: it is not empty, or cannot be made.
    """
    folder = Path(wanted or runs / time.strftime(f"{kind}-%Y%m%d-%H%M%S")).absolute()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise UserError(f"the folder {folder} is not empty: name a new one with --folder")
    except OSError as error:
        raise UserError(f"cannot make the folder {folder}: {error.strerror}") from None
    return folder


def channel_port() -> int:
    """Return a port that is free now and that configuration allows."""
    port = free_port()
    while port > MAX_PORT:
        port = free_port()
    return port
