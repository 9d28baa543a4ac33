"""The network of a checkpoint, as it was when that was written."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, Optional, Tuple

from mindspore import nn
from pydantic import ValidationError

from mindspore_rec.checkpoint.errors import CheckpointError
from mindspore_rec.checkpoint.format import TABLE, Checkpoint
from mindspore_rec.checkpoint.shards import join_shards, shard_of
from mindspore_rec.config import ConfigError, ModelConfig
from mindspore_rec.embedding.table_rows import TableRows
from mindspore_rec.job_config import TableParameters
from mindspore_rec.models.model_file import PACKAGE, Model, ModelFile, described, load_model_file
from mindspore_rec.models.rank.wide_deep.model import WideDeep
from mindspore_rec.serving.job_exports import rule_of
from mindspore_rec.serving.manifest import Source
from mindspore_rec.serving.network_inputs import NetworkInputs
from mindspore_rec.train.dense_parameters import restore_parameters
from mindspore_rec.train.framework_checkpoint import refresh_stamps
from mindspore_rec.train.hoist import lookup_cells

_BUILTIN = re.compile(r"\w+/\w+")


@dataclass(frozen=True)
class TrainedModel:
    """A network with the parameters and tables of a checkpoint.

    Attributes:
        network: the network.
        inputs: what it is given.
        weighted: each value of a slot has a weight, by which lookups multiply its row.
        source: what it was trained to.
        tables: settings of its tables, by name; empty where they are those of the stream trainer.
    """

    network: nn.Cell
    inputs: NetworkInputs
    weighted: bool
    source: Source
    tables: Mapping[str, TableParameters] = field(default_factory=dict)

    def rows(self) -> Dict[str, TableRows]:
        """All rows of its tables."""
        return {cell.table_name: cell.table.export_all() for cell in lookup_cells(self.network)}

    def rows_worth(self, min_score: float) -> Dict[str, TableRows]:
        """Rows of a score of at least `min_score`, by `ExportRule` with the other settings of the tables.

        Raises:
            ConfigError: the score is no number, or a table keeps no statistics to make one of.
        """
        if not math.isfinite(min_score):
            raise ConfigError(f"--min_score {min_score}: expected a finite number")
        found = {}
        for cell in lookup_cells(self.network):
            if not cell.table.has_statistics:
                raise ConfigError(
                    f"--min_score {min_score:g}: table {cell.table_name} keeps no statistics, expected one that was "
                    f"trained with admission or eviction"
                )
            rule = replace(rule_of(cell.table_name, self.tables), base_threshold=min_score)
            found[cell.table_name] = cell.table.export_base(rule)
        return found


def trained_model(checkpoint: Checkpoint, model: Optional[Path] = None) -> TrainedModel:
    """Make the network a checkpoint was written by, and restore it.

    Args:
        checkpoint: its whole state.
        model: the model.py, or its folder, to use; default: the built-in one that the checkpoint names. No other is
            run because a checkpoint says so.

    Raises:
        ConfigError: no model.py is named where one has to be, or the one that is does not fit.
        CheckpointError: the checkpoint does not say what its model is, or a parameter or table does not fit it.
    """
    meta = checkpoint.meta
    spec = meta.get("spec") or {}
    weighted = False
    tables: Dict[str, TableParameters] = {}
    if meta.get("model"):
        described_model = _described(meta["model"], model, checkpoint)
        network, inputs = described_model.network(), NetworkInputs.of_schema(described_model.schema)
        tables = dict(described_model.tables)
        weighted = meta["model"]["padding_id"] is None  # of fields; see data/part_reader.py
    elif meta.get("config"):
        network, inputs = _of_stream(meta["config"], spec, model, checkpoint)
    else:
        raise CheckpointError(f"checkpoint {checkpoint.path} does not say what its model is")
    restore_network(network, checkpoint)
    source = source_of(checkpoint)
    newest = max(cell.table.last_seconds for cell in lookup_cells(network))
    if source.data_time is None and newest > 0:  # pass-by-pass training only knows when passes begin
        source = source.model_copy(update={"data_time": round(newest * 1000)})
    return TrainedModel(network, inputs, weighted, source, tables)


def source_of(checkpoint: Checkpoint) -> Source:
    """What a checkpoint says of the state of its model."""
    meta, manifest = checkpoint.meta, checkpoint.manifest
    progress = meta.get("progress", {})
    time, last = progress.get("event_time", -1), meta.get("pass") or {}
    return Source(
        model=meta.get("model") or {"config": meta.get("config", {})},
        spec=meta.get("spec") or {},
        step=manifest.step if manifest is not None else progress.get("step", 0),
        data_time=time if time >= 0 else None,
        day=last.get("day"),
        pass_number=last.get("number"),
        checkpoint=str(checkpoint.path.resolve()) if checkpoint.path is not None else None,
        digest=manifest.digest if manifest is not None else "",
    )


def restore_network(network: nn.Cell, checkpoint: Checkpoint) -> None:
    """Give a network the dense parameters and tables of a checkpoint; optimizers are left as they are.

    Raises:
        CheckpointError: one is missing, or has another shape; the message names it.
    """
    restore_parameters(network, checkpoint)
    tables = join_shards(
        {name: part for name, part in checkpoint.groups.items() if shard_of(name)[0][: len(TABLE)] == TABLE}
    )
    for lookup in lookup_cells(network):
        try:
            lookup.table.load_state(tables[TABLE + lookup.table_name])
        except (KeyError, ValueError) as error:
            raise CheckpointError(f"checkpoint {checkpoint.path}: table {lookup.table_name!r}: {error}") from None
    refresh_stamps(lookup_cells(network))


def _described(fields: Mapping[str, Any], named: Optional[Path], checkpoint: Checkpoint) -> Model:
    file = _model_file(str(fields.get("model", "")), named, checkpoint)
    try:
        return described(fields, file)
    except (KeyError, TypeError, ValidationError) as error:
        reason = str(error).split("\n")[0]
        raise CheckpointError(f"checkpoint {checkpoint.path} does not fit {file.path}: {reason}") from None


def _model_file(name: str, named: Optional[Path], checkpoint: Checkpoint) -> ModelFile:
    if named is not None:
        path = named / "model.py" if named.is_dir() else named
        if not path.is_file():
            raise ConfigError(f"--model {named}: no such file; expected a model.py, or its folder")
        return load_model_file(path)
    if _BUILTIN.fullmatch(name) and (PACKAGE / name / "model.py").is_file():
        return load_model_file(PACKAGE / name / "model.py")
    raise ConfigError(
        f"checkpoint {checkpoint.path} was written by the model {name[:200]}, which is no built-in one: "
        f"name its model.py by --model; it is run"
    )


def _of_stream(
    config: Mapping[str, Any], spec: Mapping[str, Any], named: Optional[Path], checkpoint: Checkpoint
) -> Tuple[nn.Cell, NetworkInputs]:
    if named is not None:
        raise ConfigError(
            f"--model {named}: expected none for checkpoint {checkpoint.path}, which is of online_train.py"
        )
    try:
        settings = ModelConfig(**config)
    except ValidationError as error:
        raise CheckpointError(f"checkpoint {checkpoint.path}: config: {error.errors()[0]['msg']}") from None
    return WideDeep(settings), field_inputs(settings.num_fields)(spec)


def field_inputs(count: int) -> Callable[[Mapping[str, Any]], NetworkInputs]:
    """What the network of the stream trainer is given, of so many fields, by their feature spec."""
    return lambda spec: NetworkInputs.of_fields(field_names(count, spec))


def field_names(count: int, spec: Mapping[str, Any]) -> List[str]:
    """Names of the fields of a feature spec, or F1, F2 ... where there is none of so many.

    >>> field_names(3, {"dense_dim": 1, "slot_dim": 2}), field_names(2, {})
    (['I1', 'C1', 'C2'], ['F1', 'F2'])
    """
    dense, slots = spec.get("dense_dim", 0), spec.get("slot_dim", 0)
    if dense + slots != count:
        return [f"F{number + 1}" for number in range(count)]
    return [f"I{number + 1}" for number in range(dense)] + [f"C{number + 1}" for number in range(slots)]
