"""A job under MindSpore's dynamic networking: a scheduler, on the machine that has its address, and the ranks."""

from __future__ import annotations

import errno
import socket
import sys
from pathlib import Path
from typing import Mapping

from mindspore_rec.config import ConfigError
from mindspore_rec.distributed.launchers import dynamic_environments
from mindspore_rec.launch.plan import Child, Job, Plan, rank_command, shared_environment


def dynamic_plan(job: Job, reports: Path, environ: Mapping[str, str], sched_host: str, sched_port: int) -> Plan:
    """The scheduler, if this is its machine, and the ranks of this machine.

    Args:
        job: what is to run.
        reports: where ranks report.
        environ: of the user.
        sched_host: address of the scheduler.
        sched_port: its port.

    Raises:
        ConfigError: the port is in use.
    """
    here = is_own_address(sched_host)
    if here:
        _check_port(sched_host, sched_port)
    scheduler, workers = dynamic_environments(job.size, shared_environment(job, environ), sched_host, sched_port)
    children = []
    if here:
        command = (sys.executable, "-m", "mindspore_rec.launch.scheduler")
        children.append(Child("scheduler", command, scheduler, job.log_dir / "scheduler.log", service=True))
    for local in range(job.local_ranks):
        rank = job.first_rank + local
        own = {"MS_WORKER_IP": job.host, "DEVICE_ID": str(local), **workers[rank]}
        log = job.rank_log(rank)
        children.append(Child(job.name(rank), rank_command(job, reports), own, log, rank))
    return Plan(job, tuple(children))


def is_own_address(host: str) -> bool:
    """Whether an address is one of this machine.

    >>> is_own_address("127.0.0.1"), is_own_address("192.0.2.200")
    (True, False)
    """
    try:
        with socket.socket() as probe:
            probe.bind((host, 0))
    except OSError:
        return False
    return True


def _check_port(host: str, port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # what an ended job left is no obstacle
        try:
            probe.bind((host, port))
        except OSError as error:
            why = "it is in use" if error.errno == errno.EADDRINUSE else error.strerror
            raise ConfigError(f"sched_port = {port}: expected a free port on {host}: {why}") from None
