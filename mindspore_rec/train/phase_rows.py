"""The rows of a phase: those of a fixed set of files, read once for every epoch."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Iterator, List, Optional

import numpy as np

from mindspore_rec.config import UserError
from mindspore_rec.data.part_folder import PartFile, list_part
from mindspore_rec.data.part_reader import PartReader, ReadRows, part_data
from mindspore_rec.job_config import DatasetConfig
from mindspore_rec.train.loaded_part import shuffled_rows
from mindspore_rec.train.part_dataset import PartDataset
from mindspore_rec.train.pass_rejects import PassRejects
from mindspore_rec.train.place import Place

logger = logging.getLogger(__name__)


def phase_files(dataset: DatasetConfig) -> List[PartFile]:
    """The files of a dataset that do not change.

    Raises:
        UserError: there is no such folder, or no file with rows in it.
    """
    try:
        files = list_part(dataset.data_path)
    except UserError as error:
        raise type(error)(f"dataset.{dataset.name}.data_path: {error}") from None
    if not files:
        raise UserError(f"dataset.{dataset.name}.data_path: {dataset.data_path}: no data files, expected at least one")
    return files


class PhaseRows:
    """The rows of a phase, this rank's share of them.

    Args:
        dataset: where they are and how they are read.
        place: this process among those of the job.
        dead_letters: file that gets the rows that are none, once each.
        seed: of the orders in which rows are trained that are loaded and shuffled.

    Attributes:
        files: of all ranks.
        path: of their folder.

    Raises:
        UserError: there is no such folder, or no file with rows in it.
    """

    def __init__(self, dataset: DatasetConfig, place: Place, dead_letters: Path, seed: int = 0) -> None:
        self.files, self.path, self.dead_letters = phase_files(dataset), dataset.data_path, dead_letters
        self._config, self._place, self._seed = dataset, place, seed
        self._letters: Optional[PassRejects] = PassRejects(dead_letters)
        self._rejected = 0
        self._rows: Optional[ReadRows] = None
        self._data = part_data(dataset)
        share = place.exchange.rank, max(place.workers, 1)
        self._reader = PartReader(self._data, dataset.thread_num, *share, on_reject=self._reject)
        if place.exchange.rank == 0 and len(self.files) < place.workers:
            logger.warning(
                "data_path = %r: files: %d, workers: %d; each file is read by one worker",
                dataset.data_path,
                len(self.files),
                place.workers,
            )

    def epoch(self, number: int) -> PartDataset:
        """The batches of an epoch: in the order of the files, or loaded and shuffled where the dataset says so."""
        return PartDataset(lambda: self._read(number), self._data.schema, self._config.batch_size)

    def in_order(self) -> PartDataset:
        """The batches in the order of the files."""
        files = self.files if self._place.reads else []
        return PartDataset(lambda: self._reader.read(files), self._data.schema, self._config.batch_size)

    def end_epoch(self) -> None:
        """Say how many rows were none; each is written once, however many epochs there are."""
        if self._letters is None:
            return
        self._letters.flush()
        self._letters = None
        if self._rejected:
            logger.warning("%s: %d bad rows were left out, %s has them", self.path, self._rejected, self.dead_letters)

    def _read(self, number: int) -> Iterator[ReadRows]:
        if not self._place.reads:
            return iter(())
        if self._config.type != "InmemoryDataset":
            return self._reader.read(self.files)
        if self._rows is None:
            self._rows = self._reader.load(self.files)
        return shuffled_rows(self._rows, np.random.default_rng([self._seed, number, self._place.exchange.rank]))

    def _reject(self, path: str, row: int, reason: str, raw: bytes) -> None:
        if self._letters is not None:
            self._letters.put(path, row, reason, raw)
            self._rejected += 1
