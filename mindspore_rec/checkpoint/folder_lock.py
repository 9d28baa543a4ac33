"""One process at a time writes into a folder."""

from __future__ import annotations

import fcntl
import os
import socket
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Iterator, Optional

from mindspore_rec.checkpoint.errors import CheckpointError

LOCK = ".lock"
_MAX_HOLDER = 200


@contextmanager
def held_folder(folder: Path, key: str) -> Iterator[None]:
    """Keep other processes from holding a folder, as long as the block lasts or the process lives.

    Args:
        folder: is made where it is missing.
        key: of the configuration that names it.

    Raises:
        CheckpointError: another process holds it, and the message says which; or it cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        opened = (folder / LOCK).open("a+")
    except OSError as error:
        raise CheckpointError(
            f"{key} = {str(folder)!r}: expected a folder that can be written: {error.strerror}"
        ) from None
    with opened as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            holder = lock.read(_MAX_HOLDER).strip() or "another process"
            raise CheckpointError(f"{key} = {str(folder)!r} is in use by {holder}") from None
        lock.truncate(0)
        lock.write(f"process {os.getpid()} on {socket.gethostname()} since {time.strftime('%Y-%m-%d %H:%M:%S')}\n")
        lock.flush()
        yield


@contextmanager
def held_folders(**folders: Optional[str]) -> Iterator[None]:
    """Hold folders as `held_folder` does, by the keys that name them; None: no folder.

    Raises:
        CheckpointError: one cannot be held.
    """
    with ExitStack() as held:
        for key, folder in folders.items():
            if folder is not None:
                held.enter_context(held_folder(Path(folder), key))
        yield
