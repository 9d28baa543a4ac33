"""Everything a trainer must have to go on as if nothing had happened."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, field
from typing import Any, Dict, List, Mapping, Optional, Protocol

import numpy as np

from mindspore_rec.checkpoint.array_file import Arrays
from mindspore_rec.checkpoint.capture import Capture
from mindspore_rec.checkpoint.errors import CheckpointError
from mindspore_rec.checkpoint.format import TABLE, Checkpoint
from mindspore_rec.checkpoint.manifest import Manifest, Parent
from mindspore_rec.checkpoint.shards import join_shards, shard_name, shard_of, share_of
from mindspore_rec.distributed.exchange import Exchange
from mindspore_rec.distributed.route import owners_of
from mindspore_rec.embedding.lookup import HashEmbeddingLookup
from mindspore_rec.metrics.progressive import ProgressiveWindow
from mindspore_rec.stream.position import StreamPosition, shard_position
from mindspore_rec.train.dense_parameters import dense_parameters, restore_parameters
from mindspore_rec.train.framework_checkpoint import refresh_stamps
from mindspore_rec.train.hoist import lookup_cells
from mindspore_rec.train.rec_model import RecModel

logger = logging.getLogger(__name__)

SHAPES = ("num_fields", "emb_dim", "layers", "row_type", "deep_optimizer")
"""Configuration keys that decide what arrays there are; a checkpoint of others does not fit."""


class Kept(Protocol):
    """Something with arrays that belong in the checkpoint."""

    def state(self) -> Dict[str, np.ndarray]:
        """Return the arrays."""

    def load_state(self, state: Dict[str, np.ndarray]) -> None:
        """Take over what `state` returned."""


@dataclass
class TrainerState:
    """The parts of a trainer's state.

    Args:
        model: dense parameters, optimizer state, tables and progress.
        window: the progressive metrics, None where there are none.
        config: of the model, as it goes into the checkpoint; empty where there is none.
        kept: further parts, by the name of their group.
        about: further metadata of its checkpoints, by key, JSON-able.
    """

    model: RecModel
    window: Optional[ProgressiveWindow] = None
    config: Mapping[str, Any] = field(default_factory=dict)
    kept: Mapping[str, Kept] = field(default_factory=dict)
    about: Dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._copies: Arrays = {}

    @property
    def lookups(self) -> List[HashEmbeddingLookup]:
        """The lookups of the network."""
        return lookup_cells(self.model.train_network.network)

    def checkpoint(self, spec: Mapping[str, Any]) -> Checkpoint:
        """Collect the state; arrays are views of the live ones, so write it before the next step.

        Args:
            spec: the feature spec the ids were made with; empty where unknown.
        """
        groups: Dict[str, Arrays] = {
            "dense": {p.name: p.asnumpy() for p in dense_parameters(self.model.train_network)},
            **self._small_groups(),
        }
        groups.update({TABLE + lookup.table_name: lookup.table.state() for lookup in self.lookups})
        return Checkpoint(groups, self._meta(spec))

    @property
    def exchange(self) -> Exchange:
        """Between the ranks of the job."""
        return self.model.exchange

    def follow_changes(self, restored: Optional[Manifest]) -> Optional[Parent]:
        """Have tables note their changes, so that `capture` can be called.

        Args:
            restored: of the checkpoint that was just restored, None where there was none.

        Returns:
            what the next delta adds to; None where the next checkpoint has to be a full one.
        """
        same = restored is not None and bool(restored.digest)
        for lookup in self.lookups:
            digests = lookup.table.changes.follow()
            saved = restored.groups.get(self._group(lookup)) if restored is not None else None
            known = {prefix: int(rows.digest, 16) for prefix, rows in saved.rows.items()} if saved is not None else {}
            same &= known == digests
        if restored is None or self.exchange.sum(np.array([not same], np.float32))[0]:
            return None
        return Parent(step=restored.step, digest=restored.digest)

    def ignore_changes(self) -> None:
        """Have tables note their changes no longer."""
        for lookup in self.lookups:
            lookup.table.changes.ignore()

    @property
    def changes_known(self) -> bool:
        """Whether every table can tell what changed since the last capture."""
        return all(lookup.table.changes.known for lookup in self.lookups)

    def capture(self, spec: Mapping[str, Any], parent: Optional[Parent], deltas: int = 0) -> Capture:
        """Collect the state as it is now, to be written while training goes on; one at a time. Collective.

        Rank 0 has all but the shares of tables of other ranks.

        Args:
            spec: as above.
            parent: collect what changed since it was captured; None: all.
            deltas: how many deltas after a full checkpoint this is.
        """
        groups: Dict[str, Arrays] = {}
        if self.exchange.rank == 0:  # the others have the same
            for parameter in dense_parameters(self.model.train_network):
                live = parameter.asnumpy()
                copy = self._copies.setdefault(parameter.name, np.empty_like(live))
                np.copyto(copy, live)
            groups.update(dense=self._copies, **self._small_groups())
        rows = {}
        for lookup in self.lookups:
            taken = lookup.table.changes.capture(whole=parent is None)
            groups[self._group(lookup)] = taken.arrays
            rows[self._group(lookup)] = dict(taken.rows)
        return Capture(groups, rows, self._meta(spec), parent, deltas)

    def restore(self, checkpoint: Checkpoint) -> None:
        """Put what was collected into a model of the same shape.

        Raises:
            CheckpointError: a parameter or table is missing or has another shape; the message names it.
        """
        self._check_config(checkpoint)
        restore_parameters(self.model.train_network, checkpoint)
        for lookup in self.lookups:
            self._restore_table(checkpoint, lookup)
        refresh_stamps(self.lookups)
        try:
            self.model.progress.load_json(checkpoint.meta["progress"])
            self._restore_position(checkpoint.meta.get("positions"))
            if self.window is not None and "window" in checkpoint.meta:
                self.window.load_state({**checkpoint.meta["window"], **checkpoint.groups["window"]})
            for name, part in self.kept.items():
                if name in checkpoint.groups:
                    part.load_state(checkpoint.groups[name])
        except (KeyError, ValueError) as error:
            raise CheckpointError(f"checkpoint {checkpoint.path} does not fit: {error}") from None

    def _small_groups(self) -> Dict[str, Arrays]:
        groups = {name: part.state() for name, part in self.kept.items()}
        if self.window is not None:
            groups["window"] = {k: value for k, value in self.window.state().items() if isinstance(value, np.ndarray)}
        return groups

    def _meta(self, spec: Mapping[str, Any]) -> Dict[str, Any]:
        tables = {lookup.table_name: lookup.table.about() for lookup in self.lookups}
        meta: Dict[str, Any] = {
            "progress": self.model.progress.to_json(),
            "spec": spec,
            "tables": tables,
            "config": dict(self.config),
            **self.about,
        }
        if self.window is not None:
            state = self.window.state()
            meta["window"] = {key: value for key, value in state.items() if not isinstance(value, np.ndarray)}
        if self.exchange.size > 1:
            position = self.model.progress.position
            own = np.frombuffer((position.to_json() if position is not None else "null").encode(), np.uint8)
            meta["positions"] = [json.loads(part.tobytes()) for part in self.exchange.gather(own)]
            meta["progress"]["position"] = None
        return meta

    def _group(self, lookup: HashEmbeddingLookup) -> str:
        return shard_name(TABLE + lookup.table_name, self.exchange.rank, self.exchange.size)

    def _restore_table(self, checkpoint: Checkpoint, lookup: HashEmbeddingLookup) -> None:
        """Load this rank's share, from a checkpoint of any number of ranks."""
        name, rank, owners = TABLE + lookup.table_name, self.exchange.rank, self.model.owners
        try:
            if self._group(lookup) in checkpoint.groups:
                arrays = checkpoint.groups[self._group(lookup)]
            else:
                shares = {group: part for group, part in checkpoint.groups.items() if shard_of(group)[0] == name}
                arrays = join_shards(shares)[name]
            if self.exchange.size > 1:
                arrays = share_of(arrays, lambda ids: np.asarray(owners)[owners_of(ids, len(owners))] == rank)
            lookup.table.load_state(arrays)
        except (KeyError, ValueError) as error:
            raise CheckpointError(f"checkpoint {checkpoint.path}: table {lookup.table_name!r}: {error}") from None

    def _restore_position(self, saved: Optional[List[Any]]) -> None:
        """Take over this rank's position, of the partitions it reads now."""
        progress, exchange = self.model.progress, self.exchange
        if saved is None and exchange.size == 1:
            return
        known = [StreamPosition.from_json(fields) for fields in saved or [] if fields]
        if saved is None and progress.position is not None:
            known = [progress.position]
        progress.position = shard_position(known, exchange.rank, exchange.size)

    def _check_config(self, checkpoint: Checkpoint) -> None:
        saved = checkpoint.meta.get("config") or {}
        both = [key for key in self.config if key in saved and saved[key] != self.config[key]]
        for key in both:
            if key in SHAPES:
                raise CheckpointError(
                    f"{key} = {self.config[key]}: expected {saved[key]}, as in checkpoint {checkpoint.path} "
                    f"(or --resume none, with another checkpoint_path)"
                )
        if both:
            changed = ", ".join(f"{key} is {self.config[key]}, was {saved[key]}" for key in both)
            logger.warning("going on from %s with another configuration: %s", checkpoint.path, changed)
