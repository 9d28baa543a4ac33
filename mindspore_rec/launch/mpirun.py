"""A job under mpirun, which starts the ranks of this machine.

mpirun is never sent a signal while its ranks work: at SIGINT or SIGTERM Open MPI 5 gives them half a second before it
kills them, too short for a checkpoint. The launcher asks the ranks themselves, and mpirun ends when they have.
"""

from __future__ import annotations

from pathlib import Path
from typing import Mapping

from mindspore_rec.distributed.launchers import mpirun_command, without_launcher
from mindspore_rec.launch.plan import Child, Job, Plan, rank_command, shared_environment


def mpirun_plan(job: Job, reports: Path, environ: Mapping[str, str]) -> Plan:
    """The one process to start.

    Args:
        job: what is to run.
        reports: where ranks report.
        environ: of the user.

    Raises:
        ConfigError: there is no mpirun.
    """
    kept = {} if "OMPI_COMM_WORLD_SIZE" in environ else {name: environ[name] for name in environ if "_MCA_" in name}
    shared = shared_environment(job, without_launcher(environ))
    own = {**settings(reports.parent), **shared, **kept}
    command = mpirun_command(job.size, rank_command(job, reports))
    return Plan(job, (Child("mpirun", tuple(command), own, job.log_dir / "mpirun.log"),))


def settings(folder: Path) -> Mapping[str, str]:
    """Open MPI's settings, which a user's variables of the same names replace.

    Ranks of one machine talk through shared memory: without TCP they do not listen on every interface, as they would
    whatever interface is asked for. mpirun itself still does (Open MPI issue 14441). Temporary files are in a folder
    that is removed with the job however it ends.

    >>> settings(Path("tmp"))["OMPI_MCA_btl"]
    '^tcp'
    """
    return {
        "OMPI_MCA_btl": "^tcp",
        "PRTE_MCA_prte_tmpdir_base": str(folder),  # Open MPI 5
        "OMPI_MCA_orte_tmpdir_base": str(folder),  # Open MPI 4
    }
