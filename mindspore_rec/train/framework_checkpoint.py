"""Host tables beside the framework's own checkpoints.

`ModelCheckpoint` writes NAME.ckpt; the tables go to NAME.ckpt.tables. The .ckpt holds a stamp of every table (rows and
steps), so that a network that was loaded without its tables is noticed before it is used.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, List, Sequence, Union

import mindspore as ms
from mindspore import nn
from mindspore.train import Callback, ModelCheckpoint, RunContext

from mindspore_rec.checkpoint.array_file import read_arrays, write_arrays
from mindspore_rec.config import UserError
from mindspore_rec.embedding.lookup import HashEmbeddingLookup
from mindspore_rec.train.hoist import lookup_cells

SUFFIX = ".tables"


class TablesMissingError(UserError):
    """A network with lookups was loaded from a checkpoint without its tables."""


class TableSidecars(Callback):
    """Writes the tables of a network beside each file its `ModelCheckpoint` callbacks write."""

    def __init__(self, savers: Sequence[ModelCheckpoint], lookups: Sequence[HashEmbeddingLookup]) -> None:
        super().__init__()
        self._savers = savers
        self._lookups = lookups

    @classmethod
    def around(cls, callbacks: List[Callback], lookups: Sequence[HashEmbeddingLookup]) -> List[Callback]:
        """Return `callbacks` with what their ModelCheckpoints need before and after them."""
        savers = [callback for callback in callbacks if isinstance(callback, ModelCheckpoint)]
        if not savers or not lookups:
            return callbacks
        return [_StampTables(lookups), *callbacks, cls(savers, lookups)]

    def on_train_step_end(self, run_context: RunContext) -> None:
        """Write the tables where a checkpoint was just written."""
        self._follow()

    def on_train_end(self, run_context: RunContext) -> None:
        """See `on_train_step_end`."""
        self._follow()

    def _follow(self) -> None:
        for saver in self._savers:
            path = saver.latest_ckpt_file_name
            if path and os.path.exists(path) and not os.path.exists(path + SUFFIX):
                save_tables(path, self._lookups)
                _remove_orphans(Path(path).parent)


class _StampTables(Callback):
    """Keeps the stamps up to date for the checkpoint callbacks after it."""

    def __init__(self, lookups: Sequence[HashEmbeddingLookup]) -> None:
        super().__init__()
        self._lookups = lookups

    def on_train_step_end(self, run_context: RunContext) -> None:
        refresh_stamps(self._lookups)


def save_tables(checkpoint: Union[str, Path], lookups: Sequence[HashEmbeddingLookup]) -> None:
    """Write the tables that belong to a .ckpt file."""
    arrays = {f"{lookup.table_name}.{key}": array for lookup in lookups for key, array in lookup.table.state().items()}
    write_arrays(Path(f"{checkpoint}{SUFFIX}"), arrays)


def load_checkpoint(checkpoint: Union[str, Path], network: nn.Cell) -> Any:
    """Load a framework checkpoint and the tables beside it into `network`; return what was not loaded.

    Raises:
        TablesMissingError: there is no tables file, or it belongs to another checkpoint.
    """
    lookups = lookup_cells(network)
    tables = Path(f"{checkpoint}{SUFFIX}")
    if lookups and not tables.exists():
        raise TablesMissingError(f"checkpoint {checkpoint} has no tables beside it: {tables} is missing")
    not_loaded = ms.load_param_into_net(network, ms.load_checkpoint(str(checkpoint)))
    if lookups:
        arrays = read_arrays(tables)
        for lookup in lookups:
            prefix = f"{lookup.table_name}."
            state = {key[len(prefix) :]: array for key, array in arrays.items() if key.startswith(prefix)}
            if not state:
                raise TablesMissingError(f"{tables} has no table {lookup.table_name!r}")
            lookup.table.load_state(state)
    check_stamps(lookups)
    return not_loaded


def refresh_stamps(lookups: Sequence[HashEmbeddingLookup]) -> None:
    """Note rows and steps of the tables in the parameters that a .ckpt keeps."""
    for lookup in lookups:
        lookup.refresh_stamp()


def check_stamps(lookups: Sequence[HashEmbeddingLookup]) -> None:
    """Refuse to go on with parameters from one checkpoint and tables from another.

    Raises:
        TablesMissingError: a stamp does not fit its table.
    """
    for lookup in lookups:
        rows, step = (int(value) for value in lookup.table_stamp.asnumpy())
        if (rows, step) != (len(lookup.table), lookup.table.step):
            raise TablesMissingError(
                f"table {lookup.table_name!r} has {len(lookup.table)} rows after {lookup.table.step} steps, but the "
                f"parameters were saved with one of {rows} rows after {step} steps: "
                f"load both with mindspore_rec.load_checkpoint"
            )


def _remove_orphans(folder: Path) -> None:
    """Remove the tables of checkpoints that `keep_checkpoint_max` has removed."""
    for tables in folder.glob(f"*.ckpt{SUFFIX}"):
        if not Path(str(tables)[: -len(SUFFIX)]).exists():
            tables.unlink()
