"""Where a pass-by-pass run saves, below ``model_save_path``; PaddleRec's layout.

``{day}/{pass}/`` is a checkpoint, ``{next_day}/0/`` the one after a day has ended, ``{day}/delta-{pass}/`` an export of
what changed, ``{next_day}/base/`` one of everything, ``{day}/inference_model_{pass}/`` the model that answers requests.
"""

from __future__ import annotations

import re
from typing import Optional

from mindspore_rec.stream.pass_schedule import PassKey, day_of

_CHECKPOINT = re.compile(r"(?:.*/)?([0-9]{8})/(0|[1-9][0-9]{0,3})/?")  # a day has 1440 minutes


def checkpoint_folder(key: PassKey) -> str:
    """Folder of the checkpoint after a pass.

    >>> checkpoint_folder(PassKey("20190720", 6))
    '20190720/6'
    """
    return f"{key.day}/{key.number}"


def delta_folder(key: PassKey) -> str:
    """Folder of the export of what changed until a pass.

    >>> delta_folder(PassKey("20190720", 6))
    '20190720/delta-6'
    """
    return f"{key.day}/delta-{key.number}"


def inference_folder(key: PassKey) -> str:
    """Folder of the inference model after a pass.

    >>> inference_folder(PassKey("20190720", 6))
    '20190720/inference_model_6'
    """
    return f"{key.day}/inference_model_{key.number}"


def base_folder(day: str) -> str:
    """Folder of the export of everything that ``day`` begins with.

    >>> base_folder("20190721")
    '20190721/base'
    """
    return f"{day}/base"


def day_start(day: str) -> PassKey:
    """The key of the state ``day`` begins with: that of the checkpoint after the day before has ended.

    >>> checkpoint_folder(day_start("20190721"))
    '20190721/0'
    """
    return PassKey(day, 0)


def key_of(path: str) -> Optional[PassKey]:
    """The key of a checkpoint's folder, None for any other.

    >>> key_of("model/20190720/6/"), key_of("model/20190720/delta-6")
    (PassKey(day='20190720', number=6), None)
    """
    found = _CHECKPOINT.fullmatch(path)
    if found is None:
        return None
    try:
        day_of(found[1])
    except ValueError:
        return None
    return PassKey(found[1], int(found[2]))
