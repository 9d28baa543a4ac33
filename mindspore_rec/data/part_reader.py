"""The rows of parts as a job reads them: their format, a rank's share of the files, and where bad rows go."""

from __future__ import annotations

import os
from collections import deque
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import Callable, Deque, Iterator, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from mindspore_rec.config import ConfigError, FeatureConfig, UserError
from mindspore_rec.data.part_folder import PartFile
from mindspore_rec.data.part_formats import PartFormat, feasign_slot, parquet, raw_tsv, slot_feasign
from mindspore_rec.data.read_ahead import read_ahead
from mindspore_rec.data.read_part import PartChunk, read_part
from mindspore_rec.data.slot_rows import SlotRows, concatenate_rows
from mindspore_rec.data.slot_schema import SlotSchema
from mindspore_rec.features.engine import make_engine
from mindspore_rec.job_config import DatasetConfig

LABEL = "label"
SLOT_PADDING = 0  # id 0 of slot data stands for nothing
_CHUNKS_AHEAD = 2  # of each open file

#: (path, row, reason, bytes) of a row that is none.
OnReject = Callable[[str, int, str, bytes], None]


@dataclass(frozen=True)
class PartData:
    """What the files of a dataset hold.

    Attributes:
        format: of its files.
        schema: its slots; of raw rows and ready rows the fields, each one id and its weight.
        padding_id: id that stands for nothing; None where every id is one.
    """

    format: PartFormat
    schema: SlotSchema
    padding_id: Optional[int]


class ReadRows(NamedTuple):
    """Rows in the order of the files, and how many were rejected among and before them."""

    rows: SlotRows
    rejected: int


def part_data(config: DatasetConfig) -> PartData:
    """What the files of a dataset hold, from its keys.

    Raises:
        ConfigError: a format of slots without sparse_slots, or one of fields with them.
    """
    if config.data_format in ("feasign_slot", "slot_feasign"):
        schema = SlotSchema.from_keys(config.sparse_slots, config.dense_slots)
        make = feasign_slot if config.data_format == "feasign_slot" else slot_feasign
        return PartData(make(schema), schema, SLOT_PADDING)
    if config.dense_slots.strip():
        raise ConfigError(
            f"dense_slots = {config.dense_slots!r}: expected none where data_format is raw_tsv or parquet"
        )
    engine = make_engine(FeatureConfig())
    names = tuple(config.sparse_slots.split()[1:]) or tuple(_field_names(engine.spec.num_fields))
    schema = SlotSchema(LABEL, names)
    if config.data_format == "parquet":
        return PartData(parquet(), schema, None)
    if len(names) != engine.spec.num_fields:
        raise ConfigError(
            f"sparse_slots: {len(names)} names after the label's; expected {engine.spec.num_fields}, as raw_tsv has "
            f"fields, or no names"
        )
    return PartData(raw_tsv(engine), schema, None)


class PartReader:
    """Reads files of one dataset.

    Args:
        data: what they hold.
        threads: files read side by side, at most; no more than there are cores.
        share, of: this rank reads file share, share + of ...; (0, 1): all.
        on_reject: told of each row that is none, each time it is read; default: they are counted alone.
    """

    def __init__(
        self,
        data: PartData,
        threads: int,
        share: int = 0,
        of: int = 1,
        on_reject: OnReject = lambda path, row, reason, raw: None,
    ) -> None:
        self.data = data
        self._threads = max(1, min(threads, os.cpu_count() or 1))
        self._share, self._of, self._on_reject = share, of, on_reject

    def read(self, files: Sequence[PartFile]) -> Iterator[ReadRows]:
        """The rows of this rank's share of the files, chunk by chunk, in order; their origins are numbers of `files`.

        Raises:
            UserError: a file cannot be read, is damaged, or has other slots than the schema.
        """
        mine = deque(list(enumerate(files))[self._share :: self._of])
        opened: Deque[Tuple[int, Iterator[PartChunk]]] = deque()
        expected = (len(self.data.schema.sparse), self.data.schema.dense_dim)
        while mine or opened:
            while mine and len(opened) < self._threads:
                number, file = mine.popleft()
                opened.append((number, read_ahead(read_part([file], self.data.format), _CHUNKS_AHEAD)))
            number, chunks = opened.popleft()
            for chunk in chunks:
                rows = chunk.parsed.rows
                if (rows.num_slots, rows.dense.shape[1]) != expected:
                    raise UserError(f"{chunk.path}: rows of {rows.num_slots} slots, expected {expected[0]}")
                for reject in chunk.parsed.rejects:
                    self._on_reject(chunk.path, reject.row, reject.reason, reject.raw)
                numbers = chunk.parsed.numbers
                origins = np.stack((np.full_like(numbers, number), numbers), axis=1)
                yield ReadRows(replace(rows, origins=origins), len(chunk.parsed.rejects))

    def load(self, files: Sequence[PartFile], ends: Callable[[], bool] = lambda: False) -> ReadRows:
        """All rows of this rank's share of the files at once; those before the chunk where `ends` said so."""
        chunks: List[ReadRows] = list(takewhile(lambda chunk: not ends(), self.read(files)))
        rejected = sum(chunk.rejected for chunk in chunks)
        if not chunks:
            return ReadRows(no_rows(self.data.schema), rejected)
        return ReadRows(concatenate_rows([chunk.rows for chunk in chunks]), rejected)


def no_rows(schema: SlotSchema) -> SlotRows:
    """Rows of a schema, none of them.

    >>> len(no_rows(SlotSchema("1", ("2", "3"))))
    0
    """
    none = np.empty(0, np.int64)
    numbers = np.empty((0, schema.dense_dim), np.float32)
    return SlotRows(len(schema.sparse), none, np.zeros(1, np.int64), np.empty((0, 1), np.float32), numbers)


def _field_names(count: int) -> Iterator[str]:
    """I1, I2 ... for the numbers of Criteo's rows and C1, C2 ... for their categories; F1, F2 ... of other widths."""
    numbers, categories = FeatureConfig().dense_dim, FeatureConfig().slot_dim
    if count != numbers + categories:
        return (f"F{k + 1}" for k in range(count))
    return iter([*(f"I{k + 1}" for k in range(numbers)), *(f"C{k + 1}" for k in range(categories))])
