"""What of a table changed since its last checkpoint: rows, and ids that wait for one."""

from __future__ import annotations

from typing import Callable, Dict

import numpy as np

from mindspore_rec.embedding.residents import Residents
from mindspore_rec.embedding.snapshot import TableSnapshot


class TableChanges:
    """Takes snapshots of a table that are read while training goes on, of all of it or of what changed.

    Args:
        residents: of the table.
        step: returns the updates the table has made.
    """

    def __init__(self, residents: Residents, step: Callable[[], int]) -> None:
        self._residents, self._step = residents, step

    def follow(self) -> Dict[str, int]:
        """Note from now on which rows change, so that `capture` can be called; costs a hash a row and checkpoint.

        Returns:
            digests of the rows as they are (see `row_digest`), of waiting ids too, by the prefix of their names.
        """
        return {prefix: changes.begin() for prefix, changes in self._residents.changes.items()}

    def ignore(self) -> None:
        """Follow changes no longer; so does a table whose state is replaced."""
        for changes in self._residents.changes.values():
            changes.stop()

    @property
    def known(self) -> bool:
        """Whether `capture` can tell what changed since the last time: not after all rows changed, or it failed."""
        return all(changes.digest_known for changes in self._residents.changes.values())

    def capture(self, whole: bool) -> TableSnapshot:
        """Return the state as it is now, or what of it changed since the last call, to be read while training goes on.

        One at a time: it has to be read to its end, or closed, before the next. `follow` comes first.

        Raises:
            RuntimeError: it did not, the one before is open, or what changed is not known.
        """
        arrays = {"step": np.array([self._step()], dtype=np.int64), **self._residents.state_without_rows()}
        rows = {prefix: changes.capture(whole) for prefix, changes in self._residents.changes.items()}
        return TableSnapshot(arrays, rows)
