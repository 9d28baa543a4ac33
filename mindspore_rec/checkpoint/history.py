"""The states that a folder of checkpoints can bring back: which is that of a step or time, and making it a full one."""

from __future__ import annotations

from pathlib import Path
from typing import Iterator, List, Optional, Tuple

from mindspore_rec.checkpoint.chain import ChainState, chain_of, read_state, room_of
from mindspore_rec.checkpoint.errors import CheckpointError
from mindspore_rec.checkpoint.format import Checkpoint, manifest_of, read_checkpoint
from mindspore_rec.checkpoint.store import CheckpointStore

EVERY = 1_000_000_000  # checkpoints kept, where none is to be removed


def verified(paths: List[Path]) -> Iterator[Tuple[Path, Optional[CheckpointError]]]:
    """Yield each checkpoint and what is wrong with it: every byte of it is read, and digests are computed along chains.

    Args:
        paths: oldest first.
    """
    state: Optional[ChainState] = None
    at: Optional[Path] = None
    for path in paths:
        try:
            chain = chain_of(path)
            if state is None or len(chain) < 2 or chain[-2] != at:
                state, at = ChainState(read_checkpoint(chain[0]), room_of(paths)), chain[0]
            for link in chain[chain.index(at) + 1 :]:
                state.apply(read_checkpoint(link))
            state.checkpoint()
            at = path
            yield path, None
        except CheckpointError as error:
            state = None
            yield path, error


def path_at(paths: List[Path], step: Optional[int] = None, event_time: Optional[int] = None) -> Path:
    """Return the newest checkpoint that is no later than a step, or holds no row later than a time.

    Args:
        paths: oldest first.
        event_time: milliseconds since 1970, of rows.

    Raises:
        CheckpointError: there is none so old.
    """
    known = False
    for path in reversed(paths):
        manifest = manifest_of(path)
        time = int(manifest.meta.get("progress", {}).get("event_time", -1))
        known |= time >= 0
        if step is not None and manifest.step <= step:
            return path
        if event_time is not None and 0 <= time <= event_time:
            return path
    wanted = f"step {step}" if step is not None else "that time"
    unknown = "" if known or step is not None else "; the times of its rows are not known"
    raise CheckpointError(f"no checkpoint in {paths[0].parent} is of {wanted} or before{unknown}")


def materialize(path: Path, folder: Path) -> Path:
    """Write the state of a checkpoint as a full one into another folder; return where it is.

    Raises:
        CheckpointError: it is damaged, or its digest is not the same afterwards.
        OSError: the folder cannot be written.
    """
    return _write_whole(CheckpointStore(folder, keep=EVERY), read_state(path))


def compact(store: CheckpointStore) -> Optional[Path]:
    """Make the newest state that is whole a full checkpoint, and remove what it supersedes.

    Returns:
        where it is; None where the newest is a full one already.

    Raises:
        CheckpointError: none is whole, or a trainer is at work in the folder.
        OSError: the folder cannot be written.
    """
    with store.held():
        state = store.newest()
        if state is None or state.manifest is None:
            raise CheckpointError(f"no checkpoint in {store.folder} is whole")
        if state.manifest.kind == "full":
            return None
        return _write_whole(store, state)


def _write_whole(store: CheckpointStore, state: Checkpoint) -> Path:
    if state.manifest is None:
        raise CheckpointError(f"checkpoint {state.path} was never written")
    written = store.write(state.manifest.step, state)
    before, after = state.manifest.digest, manifest_of(written).digest
    if before and after != before:
        raise CheckpointError(f"checkpoint {written} has digest {after[:16]}, {state.path} has {before[:16]}")
    return written
