"""How many processes a runner of a job is, and what must be there for it to run."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any, Dict, List, Optional, Sequence

from mindspore_rec.cli.section_values import section_of
from mindspore_rec.config import ConfigError
from mindspore_rec.distributed.ranks import Ranks
from mindspore_rec.job_config import EpochRunner, Job, Runner, RunnerConfig
from mindspore_rec.launch.gpus import check_gpus
from mindspore_rec.train.phase_rows import phase_files


def with_ranks(job: Job, worker_num: Optional[int], server_num: Optional[int]) -> Job:
    """The job, with as many processes of every runner that trains as the command line asks for.

    A runner of class ``train`` becomes one of ``local_cluster_train``, without servers unless they are asked for.

    Args:
        job: as its file says.
        worker_num, server_num: None where not given.

    Raises:
        ConfigError: a number is out of range.
    """
    given = {"worker_num": worker_num, "server_num": server_num}
    asked = {key: number for key, number in given.items() if number is not None}
    return replace(job, runners=tuple(_with(runner, asked) for runner in job.runners)) if asked else job


def _with(runner: Runner, asked: Dict[str, int]) -> Runner:
    config = runner.config
    if config.runner_class == "infer":
        return runner
    values: Dict[str, Any] = config.model_dump(by_alias=True)
    if config.runner_class == "train":
        values.update(zip(("worker_num", "server_num"), config.ranks))
        values["class"] = "local_cluster_train"
    values.update(asked)
    return replace(runner, config=section_of(type(config), values, "", lambda key: f"argument --{key}"))


def is_launched(config: RunnerConfig) -> bool:
    """Whether a runner is several processes of this machine, which the program starts."""
    return config.runner_class != "cluster_train" and sum(config.ranks) > 1


def check_runners(runners: Sequence[Runner], here: Ranks) -> None:
    """Refuse what this process and the processes it starts cannot do, before any work.

    Args:
        runners: that are to be run.
        here: this process.

    Raises:
        ConfigError: a runner asks for GPUs that are not there, for another device than the one before it in the same
            process, for other ranks than were started, or to train several phases as data arrive.
        UserError: a fixed set of files is not there.
    """
    for runner in runners:
        if isinstance(runner.config, EpochRunner):
            for phase in runner.phases:
                phase_files(phase.dataset)
        elif len(runner.phases) > 1:
            names = ", ".join(phase.name for phase in runner.phases)
            raise ConfigError(f"runner {runner.config.name}: phases = {names}: expected one for class online_train")
        check_gpus(runner.config.gpus, os.environ)
        _check_started(runner.config, here)
    devices = {(config.device, config.gpus[:1]): config.name for config in _in_this_process(runners, here)}
    if len(devices) > 1:
        raise ConfigError(
            f"mode: runners {' and '.join(devices.values())} run in one process on different devices: expected the "
            f"same; start them one after the other"
        )


def _in_this_process(runners: Sequence[Runner], here: Ranks) -> List[RunnerConfig]:
    return [found.config for found in runners if here.launcher != "alone" or not is_launched(found.config)]


def _check_started(config: RunnerConfig, here: Ranks) -> None:
    workers, servers = config.ranks
    size = workers + servers
    if config.runner_class == "infer":  # the first rank does it
        return
    if here.launcher == "alone" and config.runner_class == "cluster_train":
        raise ConfigError(
            f"runner {config.name}: class = cluster_train: expected ranks, started by mpirun -np {size}, or on "
            f"each machine `python -m mindspore_rec launch --launcher dynamic --ranks {workers} --server_num {servers} "
            f"--first_rank R --local_ranks K python -m mindspore_rec.run ...`; class local_cluster_train starts them "
            f"itself on this machine"
        )
    if here.launcher != "alone" and here.size != size:
        raise ConfigError(
            f"runner {config.name}: worker_num = {workers}, server_num = {servers}: expected {here.size} ranks, as "
            f"{here.launcher} started; --worker_num and --server_num say what they do"
        )
