"""One checkpoint written by several ranks: each writes its files and says so, rank 0 makes them a checkpoint.

The ranks share the folder, and nothing else: what a rank has written is in `part-R.json` beside its files until rank 0
has read it.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Dict, List

from pydantic import BaseModel, ConfigDict, ValidationError

from mindspore_rec.checkpoint.errors import CheckpointError
from mindspore_rec.checkpoint.manifest import GroupOf
from mindspore_rec.published_file import published

_LOOK_SECONDS = 0.02
DEADLINE_SECONDS = 600.0


class Part(BaseModel):
    """What a rank has written.

    Attributes:
        groups: digests of its groups.
        sizes: bytes of its files.
        sums: their checksums.
        error: why it has not; empty where it has.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    groups: Dict[str, GroupOf] = {}
    sizes: Dict[str, int] = {}
    sums: Dict[str, str] = {}
    error: str = ""


def leave_part(folder: Path, rank: int, part: Part) -> None:
    """Tell rank 0 what a rank has written into a folder.

    Raises:
        OSError: it cannot be written; rank 0 is told at least that, where an empty file still can.
    """
    try:
        with published(folder / f"part-{rank}.json") as place:
            place.write_text(part.model_dump_json())
    except OSError:
        _no_part(folder, rank).touch()
        raise


def collect_parts(folder: Path, ranks: int, deadline: float = DEADLINE_SECONDS) -> List[Part]:
    """Wait for the parts of ranks 1 to ranks - 1, and remove them.

    Raises:
        CheckpointError: one says that it failed, or does not come within `deadline` seconds.
    """
    end = time.monotonic() + deadline
    parts = []
    for rank in range(1, ranks):
        path = folder / f"part-{rank}.json"
        while not path.exists():
            if _no_part(folder, rank).exists():
                raise CheckpointError(f"rank {rank} could not write its part of the checkpoint; its log says why")
            if time.monotonic() > end:
                raise CheckpointError(f"rank {rank} has not written its part of the checkpoint in {deadline:g} s")
            time.sleep(_LOOK_SECONDS)  # a look with a deadline: ranks share nothing but the folder
        try:
            part = Part.model_validate(json.loads(path.read_text()))
        except (ValueError, ValidationError):
            raise CheckpointError(f"rank {rank}: {path.name} cannot be read") from None
        if part.error:
            raise CheckpointError(f"rank {rank}: {part.error}")
        path.unlink()
        parts.append(part)
    return parts


def _no_part(folder: Path, rank: int) -> Path:
    return folder / f"part-{rank}.failed"
