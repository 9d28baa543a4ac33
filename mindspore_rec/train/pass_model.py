"""A model that is trained pass by pass: predict a part, train it, save what is due after it."""

from __future__ import annotations

import logging
from pathlib import Path
from threading import Event
from typing import Callable, Iterator, Optional, Union

import numpy as np

from mindspore_rec.checkpoint.pass_layout import day_start
from mindspore_rec.checkpoint.save_plan import Saves, saves_by_frequency, saves_by_hour
from mindspore_rec.config import ConfigError
from mindspore_rec.data.part_prefetch import prefetched
from mindspore_rec.data.part_reader import PartReader, part_data
from mindspore_rec.data.pass_files import PartFolders, list_pass
from mindspore_rec.job_config import DatasetConfig, OnlineRunner
from mindspore_rec.metrics.pass_log import metric_line, shrink_line
from mindspore_rec.models.model_file import Model
from mindspore_rec.stream.pass_schedule import PassKey, PassSchedule, day_of, next_day
from mindspore_rec.stream.ready_parts import Part, Stop, ready_parts
from mindspore_rec.train.batch_line import batch_lines
from mindspore_rec.train.framework_checkpoint import refresh_stamps
from mindspore_rec.train.guard import NonFiniteGuard
from mindspore_rec.train.job_model import JobModel, OnRows
from mindspore_rec.train.loaded_part import LoadedPart
from mindspore_rec.train.part_dataset import PartDataset
from mindspore_rec.train.part_metrics import PartMetrics
from mindspore_rec.train.pass_dumps import PassDumps
from mindspore_rec.train.pass_rejects import PassRejects
from mindspore_rec.train.pass_saver import PassExporter, PassSaver
from mindspore_rec.train.place import ALONE, Place

logger = logging.getLogger(__name__)

AnyPart = Union[Part, LoadedPart]


