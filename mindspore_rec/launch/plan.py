"""A job of several ranks as a user asks for it, and as processes to start."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Dict, List, Mapping, Optional, Sequence, Tuple

from mindspore_rec.launch import cores
from mindspore_rec.launch.rank_log import NAMED_BY_ROLE, log_path

REPOSITORY = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Job:
    """What is to run.

    Attributes:
        program: its command line.
        workers: ranks that train.
        servers: ranks after them that only own shards of the tables; the framework takes both for workers.
        host: address of this machine that the ranks talk through.
        log_dir: folder of the logs.
        first_rank: of those on this machine.
        local_ranks: number of ranks on this machine.
        pin_cores: each rank keeps to its share of this machine's cores.
        logs_by_role: logs are ``workerlog.N`` and ``serverlog.N``, each from 0, as PaddleRec's; else ``rank.R.log``.
    """

    program: Tuple[str, ...]
    workers: int
    servers: int
    host: str
    log_dir: Path
    first_rank: int
    local_ranks: int
    pin_cores: bool = True
    logs_by_role: bool = False

    @property
    def size(self) -> int:
        """Number of ranks."""
        return self.workers + self.servers

    def name(self, rank: int) -> str:
        """What a rank is called in messages."""
        return f"rank {rank}" if rank < self.workers else f"rank {rank} (server)"

    def rank_log(self, rank: int) -> Path:
        """All that a rank wrote."""
        return log_path(self.log_dir, rank, self.workers if self.logs_by_role else 0)


@dataclass(frozen=True, eq=False)
class Child:
    """A process the launcher starts.

    Attributes:
        name: what it is called in messages.
        command: program and arguments.
        environ: its environment.
        log: file of its output.
        rank: the rank it is, if it is one.
        service: the job is over without it; it is ended then.
    """

    name: str
    command: Tuple[str, ...]
    environ: Mapping[str, str] = field(repr=False)
    log: Path
    rank: Optional[int] = None
    service: bool = False


@dataclass(frozen=True)
class Plan:
    """Processes to start, in this order."""

    job: Job
    children: Tuple[Child, ...]


def rank_command(job: Job, reports: Path) -> Tuple[str, ...]:
    """The command line of a rank, whoever starts it."""
    return (sys.executable, "-m", "mindspore_rec.launch.rank_log", str(reports), str(job.log_dir), *job.program)


def shared_environment(job: Job, environ: Mapping[str, str]) -> Dict[str, str]:
    """The variables of every process: what the user set, the package on the path, and the cores shared by the ranks."""
    threads = str(max(1, len(os.sched_getaffinity(0)) // job.local_ranks))
    return {
        **{"OMP_NUM_THREADS": threads, "NUMBA_NUM_THREADS": threads, "PYTHONUNBUFFERED": "1"},
        "GLOG_v": "3",  # as quiet_mindspore: a rank joins the others before its program can say so
        **environ,
        "PYTHONPATH": os.pathsep.join([str(REPOSITORY), *filter(None, [environ.get("PYTHONPATH")])]),
        "MSREC_SERVER_NUM": str(job.servers),
        NAMED_BY_ROLE: str(job.workers if job.logs_by_role else 0),
        cores.VARIABLE: cores.as_text(cores_of(job, sorted(os.sched_getaffinity(0)))),
    }


def cores_of(job: Job, available: Sequence[int]) -> Dict[int, List[int]]:
    """The cores of the ranks of this machine. Servers share those of workers: they work while workers wait."""
    local = range(job.first_rank, job.first_rank + job.local_ranks)
    groups = [[rank for rank in local if (rank < job.workers) is worker] for worker in (True, False)]
    dealt = [cores.shares(group, available) for group in groups if group]
    return {rank: own for group in dealt for rank, own in group.items()} if job.pin_cores and all(dealt) else {}
