"""Runners of a job, run by this process: alone, or as one of their ranks."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import Optional

import numpy as np

from mindspore_rec.cli.job_exporter import exporter_of
from mindspore_rec.cli.phase_model import model_of
from mindspore_rec.distributed.exchange import Exchange
from mindspore_rec.distributed.ranks import Ranks, open_exchange
from mindspore_rec.job_config import EpochRunner, Job, OnlineRunner, Runner
from mindspore_rec.launch.gpus import choose_gpu, local_rank
from mindspore_rec.logs import quiet_mindspore
from mindspore_rec.monitor.pass_progress import PassProgress
from mindspore_rec.stream.pass_schedule import next_day


class JobProcess:
    """This process of a job; it meets the others at its first runner.

    Args:
        job: what the runners belong to.
        here: which of the ranks it is.
    """

    def __init__(self, job: Job, here: Ranks) -> None:
        self._job, self._here = job, here
        self._exchange: Optional[Exchange] = None

    def run(self, runner: Runner) -> bool:
        """Run a runner; whether it came to its end, and was not asked to end before.

        Raises:
            UserError: it cannot be run as configured.
        """
        config = runner.config
        exchange = self._exchange or self._begin(runner)
        if isinstance(config, OnlineRunner):
            return self._run_online(runner, config, exchange)
        if config.runner_class != "infer":
            return self._run_epochs(runner, config, exchange)
        done = exchange.rank != 0 or self._run_epochs(runner, config, None)
        return bool(exchange.sum(np.array([done], np.float32))[0] == exchange.size)

    def close(self) -> None:
        """Leave the other ranks."""
        if self._exchange is not None:
            self._exchange.close()

    def _begin(self, runner: Runner) -> Exchange:
        quiet_mindspore()
        choose_gpu(runner.config.gpus, local_rank(self._here.rank, os.environ), os.environ)
        from mindspore_rec.train.device import use_device

        use_device(runner.config.device.upper(), "device")
        self._exchange = open_exchange(self._here)
        return self._exchange

    def _run_epochs(self, runner: Runner, config: EpochRunner, exchange: Optional[Exchange]) -> bool:
        from mindspore_rec.train.epoch_runner import PhaseModel, run_epochs
        from mindspore_rec.train.place import ALONE, Place

        place = ALONE if exchange is None else Place(exchange, config.ranks[1], int(config.sync_mode == "async"))
        phases = [PhaseModel(phase, model_of(self._job, phase)) for phase in runner.phases]
        return run_epochs(config, phases, partial(exporter_of, config), place)

    def _run_online(self, runner: Runner, config: OnlineRunner, exchange: Exchange) -> bool:
        from mindspore_rec.train.pass_loop import train_passes
        from mindspore_rec.train.pass_model import PassModel
        from mindspore_rec.train.pass_reports import RunReports
        from mindspore_rec.train.place import Place

        place = Place(exchange, config.ranks[1], int(config.sync_mode == "async"))
        (phase,) = runner.phases
        model = model_of(self._job, phase)
        passes = PassModel(config, phase.dataset, model, partial(exporter_of, config), place)
        if exchange.rank:
            train_passes(passes, RunReports(None))
        else:
            with PassProgress(passes.schedule) as progress:
                train_passes(passes, RunReports(Path(config.model_save_path), progress))
        return passes.done is not None and passes.done.day >= next_day(config.end_day)
