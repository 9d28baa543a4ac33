"""A full checkpoint and the deltas after it: which belong together, and the state they add up to."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Dict, List, Optional, Sequence

from mindspore_rec.checkpoint.errors import CheckpointError
from mindspore_rec.checkpoint.format import (
    SUFFIX,
    TABLE,
    Checkpoint,
    folder_name,
    manifest_of,
    read_checkpoint,
)
from mindspore_rec.checkpoint.manifest import GroupOf, Parent, RowsOf
from mindspore_rec.checkpoint.merge import MergedArrays, row_columns, row_digests, row_prefixes
from mindspore_rec.checkpoint.writing import arrays_digest, state_digest

ID_BYTES = 8


def chain_of(path: Path) -> List[Path]:
    """Return the checkpoints that make up the state of `path`: a full one, then deltas, `path` the last.

    Raises:
        CheckpointError: one of them is missing or damaged.
    """
    chain, manifest = [path], manifest_of(path)
    while manifest.parent is not None:
        if manifest.parent.step >= manifest.step:
            raise CheckpointError(f"checkpoint {chain[0]} names a later one as its parent: {manifest.parent.step}")
        found = find(path.parent, manifest.parent)
        if found is None:
            raise CheckpointError(
                f"checkpoint {path} needs that of step {manifest.parent.step} with digest "
                f"{manifest.parent.digest[:8]}, which is missing or damaged"
            )
        chain.insert(0, found)
        manifest = manifest_of(found)
    return chain


def read_state(path: Path, only: Optional[str] = None) -> Checkpoint:
    """Read the state a checkpoint stands for: its own, or that of the chain it ends; and verify its digest.

    Args:
        only: the one group wanted; its metadata comes in any case.

    Raises:
        CheckpointError: a file of the chain is damaged or missing, or what they add up to is not what was saved.
    """
    chain = chain_of(path)
    state = ChainState(read_checkpoint(chain[0], only), room=room_of(chain))
    for link in chain[1:]:
        state.apply(read_checkpoint(link, only))
    return state.checkpoint()


class ChainState:
    """The state at a point of a chain.

    Args:
        base: the full checkpoint, all of it or one group.
        room: rows of a table in all links together, at most.
    """

    def __init__(self, base: Checkpoint, room: int) -> None:
        self._last = base
        self._room = room
        self._merged: Dict[str, MergedArrays] = {}

    def apply(self, delta: Checkpoint) -> None:
        """Go on to a delta.

        Raises:
            CheckpointError: it does not fit.
        """
        if delta.groups.keys() != self._last.groups.keys():
            raise CheckpointError(f"checkpoint {delta.path} has other groups than {self._last.path}")
        for group, arrays in delta.groups.items():
            if not group.startswith(TABLE):
                continue
            try:
                if group not in self._merged:
                    self._merged[group] = MergedArrays(self._last.groups[group], self._room)
                self._merged[group].apply(arrays)
            except ValueError as error:
                raise CheckpointError(f"checkpoint {delta.path}: {group}: {error}") from None
        self._last = delta

    def checkpoint(self) -> Checkpoint:
        """Return the state here.

        Raises:
            CheckpointError: its digest is not the one that was saved.
        """
        last = self._last
        merged = {group: arrays.arrays() for group, arrays in self._merged.items()}
        state = Checkpoint({**last.groups, **merged}, last.meta, last.path, last.manifest)
        _check_digests(state)
        return state


def digests_of(state: Checkpoint) -> Dict[str, GroupOf]:
    """Return the digests of a state's groups, computed anew.

    Raises:
        CheckpointError: columns of rows have different lengths.
    """
    groups = {}
    for group, arrays in state.groups.items():
        rows: Dict[str, RowsOf] = {}
        names: List[str] = []
        if group.startswith(TABLE):
            try:
                digests = row_digests(arrays)
            except ValueError as error:
                raise CheckpointError(f"checkpoint {state.path}: {group}: {error}") from None
            for prefix in row_prefixes(arrays):
                columns = row_columns(arrays, prefix)
                names += [prefix + name for name in columns]
                count = columns["ids"].size
                rows[prefix] = RowsOf(total=count, changed=count, removed=0, digest=f"{digests[prefix]:016x}")
        groups[group] = GroupOf(arrays=arrays_digest({n: a for n, a in arrays.items() if n not in names}), rows=rows)
    return groups


def _check_digests(state: Checkpoint) -> None:
    manifest = state.manifest
    if manifest is None or not manifest.digest:  # version 2 had none
        return
    for group, found in digests_of(state).items():
        saved = manifest.groups.get(group)
        if saved is None or saved.arrays != found.arrays or saved.rows.keys() != found.rows.keys():
            raise CheckpointError(f"checkpoint {state.path}: {group} is not what was saved: other digests")
        for prefix, rows in found.rows.items():
            if (saved.rows[prefix].total, saved.rows[prefix].digest) != (rows.total, rows.digest):
                raise CheckpointError(
                    f"checkpoint {state.path}: {group} adds up to {rows.total} rows with digest {rows.digest}, saved "
                    f"were {saved.rows[prefix].total} with {saved.rows[prefix].digest}"
                )
    if state_digest(manifest.groups, manifest.meta) != manifest.digest:
        raise CheckpointError(f"checkpoint {state.path}: its digest is not that of its parts")


def find(folder: Path, parent: Parent) -> Optional[Path]:
    """Return the checkpoint of a folder that a delta adds to: a delta, or a full one of the same state; None: none."""
    for delta in (False, True):
        path = folder / folder_name(parent.step, delta)
        try:
            if path.is_dir() and manifest_of(path).digest == parent.digest:
                return path
        except CheckpointError:
            continue
    return None


def room_of(links: Sequence[Path]) -> int:
    """Return how many rows a table may have while these are put together, at most."""
    rows: Dict[str, int] = {}
    for link in links:
        with suppress(CheckpointError):  # said where it is read
            manifest = manifest_of(link)
            for group, about in manifest.groups.items():
                most = manifest.files.get(group + SUFFIX, 0) // ID_BYTES  # whatever the manifest says
                changed = max([part.changed for part in about.rows.values()], default=0)
                rows[group] = rows.get(group, 0) + min(changed, most)
    return max(rows.values(), default=0)
