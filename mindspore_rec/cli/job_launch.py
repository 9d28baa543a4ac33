"""A runner of several processes on this machine: its ranks started under the launcher that is there, and awaited."""

from __future__ import annotations

import importlib.util
import os
import sys
from dataclasses import replace
from typing import Sequence

from mindspore_rec.cli.launch import LaunchConfig, job_of, run_ranks
from mindspore_rec.cli.run_arguments import RunArguments
from mindspore_rec.distributed.launchers import find_mpirun, free_port
from mindspore_rec.job_config import RunnerConfig

RUNNER = "MSREC_RUNNER"
"""Variable of a rank that was started here: the one runner it is to run."""


def launch_runner(config: RunnerConfig, argv: Sequence[str], given: RunArguments, head: str) -> bool:
    """Run a runner as ranks of this machine; whether it came to its end, and was not asked to end before.

    Unless another launcher is asked for, mpirun starts them where it and mpi4py are installed, else MindSpore's dynamic
    networking connects them. What the first worker writes is shown.

    Args:
        config: the runner.
        argv: arguments of this program, which each rank gets too.
        given: what they say.
        head: what the log of the first worker begins with.

    Raises:
        UserError: a rank failed, or none can be started.
    """
    workers, servers = config.ranks
    settings = LaunchConfig(
        launcher=given.launcher or ("mpirun" if _has_mpi() else "dynamic"),
        ranks=workers,
        server_num=servers,
        sched_port=free_port("127.0.0.1"),
        log_dir=str(given.log_dir),
    )
    job = job_of(settings, [sys.executable, "-m", "mindspore_rec.run", *argv])
    return run_ranks(settings, replace(job, logs_by_role=True), {**os.environ, RUNNER: config.name}, head)


def _has_mpi() -> bool:
    return find_mpirun() is not None and importlib.util.find_spec("mpi4py") is not None
