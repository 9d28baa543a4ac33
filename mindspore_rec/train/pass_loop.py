"""The loop of pass-by-pass training: wait, predict, report, train, report, save, until the last day or a signal."""

from __future__ import annotations

import logging
from threading import Event
from typing import Iterator, List, Mapping, NamedTuple, Optional, Protocol

import numpy as np

from mindspore_rec.metrics.pass_metrics import PassSummary
from mindspore_rec.metrics.pass_records import Stage
from mindspore_rec.stream.pass_schedule import PassKey
from mindspore_rec.train.loaded_part import LoadedPart
from mindspore_rec.train.part_metrics import PartMetrics
from mindspore_rec.train.pass_model import PassModel
from mindspore_rec.train.stop_signals import StopSignals
from mindspore_rec.train.trainer_state import Kept

logger = logging.getLogger(__name__)


class TrainedPass(NamedTuple):
    """A pass, and the metrics of its rows: predicted before it was trained, and while it was."""

    key: PassKey
    infer: PassSummary
    train: PassSummary


class PassReports(Protocol):
    """What people look at while passes are trained; `RunReports` of ``train/pass_reports.py`` is one."""

    @property
    def kept(self) -> Mapping[str, Kept]:
        """What of it belongs in the checkpoints, by name."""

    def begin_stage(self, key: PassKey, stage: Stage, rows: Optional[int]) -> None:
        """A pass begins to be predicted or trained; so many rows, where they are known."""

    def advance(self, rows: int) -> None:
        """So many rows more are done."""

    def end_stage(self, key: PassKey, stage: Stage, metrics: PartMetrics) -> None:
        """All of them are, and nothing is saved yet."""

    def end_day(self, day: str) -> None:
        """The last pass of a day is trained, and nothing is saved yet."""


class NoReports:
    """Nobody looks."""

    kept: Mapping[str, Kept] = {}

    def begin_stage(self, key: PassKey, stage: Stage, rows: Optional[int]) -> None:
        """See `PassReports`."""

    def advance(self, rows: int) -> None:
        """See `PassReports`."""

    def end_stage(self, key: PassKey, stage: Stage, metrics: PartMetrics) -> None:
        """See `PassReports`."""

    def end_day(self, day: str) -> None:
        """See `PassReports`."""


def train_passes(model: PassModel, reports: Optional[PassReports] = None) -> List[TrainedPass]:
    """Go on from the newest checkpoint and train all passes that are left. Collective.

    SIGINT and SIGTERM end it after the running step; the pass is then trained again by the next start.

    Returns:
        the passes that were trained.
    """
    shown, stop = reports or NoReports(), Event()
    trained: List[TrainedPass] = []
    model.job.state.kept = {**model.job.state.kept, **shown.kept}
    with StopSignals(stop.set), model.saver.held():
        model.restore()
        parts = model.parts(stop)  # where data are missing, before anything is saved
        model.catch_up()
        while (part := _next_of_all(model, parts, stop)) is not None:
            shown.begin_stage(part.key, "Infer", part.row_count)
            infer = model.predict_part(part, shown.advance, stop.is_set)
            if _any(model, stop.is_set()):
                break
            shown.end_stage(part.key, "Infer", infer)
            shown.begin_stage(part.key, "Train", part.row_count)
            train = model.train_part(part, shown.advance, stop.is_set)
            if train is None:
                break
            shown.end_stage(part.key, "Train", train)
            trained.append(TrainedPass(part.key, infer.summary(), train.summary()))
            if model.schedule.ends_day(part.key):
                shown.end_day(part.key.day)
            model.save(part)
            del part  # and its rows, before those of the next come
    return trained


def _next_of_all(model: PassModel, parts: Iterator[LoadedPart], stop: Event) -> Optional[LoadedPart]:
    """The next part, None where the parts of a rank have ended or one was stopped."""
    part = next(parts, None)
    return None if _any(model, part is None or stop.is_set()) else part


def _any(model: PassModel, what: bool) -> bool:
    return bool(model.place.exchange.sum(np.array([what], np.float32))[0])
