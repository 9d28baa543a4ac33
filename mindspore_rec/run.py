"""``python -m mindspore_rec.run -m CONFIG``: a job from its YAML file, run to its end."""

from __future__ import annotations

import logging
import os
import signal
import sys
from typing import Optional, Sequence

from mindspore_rec.cli.job import dump_job, load_job
from mindspore_rec.cli.job_launch import RUNNER, launch_runner
from mindspore_rec.cli.job_process import JobProcess
from mindspore_rec.cli.job_ranks import check_runners, is_launched, with_ranks
from mindspore_rec.cli.options import run_cli
from mindspore_rec.cli.run_arguments import run_arguments
from mindspore_rec.distributed.ranks import Ranks, is_scheduler
from mindspore_rec.launch import scheduler
from mindspore_rec.logs import setup_logging

logger = logging.getLogger(__name__)


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Run each runner in turn, until one is asked to end; the exit status.

    Raises:
        UserError: a mistake of the user's.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    given = run_arguments(words)
    if is_scheduler():  # msrun starts it with the command line of its ranks
        return scheduler.main()
    job = with_ranks(load_job(given.config, given.overrides), given.worker_num, given.server_num)
    here, own = Ranks.of_environment(), os.environ.get(RUNNER)
    runners = [runner for runner in job.runners if own in (None, runner.config.name)]
    check_runners(runners, here)
    resolved = dump_job(job)
    if own is None and here.rank == 0:
        sys.stdout.write(resolved)
        sys.stdout.flush()
    setup_logging(logging.INFO if here.rank == 0 else logging.WARNING)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C, until training takes over both
    process = JobProcess(job, here)
    try:
        for runner in runners:
            if here.launcher == "alone" and is_launched(runner.config):
                done = launch_runner(runner.config, words, given, resolved)
            else:
                done = process.run(runner)
            if not done:
                break
        process.close()
    except KeyboardInterrupt:
        logger.info("stopped")
    return 0


if __name__ == "__main__":
    run_cli(main)
