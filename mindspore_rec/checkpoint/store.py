"""The checkpoints of a training run: a folder of them, each complete or not there at all.

A checkpoint is written under a temporary name, synced and renamed, and renamed before it is removed, so a crash leaves
whole ones and at most a `.writing-*` or `.removing-*` folder, which the next write removes.
"""

from __future__ import annotations

import logging
import shutil
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator, List, Optional, Union

from mindspore_rec.checkpoint.array_file import sync_folder
from mindspore_rec.checkpoint.capture import Capture, whole
from mindspore_rec.checkpoint.chain import read_state
from mindspore_rec.checkpoint.errors import CheckpointError
from mindspore_rec.checkpoint.folder_lock import held_folder
from mindspore_rec.checkpoint.format import Checkpoint, folder_name, manifest_of, order_of, step_of
from mindspore_rec.checkpoint.parts import Part, collect_parts, leave_part
from mindspore_rec.checkpoint.writing import write_groups, write_manifest
from mindspore_rec.kill_points import reached

logger = logging.getLogger(__name__)

_WRITING, _REMOVING = ".writing-", ".removing-"


class CheckpointStore:
    """The checkpoints of one training run in one folder.

    Args:
        folder: where they are.
        keep: the newest full ones that stay, with all deltas after the oldest of them.
        keep_every: besides them one full one of so many stays for good; 0: none.
        rank, ranks: of the job, whose ranks write each checkpoint together; rank 0 publishes it.
    """

    def __init__(self, folder: Path, keep: int = 3, keep_every: int = 0, rank: int = 0, ranks: int = 1) -> None:
        self.folder = folder
        self._keep, self._keep_every = keep, keep_every
        self._rank, self._ranks = rank, ranks

    def paths(self) -> List[Path]:
        """Return the checkpoints, oldest first; of one step the full one last."""
        found = self.folder.iterdir() if self.folder.is_dir() else iter(())
        return sorted((path for path in found if step_of(path) is not None), key=order_of)

    def newest_path(self) -> Optional[Path]:
        """Return the newest checkpoint, None where there is none."""
        paths = self.paths()
        return paths[-1] if paths else None

    def newest(self) -> Optional[Checkpoint]:
        """Read the newest state that is whole; a damaged checkpoint is skipped with a line that says what is wrong."""
        for path in reversed(self.paths()):
            try:
                return read_state(path)
            except CheckpointError as error:
                logger.error("skipping %s", error)
        return None

    def write(self, step: int, content: Union[Checkpoint, Capture]) -> Path:
        """Publish a checkpoint atomically and remove those that need not stay.

        Raises:
            CheckpointError: a value is not finite: nothing is published.
            OSError: the folder cannot be written.
        """
        capture = content if isinstance(content, Capture) else whole(content)
        self.folder.mkdir(parents=True, exist_ok=True)
        final = self.folder / folder_name(step, delta=capture.parent is not None)
        writing = self.folder / f"{_WRITING}{final.name}"
        if self._ranks == 1:  # else another rank may be at work; they clean when they start
            self.clean()
        try:
            writing.mkdir(exist_ok=self._ranks > 1)
            parts = [write_groups(writing, capture), *collect_parts(writing, self._ranks)]
            write_manifest(writing, step, self._next_number(capture), capture, parts)
            reached("checkpoint-rename")
            if final.exists():  # out of the way first: removing it takes longer than a rename
                final.rename(self.folder / f"{_REMOVING}{final.name}")
            writing.rename(final)
            sync_folder(self.folder)
        finally:
            self.clean()
        if capture.parent is None:
            try:
                self._remove_superseded()
            except OSError as error:
                logger.warning("old checkpoints in %s were not removed: %s", self.folder, error)
        return final

    def write_part(self, step: int, capture: Capture) -> None:
        """Write what another rank than 0 has of a checkpoint, for rank 0 to publish.

        Raises:
            CheckpointError: a value is not finite.
            OSError: the folder cannot be written.
        """
        writing = self.folder / f"{_WRITING}{folder_name(step, delta=capture.parent is not None)}"
        writing.mkdir(parents=True, exist_ok=True)
        try:
            leave_part(writing, self._rank, write_groups(writing, capture))
        except (OSError, CheckpointError) as error:
            leave_part(writing, self._rank, Part(error=str(error)))
            raise

    def clean(self) -> None:
        """Remove what was being written or removed by a process that was killed."""
        for prefix in (_WRITING, _REMOVING):
            for left_over in self.folder.glob(f"{prefix}*"):
                shutil.rmtree(left_over, ignore_errors=True)

    def set_aside(self, step: int) -> Optional[Path]:
        """Move the checkpoints after a step into a folder of their own; return it, None where there are none.

        A run that goes on from an older state would else go on from the newer one the next time.
        """
        newer = [path for path in self.paths() if order_of(path)[0] > step]
        if not newer:
            return None
        number = 1
        while (aside := self.folder / f"set-aside-{number}").exists():
            number += 1
        aside.mkdir()
        for path in reversed(newer):  # no delta without its base, whenever this ends
            path.rename(aside / path.name)
        return aside

    def _remove_superseded(self) -> None:
        """Remove what is older than the full checkpoints to keep; newest first, so that no delta loses its base."""
        full = [path for path in self.paths() if order_of(path)[1]]
        oldest = order_of(full[-self._keep :][0])
        for path in reversed([path for path in self.paths() if order_of(path) < oldest]):
            if self._keep_every and order_of(path)[1] and _number_of(path) % self._keep_every == 0:
                continue
            gone = path.rename(self.folder / f"{_REMOVING}{path.name}")
            reached("compaction")
            shutil.rmtree(gone)

    def _next_number(self, capture: Capture) -> int:
        newest = max([_number_of(path) for path in self.paths()[-1:]], default=0)
        return newest + (capture.parent is None)

    @contextmanager
    def held(self, key: str = "checkpoint_path") -> Iterator[None]:
        """Keep other processes from training into this folder; see `held_folder`.

        Raises:
            CheckpointError: another process holds it, or it cannot be written.
        """
        with held_folder(self.folder, key):
            yield


def _number_of(path: Path) -> int:
    """How many full checkpoints had been written by this one, 0 where that cannot be read."""
    try:
        return manifest_of(path).number
    except CheckpointError:
        return 0
