"""How the processes of a job are started: under mpirun, or a scheduler and its ranks for dynamic networking.

The environments say who a process is, in the variables that `Ranks` reads; nothing is started here.
"""

from __future__ import annotations

import os
import shutil
import socket
import sys
from pathlib import Path
from typing import Dict, List, Mapping, Optional, Sequence, Tuple

from mindspore_rec.config import ConfigError

LAUNCHER_PREFIXES = (
    "OMPI_",
    "PMI_",
    "PMIX_",
    "PRTE_",
    "MS_ROLE",
    "MS_NODE_ID",
    "MS_WORKER_NUM",
    "MS_SCHED_",
    "RANK_ID",
)
"""Variables by which a process is told from its siblings: none of a parent's may reach the processes of a new job."""


def find_mpirun() -> Optional[str]:
    """That of the extra ``[mpi]`` where it is installed, since mpi4py takes its libmpi too; else the system's."""
    return shutil.which("mpirun", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))


def mpirun_command(size: int, command: Sequence[str]) -> List[str]:
    """The command line that runs a program as so many ranks on this host.

    Args:
        size: number of ranks; they may be more than there are cores.
        command: the program and its arguments.

    Raises:
        ConfigError: there is no mpirun.
    """
    mpirun = find_mpirun()
    if mpirun is None:
        raise ConfigError("mpirun: not found: install the extra [mpi], or an MPI of the system")
    # unbound: mpirun would give a rank one core, and with it all threads of MindSpore and numba
    options = ["--oversubscribe", "--bind-to", "none"]
    as_root = ["--allow-run-as-root"] if os.geteuid() == 0 else []
    return [mpirun, *as_root, *options, "-np", str(size), *command]


def without_launcher(environ: Optional[Mapping[str, str]] = None) -> Dict[str, str]:
    """An environment without the variables of a launcher; default: that of this process."""
    environ = os.environ if environ is None else environ
    return {name: value for name, value in environ.items() if not name.startswith(LAUNCHER_PREFIXES)}


def dynamic_environments(
    size: int, environ: Optional[Mapping[str, str]] = None, host: str = "127.0.0.1", port: Optional[int] = None
) -> Tuple[Dict[str, str], List[Dict[str, str]]]:
    """The environments of the scheduler and of each rank.

    Args:
        size: number of ranks.
        environ: variables they have besides; default: those of this process.
        host: where the scheduler is to listen.
        port: on which port; default: one that is free now.
    """
    shared = {
        **without_launcher(environ),
        **{"MS_SCHED_HOST": host, "MS_SCHED_PORT": str(port or free_port(host)), "MS_WORKER_NUM": str(size)},
    }
    workers = [{**shared, "MS_ROLE": "MS_WORKER", "MS_NODE_ID": str(rank)} for rank in range(size)]
    return {**shared, "MS_ROLE": "MS_SCHED"}, workers


def free_port(host: str) -> int:
    """A port that is free on an address now."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])