class PassModel:
    """A job's model with its days and passes, its data and its saves.

    All methods but `parts` are collective.

    Args:
        runner: what is predicted, trained and saved when.
        dataset: where the rows are.
        model: the model.
        exporter: makes what writes exports, given the model at work.
        place: this process among those of the job.

    Attributes:
        schedule: days and passes.
        done: the last pass that is trained, and was saved or is since; None before the first.
    """

    def __init__(
        self,
        runner: OnlineRunner,
        dataset: DatasetConfig,
        model: Model,
        exporter: Callable[[JobModel], PassExporter],
        place: Place = ALONE,
    ) -> None:
        self.runner, self.dataset, self.place = runner, dataset, place
        self.schedule = PassSchedule(runner.start_day, runner.end_day, runner.split_interval, runner.split_per_pass)
        if runner.gauc_slot and runner.gauc_slot not in model.schema.places:
            raise ConfigError(f"gauc_slot = {runner.gauc_slot!r}: expected one of the sparse_slots")
        if "://" in runner.model_save_path:
            raise ConfigError(f"model_save_path = {runner.model_save_path!r}: expected a folder of this host, no URL")
        folder, rank = Path(runner.model_save_path), place.exchange.rank
        self.rejects = PassRejects(folder / f"dead_letters-{rank}.jsonl")
        self._dumps = PassDumps(runner, model.file, place)
        self.job = JobModel(
            model,
            place,
            guard=NonFiniteGuard(
                dead_letters=folder / f"skipped_batches-{rank}.jsonl", last_checkpoint=lambda: self.saver.newest
            ),
            clock=lambda: self._seconds,
            gauc_slot=runner.gauc_slot,
            infer_variables=self._dumps.infer_variables,
            train_variables=self._dumps.train_variables,
        )
        self._dumps.check_parameters(self.job.network)
        self.saver = PassSaver(folder, self.job.state, exporter(self.job), self.schedule)
        self.done: Optional[PassKey] = None
        data, share = part_data(dataset), (rank, max(place.workers, 1))
        self._predicted = PartReader(data, runner.infer_thread_num, *share)
        self._trained = PartReader(data, dataset.thread_num, *share, on_reject=self.rejects.put)
        self._seconds = 0.0
        self._loaded: Optional[LoadedPart] = None

    def restore(self) -> Optional[PassKey]:
        """Take over the newest checkpoint; the pass after which training goes on. `catch_up` follows.

        Raises:
            ConfigError, CheckpointError: as `PassSaver.restore`.
        """
        self.done = self.saver.restore(self.runner.init_model_path)
        return self.done

    def catch_up(self) -> None:
        """Save what was to follow the checkpoint, which may or may not have been saved before the run ended; of a new
        run the first base, where one is asked for."""
        done = self.done
        if done is None:
            if self.runner.save_first_base:
                self.saver.base(self.schedule.start_day)
            return
        if done.number and done.day >= self.schedule.start_day and self._saves(done).delta:
            self.saver.delta(done)
        if self.schedule.end_of_day_due(done):
            self._end_day(done.day)

    def parts(self, stop: Optional[Stop] = None) -> Iterator[LoadedPart]:
        """The passes that are left, each when its data are there; loaded ahead where the runner says so.

        Raises:
            ConfigError, UserError: at once, as `ready_parts`.
        """
        stop = stop or Event()
        if self.runner.prefetch:
            return prefetched(lambda either: self._each_loaded(self._ready(either), either), stop)
        return self._each_loaded(self._ready(stop), stop)

    def _each_loaded(self, parts: Iterator[Part], stop: Stop) -> Iterator[LoadedPart]:
        for part in parts:
            loaded = self.load(part, stop.is_set)
            if stop.is_set():  # it may not be whole
                return
            yield loaded
            del loaded  # its rows, before those of the next come

    def load(self, part: AnyPart, stopped: Callable[[], bool] = lambda: False) -> LoadedPart:
        """The files of a part, and its rows where they are shuffled; not all of them where it was stopped."""
        if isinstance(part, LoadedPart):
            return part
        if self._loaded is not None and self._loaded.part == part:
            return self._loaded
        files = list_pass(part, self.runner.data_donefile)
        whole = self.dataset.type == "InmemoryDataset" and self.place.reads
        loaded = LoadedPart(part, files, self._trained.load(files, stopped) if whole else None)
        self._loaded = None if self.runner.prefetch or stopped() else loaded
        return loaded

    def predict_part(
        self, part: AnyPart, on_rows: OnRows = lambda rows: None, stopped: Callable[[], bool] = lambda: False
    ) -> PartMetrics:
        """Predict the rows of a part with the model as it is, until it is stopped; no table changes."""
        loaded = self.load(part)
        dataset = PartDataset(
            lambda: loaded.in_order(self._predicted) if self.place.reads else iter(()),
            self.job.model.schema,
            self.runner.infer_batch_size,
        )
        with self._dumps.predicted(loaded) as dump:
            metrics = self.job.predict(dataset, on_rows, stopped, dump.put if dump is not None else None)
            if dump is not None and dataset.ended:
                dump.publish()
        if not stopped():
            logger.info("%s", metric_line(loaded.key, "Infer", metrics.summary()))
        return metrics

    def train_part(
        self, part: AnyPart, on_rows: OnRows = lambda rows: None, stopped: Callable[[], bool] = lambda: False
    ) -> Optional[PartMetrics]:
        """Train on the rows of a part; None where it was stopped on the way, and so is not trained."""
        loaded = self.load(part)
        key, seed = loaded.key, self.job.model.settings.seed
        self._seconds = seconds_of(self.schedule, key)
        rng = np.random.default_rng([seed, int(key.day), key.number, self.place.exchange.rank])
        dataset = PartDataset(
            lambda: loaded.shuffled(self._trained, rng) if self.place.reads else iter(()),
            self.job.model.schema,
            self.dataset.batch_size,
            stopped,
        )
        lines = batch_lines(f"Day:{key.day}, Pass: {key.number}", self.runner.print_interval)
        with self._dumps.trained(loaded) as dump:
            metrics = self.job.train(dataset, on_rows, dump.put if dump is not None else None, lines)
            self.rejects.flush()
            self._loaded = None
            if self.place.exchange.sum(np.array([dataset.stopped], np.float32))[0]:
                logger.info("stopped in pass %d of day %s, which the next start trains again", key.number, key.day)
                return None
            if dump is not None:
                dump.publish()
        self._dumps.write_parameters(key, self.job.network)
        self.done, self.saver.monitor_data = key, metrics.summary().line()
        logger.info("%s", metric_line(key, "Train", metrics.summary()))
        return metrics

    def save(self, part: AnyPart) -> None:
        """Save what is due after a part that was trained; at the end of a day, end it."""
        saves = self._saves(part.key)
        if saves.checkpoint:
            self.saver.checkpoint(part.key)
        if saves.delta:
            self.saver.delta(part.key)
        if saves.end_of_day:
            self._end_day(part.key.day)

    def _end_day(self, day: str) -> None:
        """Shrink the tables, export a base, and save the state in which all rows are a day older."""
        begin, following = self.saver.now(), next_day(day)
        for table in self.job.tables:
            table.shrink()
        logger.info("%s", shrink_line(self.saver.now() - begin))
        self.saver.base(following)
        for table in self.job.tables:
            table.end_day()
        refresh_stamps(self.job.state.lookups)  # fewer rows, and no step between
        self.saver.checkpoint(day_start(following))
        self.done = day_start(following)

    def _ready(self, stop: Stop) -> Iterator[Part]:
        return ready_parts(
            self.schedule,
            self.dataset.data_path,
            stop,
            data_donefile=self.runner.data_donefile,
            data_sleep_second=self.runner.data_sleep_second,
            done=self.done,
            folders=PartFolders(),
        )

    def _saves(self, key: PassKey) -> Saves:
        if self.runner.save_policy == "hourly":
            return saves_by_hour(self.schedule, key)
        runner = self.runner
        return saves_by_frequency(self.schedule, key, runner.checkpoint_per_pass, runner.save_delta_frequency)


def seconds_of(schedule: PassSchedule, key: PassKey) -> float:
    """When a pass begins, in seconds since 1970, its days taken as UTC.

    >>> schedule = PassSchedule("19700102", "19700102", split_interval=60)
    >>> seconds_of(schedule, PassKey("19700102", 2))
    90000.0
    """
    days = day_of(key.day).toordinal() - day_of("19700101").toordinal()
    return float(days * 86_400 + schedule.start_minute(key.number) * 60)
