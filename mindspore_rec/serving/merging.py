"""An export made of an older one and of what changed since: no state of the trainer is needed."""

from __future__ import annotations

from pathlib import Path
from typing import Dict, Iterable, Iterator, List, Mapping, Tuple

import numpy as np

from mindspore_rec.checkpoint.array_file import ArrayFile, Arrays, sync_folder, write_synced
from mindspore_rec.embedding.id_order import sort_ids
from mindspore_rec.embedding.table_rows import ChangedRows
from mindspore_rec.serving.exported_model import ExportedModel
from mindspore_rec.serving.graph_parameters import parameters_of, with_parameters
from mindspore_rec.serving.manifest import MANIFEST, ExportError, ExportManifest, FileOf, Source
from mindspore_rec.serving.mapped_table import MappedTable
from mindspore_rec.serving.native_layout import NativeLayout, file_of
from mindspore_rec.serving.row_overlay import RowOverlay

_IDS_AT_ONCE = 1 << 17
_LAYOUT = NativeLayout()
Rows = Tuple[np.ndarray, np.ndarray]


def merge(
    base: ExportedModel, changes: Mapping[str, Iterable[ChangedRows]], dense: Arrays, source: Source, folder: Path
) -> ExportManifest:
    """Write an export with newer rows and dense parameters than another one's into an empty folder.

    Args:
        base: the other one, in the native layout.
        changes: of each table, oldest first.
        dense: all dense parameters of the network.
        source: what the model was trained to by now.
        folder: that the caller publishes.

    Returns:
        its manifest.

    Raises:
        ExportError: a parameter does not fit the graphs.
        OSError: it cannot be written.
    """
    manifest, files = base.manifest, {}
    for graph in {manifest.graph.file, manifest.variables.file}:
        content = (base.folder / graph).read_bytes()
        own = {name: array for name, array in dense.items() if name in parameters_of(content)}
        write_synced(folder / graph, with_parameters(content, own))
        files[graph] = file_of(folder, graph)
    missing = sorted(manifest.dense.keys() - dense.keys())
    if missing:
        raise ExportError(f"dense parameter {missing[0]} is missing")
    named = _LAYOUT.write_dense(folder, {name: dense[name] for name in manifest.dense})
    files.update({file: file_of(folder, file) for file in set(named.values())})
    (folder / "sparse").mkdir(exist_ok=True)
    tables = {}
    for name, about in manifest.tables.items():
        overlay = RowOverlay(base.tables[name].dim)
        for changed in changes.get(name, ()):
            overlay.apply(changed)
        (file,) = _LAYOUT.files_of(name, 1)
        rows, files[file] = _write_table(folder / file, base.tables[name], overlay)
        tables[name] = about.model_copy(update={"rows": rows, "files": (file,), "row_type": "float32"})
    changed_parts = {"source": source, "tables": tables, "dense": named, "files": files, "format_version": 1}
    merged = manifest.model_copy(update=changed_parts).sealed()
    write_synced(folder / MANIFEST, merged.to_json())
    for part in (folder / "sparse", folder / "dense", folder):
        if part.is_dir():
            sync_folder(part)
    return merged


def _write_table(path: Path, base: MappedTable, overlay: RowOverlay) -> Tuple[int, FileOf]:
    """Write the rows of a table under an overlay; how many there are, and the file."""
    newer = overlay.rows()
    older = sum(int((~overlay.known(part)).sum()) for ids, _ in base.shares for part in _parts(ids))
    count = older + newer[0].size
    shapes: Dict[str, Tuple[np.dtype, Tuple[int, ...]]] = {
        "ids": (np.dtype(np.int64), (count,)),
        "weights": (np.dtype(np.float32), (count, base.dim)),
    }
    with ArrayFile(path, shapes) as file:
        for ids, weights in _ascending(base, overlay, newer):
            file.append("ids", ids)
            file.append("weights", weights)
    return count, FileOf(size=file.size, crc32c=file.checksum)


def _ascending(base: MappedTable, overlay: RowOverlay, newer: Rows) -> Iterator[Rows]:
    """The rows of a table under an overlay, ascending by id as an unsigned number, some at a time."""
    sources: List[np.ndarray] = [*(share.ids for share in base.shares), newer[0]]
    firsts = np.cumsum([0, *(ids.size for ids in sources)])
    longest = max(sources, key=len)
    places = [0] * len(sources)
    for last in [*longest[_IDS_AT_ONCE - 1 :: _IDS_AT_ONCE].tolist(), -1]:  # -1 is the greatest
        found_ids, found = [], []
        for k, ids in enumerate(sources):
            end = int(np.searchsorted(ids.view(np.uint64), np.uint64(last % 2**64), side="right"))
            part = slice(places[k], end)
            places[k] = end
            own, rows = np.asarray(ids[part]), newer[1][part]
            if k < len(base.shares):
                kept = np.flatnonzero(~overlay.known(own))
                own, rows = own[kept], np.empty((kept.size, base.dim), np.float32)
                base.read(firsts[k] + part.start + kept, rows)
            found_ids.append(own)
            found.append(rows)
        joined = np.concatenate(found_ids)
        ordered, order = sort_ids(joined, np.arange(joined.size))
        yield ordered, np.concatenate(found)[order]


def _parts(ids: np.ndarray) -> Iterator[np.ndarray]:
    for begin in range(0, ids.size, _IDS_AT_ONCE):
        yield np.asarray(ids[begin : begin + _IDS_AT_ONCE])
