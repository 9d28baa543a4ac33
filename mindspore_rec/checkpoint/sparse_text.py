"""Tables as text, as PaddleRec's users know them; docs/sparse_text.md is the format on a page.

`embedding.shard/` in a checkpoint's folder has for each table a file NAME-RANK.txt of each rank, a row a line, and
NAME.meta, written last, which says what the columns are and which files belong to it.
"""

from __future__ import annotations

from itertools import accumulate
from pathlib import Path
from typing import List, Sequence

import numpy as np

from mindspore_rec.checkpoint.array_file import sync_folder
from mindspore_rec.checkpoint.errors import CheckpointError
from mindspore_rec.checkpoint.sparse_meta import (
    Shard,
    SparseMeta,
    layout_of,
    meta_of,
    names_of,
    read_meta,
    shard_file,
)
from mindspore_rec.checkpoint.sparse_shard import ShardLines, write_rows
from mindspore_rec.embedding.delta_score import NAME as DELTA_SCORE
from mindspore_rec.embedding.id_order import sort_ids
from mindspore_rec.embedding.table_rows import TableRows
from mindspore_rec.published_file import published

FOLDER = "embedding.shard"


def write_sparse_text(folder: Path, name: str, rows: TableRows) -> None:
    """Write a table of one rank.

    Args:
        folder: of the checkpoint.
        name: of the table.

    Raises:
        CheckpointError: a value is not finite, the name is none of a file, or there are too many columns.
        OSError: it cannot be written.
    """
    write_meta(folder, name, rows, [write_shard(folder, name, rows)])


def write_shard(folder: Path, name: str, rows: TableRows, rank: int = 0) -> Shard:
    """Write what a rank has of a table; what is returned goes to the rank that calls `write_meta`, as in
    `write_sparse_text`."""
    layout_of(name, rows)  # refuses what cannot be written
    (folder / FOLDER).mkdir(parents=True, exist_ok=True)
    return write_rows(folder / FOLDER / shard_file(name, rank), rows)


def write_meta(folder: Path, name: str, rows: TableRows, shards: Sequence[Shard]) -> None:
    """Make the files of all ranks a table; `rows` are those of any of them."""
    with published(folder / FOLDER / f"{name}.meta") as part:
        part.write_bytes(meta_of(name, rows, shards).to_json())
    sync_folder(folder / FOLDER)


def read_sparse_text(folder: Path, name: str) -> TableRows:
    """Read a table, all its shards together; arguments are those of `write_sparse_text`.

    Raises:
        CheckpointError: it is missing or damaged, or of another version; the message names file and line.
    """
    meta = read_meta(folder / FOLDER, name)
    names = names_of(meta.columns)
    lines = [ShardLines(folder / FOLDER / shard.file, shard, names) for shard in meta.files]
    starts = [0, *accumulate(shard.room for shard in lines)]
    ids, days = np.empty(starts[-1], np.uint64), np.empty(starts[-1], np.int32)
    numbers = np.empty((starts[-1], len(names) - 2), np.float32)
    for shard, begin, end in zip(lines, starts, starts[1:]):
        shard.read(ids[begin:end], days[begin:end], numbers[begin:end])
    if not (ids[1:] > ids[:-1]).all():
        ordered, places = sort_ids(ids.view(np.int64), np.arange(ids.size, dtype=np.int32))
        ids = ordered.view(np.uint64)
        twice = np.flatnonzero(ids[1:] == ids[:-1])
        if twice.size:
            first, second = (_line(folder, meta, starts, place) for place in places[twice[0] : twice[0] + 2].tolist())
            raise CheckpointError(f"{second}: id {ids[twice[0]]} is in {first} too")
        days, numbers = days[places], numbers.take(places, axis=0)
    widths = [1, 1, 1, meta.dim, *(width for slot, width in meta.slots if slot != DELTA_SCORE)]
    delta_score, show, click, weights, *slots = np.split(numbers, np.cumsum(widths)[:-1], axis=1)
    others = iter(slots)
    return TableRows(
        ids=ids.view(np.int64),
        weights=weights,
        slots={slot: delta_score if slot == DELTA_SCORE else next(others) for slot, _ in meta.slots},
        show=show[:, 0],
        click=click[:, 0],
        unseen_days=days,
    )


def _line(folder: Path, meta: SparseMeta, starts: List[int], place: int) -> str:
    """File and line of a row, counted over all files."""
    file = max(k for k, start in enumerate(starts[:-1]) if start <= place)
    return f"{folder / FOLDER / meta.files[file].file}: line {place - starts[file] + 1}"
