"""Log lines on stderr for programs, and MindSpore kept from writing its own between them."""

from __future__ import annotations

import logging
import os
import sys
from typing import Union

FORMAT = "%(asctime)s %(levelname).1s %(message)s"
TIME_FORMAT = "%H:%M:%S"
CHATTY_LIBRARIES = ("kafka", "numba", "asyncio")  # their INFO and DEBUG tell a user of ours nothing

_HANDLER_NAME = "mindspore_rec"


def setup_logging(level: Union[int, str] = logging.INFO) -> None:
    """Send log records of ``level`` and above to stderr, one short line each; calling it again changes the level.

    Args:
        level: a number of the ``logging`` module or a name such as ``"INFO"``.

    Raises:
        ValueError: the name is no level.
    """
    root = logging.getLogger()
    root.setLevel(level)
    for handler in [handler for handler in root.handlers if handler.get_name() == _HANDLER_NAME]:
        root.removeHandler(handler)
    handler = logging.StreamHandler(sys.stderr)
    handler.set_name(_HANDLER_NAME)
    handler.setFormatter(logging.Formatter(FORMAT, TIME_FORMAT))
    root.addHandler(handler)
    for name in CHATTY_LIBRARIES:
        logging.getLogger(name).setLevel(max(root.level, logging.WARNING))


def quiet_mindspore() -> None:
    """Have MindSpore report errors only: on a CPU its warnings are about its own insides.

    Call it before MindSpore is imported, which reads the level once. A level the user chose (``GLOG_v``) stays, so
    ``GLOG_v=2`` brings the warnings back. Processes started from this one are quiet as well.
    """
    os.environ.setdefault("GLOG_v", "3")
