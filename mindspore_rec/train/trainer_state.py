"""Everything a trainer must have to go on as if nothing had happened."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, Dict, Optional

import numpy as np
from mindspore import Tensor

from mindspore_rec.checkpoint.format import TABLE, Arrays, Checkpoint, CheckpointError, read_checkpoint
from mindspore_rec.checkpoint.store import CheckpointStore
from mindspore_rec.embedding.lookup import HashEmbeddingLookup
from mindspore_rec.metrics.progressive import ProgressiveWindow
from mindspore_rec.train.framework_checkpoint import refresh_stamps
from mindspore_rec.train.hoist import lookup_cells
from mindspore_rec.train.rec_model import RecModel

logger = logging.getLogger(__name__)



def capture(model: RecModel, window: Optional[ProgressiveWindow], spec: Dict[str, Any]) -> Checkpoint:
    """Collect the state of a trainer; tables are views of the live ones, so write it before the next step.

    Args:
        model: its dense parameters, optimizer state, tables and progress are taken.
        window: the progressive metrics, None where there are none.
        spec: the feature spec the ids were made with; empty where unknown.
    """
    dense = {p.name: p.asnumpy() for p in model.train_network.get_parameters() if not _is_stamp(p.name)}
    groups: Dict[str, Arrays] = {"dense": dense}
    for lookup in lookup_cells(model.train_network.network):
        groups[TABLE + lookup.table_name] = lookup.table.state()
    tables = {lookup.table_name: lookup.table.about() for lookup in lookup_cells(model.train_network.network)}
    meta: Dict[str, Any] = {"progress": model.progress.to_json(), "spec": spec, "tables": tables}
    if window is not None:
        state = window.state()
        groups["window"] = {key: value for key, value in state.items() if isinstance(value, np.ndarray)}
        meta["window"] = {key: value for key, value in state.items() if not isinstance(value, np.ndarray)}
    return Checkpoint(groups, meta)


def restore(checkpoint: Checkpoint, model: RecModel, window: Optional[ProgressiveWindow]) -> None:
    """Put what `capture` collected into a model of the same shape.

    Raises:
        CheckpointError: a parameter or table is missing or has another shape; the message names it.
    """
    dense = checkpoint.groups.get("dense", {})
    for parameter in model.train_network.get_parameters():
        if _is_stamp(parameter.name):
            continue
        saved = dense.get(parameter.name)
        if saved is None or saved.shape != tuple(parameter.shape):
            found = "nothing" if saved is None else f"shape {saved.shape}"
            raise CheckpointError(
                f"checkpoint {checkpoint.path} does not fit: parameter {parameter.name} needs shape "
                f"{tuple(parameter.shape)}, it has {found}"
            )
        parameter.set_data(Tensor(saved, dtype=parameter.dtype))
    lookups = lookup_cells(model.train_network.network)
    for lookup in lookups:
        _restore_table(checkpoint, lookup)
    refresh_stamps(lookups)
    try:
        model.progress.load_json(checkpoint.meta["progress"])
        if window is not None and "window" in checkpoint.meta:
            window.load_state({**checkpoint.meta["window"], **checkpoint.groups["window"]})
    except (KeyError, ValueError) as error:
        raise CheckpointError(f"checkpoint {checkpoint.path} does not fit: {error}") from None


def _restore_table(checkpoint: Checkpoint, lookup: HashEmbeddingLookup) -> None:
    try:
        lookup.table.load_state(checkpoint.groups[TABLE + lookup.table_name])
    except (KeyError, ValueError) as error:
        raise CheckpointError(f"checkpoint {checkpoint.path}: table {lookup.table_name!r}: {error}") from None


def _is_stamp(name: str) -> bool:
    return name.endswith("table_stamp")


def resume(rule: str, store: CheckpointStore, model: RecModel, window: Optional[ProgressiveWindow]) -> None:
    """Continue where a run ended: `rule` is "auto" (newest whole checkpoint, if any), "none", or a checkpoint folder.

    Raises:
        CheckpointError: the named checkpoint cannot be used, or the newest one does not fit the model.
    """
    if rule == "none":
        return
    checkpoint = store.newest() if rule == "auto" else read_checkpoint(Path(rule))
    if checkpoint is None:
        logger.info("no checkpoint in %s: starting new", store.folder)
        return
    restore(checkpoint, model, window)
    logger.info("continuing from %s: step %d", checkpoint.path, model.progress.step)
