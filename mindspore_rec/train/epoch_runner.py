"""Runners over a fixed set of files: train on them epoch after epoch, or predict them."""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Callable, NamedTuple, Sequence

import numpy as np
from pydantic import ValidationError

from mindspore_rec.checkpoint.errors import CheckpointError
from mindspore_rec.checkpoint.format import Checkpoint
from mindspore_rec.checkpoint.saved import read_saved
from mindspore_rec.config import UserError
from mindspore_rec.job_config import EpochRunner, Phase
from mindspore_rec.models.model_file import Model, described
from mindspore_rec.train.batch_line import batch_lines
from mindspore_rec.train.epoch_saves import EpochSaves
from mindspore_rec.train.guard import NonFiniteGuard
from mindspore_rec.train.job_model import JobModel
from mindspore_rec.train.part_metrics import PartMetrics
from mindspore_rec.train.pass_saver import PassExporter
from mindspore_rec.train.phase_rows import PhaseRows
from mindspore_rec.train.place import ALONE, Place
from mindspore_rec.train.saved_state import take_over
from mindspore_rec.train.stop_signals import StopSignals

logger = logging.getLogger(__name__)


class PhaseModel(NamedTuple):
    """A phase, and the model that its keys stand for."""

    phase: Phase
    model: Model


def run_epochs(
    config: EpochRunner,
    phases: Sequence[PhaseModel],
    exporter: Callable[[JobModel], PassExporter],
    place: Place = ALONE,
    clock: Callable[[], float] = time.time,
) -> bool:
    """Run the phases of a runner, in order; whether all were run, and nobody asked to end before. Collective.

    A phase goes on with the model of the one before where both have the same. SIGINT and SIGTERM end the runner after
    the running step.

    Args:
        config: the runner.
        phases: what it runs.
        exporter: makes what writes inference models, given the model at work.
        place: this process among those of the job.
        clock: seconds since 1970, which tables note for their rows.

    Raises:
        UserError: files, model or folders are not as the runner needs them.
    """
    stop, job = Event(), None
    phase_rows = [_rows(config, given, place) for given in phases]
    with StopSignals(stop.set):
        for given, rows in zip(phases, phase_rows):
            if config.runner_class == "infer":
                done = _predict(config, given, rows, place, stop)
            else:
                if job is None or job.model.describe() != given.model.describe():
                    job = _new_job(config, given.model, place, clock)
                name = given.phase.name if len(phases) > 1 else ""
                done = _train(config, job, rows, EpochSaves(config, name, job, exporter), stop)
            if not done:
                return False
    return True


def _rows(config: EpochRunner, given: PhaseModel, place: Place) -> PhaseRows:
    letters = Path(config.save_checkpoint_path) / f"dead_letters-{place.exchange.rank}.jsonl"
    return PhaseRows(given.phase.dataset, place, letters, given.model.settings.seed)


def _new_job(config: EpochRunner, model: Model, place: Place, clock: Callable[[], float]) -> JobModel:
    skipped = Path(config.save_checkpoint_path) / f"skipped_batches-{place.exchange.rank}.jsonl"
    job = JobModel(model, place, guard=NonFiniteGuard(dead_letters=skipped), clock=clock)
    if config.init_model_path:
        take_over(job.state, read_saved(Path(config.init_model_path)))
        logger.info("starting with %s", config.init_model_path)
    return job


def _train(config: EpochRunner, job: JobModel, rows: PhaseRows, saves: EpochSaves, stop: Event) -> bool:
    for epoch in range(1, config.epochs + 1):
        dataset, begin = rows.epoch(epoch), time.monotonic()
        metrics = job.train(dataset, watched=batch_lines(f"epoch: {epoch}", config.print_interval))
        if _any_rank(job.place, dataset.stopped):
            logger.info("stopped in epoch %d; newest checkpoint: %s", epoch, saves.newest or "none")
            return False
        rows.end_epoch()
        _log(f"Epoch: {epoch}, Train", metrics, time.monotonic() - begin, rows)
        saves.after(epoch)
        if _any_rank(job.place, stop.is_set()):
            logger.info("stopped after epoch %d; newest checkpoint: %s", epoch, saves.newest or "none")
            return False
    return True


def _predict(config: EpochRunner, given: PhaseModel, rows: PhaseRows, place: Place, stop: Event) -> bool:
    checkpoint = read_saved(Path(config.init_model_path))
    job = JobModel(_as_saved(given.model, checkpoint), place, clock=time.time)
    take_over(job.state, checkpoint)
    logger.info("predicting with %s", checkpoint.path)
    begin = time.monotonic()
    metrics = job.predict(rows.in_order(), stopped=stop.is_set)
    if _any_rank(place, stop.is_set()):
        logger.info("stopped in phase %s", given.phase.name)
        return False
    rows.end_epoch()
    _log(f"Phase: {given.phase.name}, Infer", metrics, time.monotonic() - begin, rows)
    return True


def _as_saved(model: Model, checkpoint: Checkpoint) -> Model:
    """The model with the settings its checkpoint was trained with, for these data."""
    saved = checkpoint.meta.get("model")
    if not saved:
        return model
    try:
        found = described(saved, model.file)
    except (KeyError, ValidationError):
        raise CheckpointError(f"checkpoint {checkpoint.path} was made with another {model.file.path}") from None
    if found.settings != model.settings:
        logger.warning("hyper_parameters are those of %s, not of the configuration", checkpoint.path)
    return replace(found, schema=model.schema, padding_id=model.padding_id)


def _log(what: str, metrics: PartMetrics, seconds: float, rows: PhaseRows) -> None:
    summary = metrics.summary()
    if not summary.rows:
        raise UserError(f"{rows.path}: no row of its files can be used; {rows.dead_letters} says why")
    speed = summary.rows / max(seconds, 1e-9)
    logger.info("%s Global Metric: %s (%.2f s, %.0f samples/s)", what, summary.line(), seconds, speed)


def _any_rank(place: Place, what: bool) -> bool:
    return bool(place.exchange.sum(np.array([what], np.float32))[0])
