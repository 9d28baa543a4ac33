"""Rows of data files as the network of an exported model takes them."""

from __future__ import annotations

import logging
from dataclasses import asdict
from typing import Any, Iterator, Mapping, NamedTuple, Optional, Union

import numpy as np

from mindspore_rec.config import ConfigError, FeatureConfig, UserError
from mindspore_rec.data.part_folder import PartFile, list_part, path_kind
from mindspore_rec.data.part_formats import PartFormat, feasign_slot, parquet, raw_tsv, slot_feasign
from mindspore_rec.data.read_part import read_part
from mindspore_rec.data.slot_rows import slice_rows
from mindspore_rec.data.slot_schema import SlotSchema
from mindspore_rec.embedding.bags import Bags
from mindspore_rec.features.engine import FeatureEngine, make_engine
from mindspore_rec.features.errors import FeatureConfigError
from mindspore_rec.features.spec import FeatureSpec
from mindspore_rec.serving.manifest import ExportManifest

logger = logging.getLogger(__name__)

BATCH_ROWS = 1024
FORMATS = ("feasign_slot", "slot_feasign", "raw_tsv", "parquet")
_WEIGHTS = "weights"


class NetworkRows(NamedTuple):
    """n rows: ids int64 [n, slots] or bags of all slots, and float32 [n, numbers] where the network takes numbers."""

    ids: Union[np.ndarray, Bags]
    numbers: Optional[np.ndarray]


def format_of(manifest: ExportManifest, name: str = "", dictionary: str = "") -> PartFormat:
    """Return the format of data for a model.

    Args:
        manifest: of the model.
        name: one of `FORMATS`; default: raw_tsv where the model has a feature spec, else feasign_slot.
        dictionary: dictionary.safetensors, where the ids of the spec come from one.

    Raises:
        ConfigError: the model is not of such data, or the dictionary is another one.
    """
    spec, fields = _spec_of(manifest), manifest.source.model
    name = name or ("raw_tsv" if spec else "feasign_slot")
    if name == "parquet":
        return parquet()
    if name == "raw_tsv":
        return _raw_tsv(spec, dictionary)
    if name not in FORMATS:
        raise ConfigError(f"--format {name}: expected one of {', '.join(FORMATS)}")
    if manifest.weighted or "label" not in fields:
        raise ConfigError(f"--format {name}: expected raw_tsv or parquet, for the model has fields and no slots")
    dense = tuple((slot, width) for slot, width in fields["dense"])
    schema = SlotSchema(fields["label"], tuple(fields["sparse"]), dense)
    return feasign_slot(schema) if name == "feasign_slot" else slot_feasign(schema)


def network_rows(path: str, format: PartFormat, manifest: ExportManifest) -> Iterator[NetworkRows]:
    """Yield the rows of a file, or of the files of a folder, up to `BATCH_ROWS` at a time; bad rows are left out.

    Raises:
        UserError: a file is missing, damaged, or has other slots than the model.
    """
    graph = manifest.variables
    width = dict(graph.inputs).get("dense", (0,))[0]
    files = list_part(path) if path_kind(path) == "directory" else [PartFile(path, None)]
    for chunk in read_part(files, format):
        rows, rejects = chunk.parsed.rows, chunk.parsed.rejects
        if rejects:
            count, first = len(rejects), rejects[0]
            logger.warning("%s: %d rows left out, the first is row %d: %s", chunk.path, count, first.row, first.reason)
        if (rows.num_slots, rows.dense.shape[1]) != (len(graph.slots), width):
            raise UserError(
                f"{chunk.path}: rows of {rows.num_slots} slots and {rows.dense.shape[1]} numbers, "
                f"expected {len(graph.slots)} and {width} as of the model"
            )
        for begin in range(0, len(rows), BATCH_ROWS):
            part = slice_rows(rows, begin, begin + BATCH_ROWS)
            if _WEIGHTS not in dict(graph.inputs):
                bags = Bags(part.num_slots, part.ids, part.offsets, part.weights)
                yield NetworkRows(bags, part.dense if width else None)
            elif part.weights is None:
                raise UserError(f"{chunk.path}: values without weights, expected one id and its weight a field")
            else:
                shape = (len(part), part.num_slots)
                yield NetworkRows(part.ids.reshape(shape), part.weights.reshape(shape))


def _raw_tsv(fields: Mapping[str, Any], dictionary: str) -> PartFormat:
    if not fields:
        raise ConfigError("--format raw_tsv: expected a slot format, for the model has no feature spec")
    return raw_tsv(_engine(fields, dictionary))


def engine_of(manifest: ExportManifest, dictionary: str = "") -> FeatureEngine:
    """Return what makes ids and weights of raw rows, as in training.

    Args:
        manifest: of the model.
        dictionary: dictionary.safetensors, where the ids of the spec come from one.

    Raises:
        ConfigError: the model has no such spec, or the dictionary is another one.
    """
    return _engine(_spec_of(manifest), dictionary)


def _spec_of(manifest: ExportManifest) -> Mapping[str, Any]:
    """The fields of the feature spec; of fields that do not name theirs as in data/part_reader.py."""
    return manifest.source.spec or (asdict(FeatureSpec()) if manifest.weighted else {})


def _engine(fields: Mapping[str, Any], dictionary: str) -> FeatureEngine:
    try:
        spec = FeatureSpec(**fields)
        if spec.dictionary_digest is not None and not dictionary:
            raise ConfigError("--dictionary: expected the dictionary.safetensors that the ids of the model come from")
        config = FeatureConfig(
            dense_dim=spec.dense_dim,
            slot_dim=spec.slot_dim,
            numeric_transform=spec.numeric_transform,
            hash_seed=spec.hash_seed,
            dictionary=dictionary or None,
        )
        engine = make_engine(config)
    except (FeatureConfigError, TypeError, ValueError) as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(f"feature spec of the model: {error}") from None
    if engine.spec.digest() != spec.digest():
        raise ConfigError(
            f"--dictionary {dictionary}: gives feature spec {engine.spec.digest()}, the model has {spec.digest()}"
        )
    return engine


def fed(rows: NetworkRows, manifest: ExportManifest) -> NetworkRows:
    """Return what the graph that answers requests is given of rows for the whole network."""
    graph, whole = manifest.graph, manifest.variables
    if (graph.slots, graph.numbers) == (whole.slots, whole.numbers):
        return rows
    columns = [whole.slots.index(slot) for slot in graph.slots]
    ids = rows.ids.of_columns(columns) if isinstance(rows.ids, Bags) else rows.ids[:, columns]
    if rows.numbers is None or not graph.numbers:
        return NetworkRows(ids, None)
    wanted = [np.full(width, name in dict(graph.numbers)) for name, width in whole.numbers]
    return NetworkRows(ids, rows.numbers[:, np.concatenate(wanted)])
