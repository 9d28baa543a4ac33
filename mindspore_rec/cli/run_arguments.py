"""The command line of ``python -m mindspore_rec.run``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Literal, NamedTuple, Optional, Sequence, Tuple

from mindspore_rec.cli.arguments import Parser
from mindspore_rec.cli.model_folder import builtin_models

DESCRIPTION = """Run a model as a YAML file says: each runner that `mode` names, in turn, with its phases. The resolved
configuration is printed first."""
EPILOG = """classes of runners:
  train                a fixed set of files, `epochs` times, in this process (with several GPUs: in one for each)
  infer                predict a fixed set of files with a saved model
  online_train         pass by pass, as data arrive
  local_cluster_train  as train, in worker_num + server_num processes of this machine
  cluster_train        likewise on several machines, where each process is started by mpirun or by
                       `python -m mindspore_rec launch`

Ctrl-C and SIGTERM finish the running step; a second one ends at once. Exit status: 0 done or stopped as asked, 2 a
mistake in the configuration, 1 any other that is yours to put right, each told in one line.
built-in models: {models}
docs/run.md has all keys."""


class RunArguments(NamedTuple):
    """What a user gave.

    Attributes:
        config: see `config_path`.
        overrides: see `overridden`.
        worker_num, server_num: of every runner that trains; None: as the file says.
        launcher: who connects the processes; None: mpirun where it is installed, else dynamic networking.
        log_dir: folder of their logs.
    """

    config: str
    overrides: Tuple[str, ...]
    worker_num: Optional[int]
    server_num: Optional[int]
    launcher: Optional[Literal["mpirun", "dynamic"]]
    log_dir: Path


def run_arguments(argv: Optional[Sequence[str]] = None) -> RunArguments:
    """Read the command line; default: that of the process.

    Raises:
        ConfigError: it is wrong.
        SystemExit: status 0 after ``--help``.
    """
    parser = Parser(
        prog="python -m mindspore_rec.run",
        usage="%(prog)s -m CONFIG [-o KEY=VALUE ...] [--worker_num N] [--server_num M] [--KEY VALUE ...]",
        description=DESCRIPTION,
        epilog=EPILOG.format(models=", ".join(f"models/{name}" for name in builtin_models()) or "none"),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.known = ("worker_num", "server_num", "launcher", "log_dir")
    parser.add_argument(
        "-m",
        metavar="CONFIG",
        required=True,
        dest="config",
        help="YAML file, folder with a config.yaml, or built-in model such as models/rank/slot_dnn",
    )
    parser.add_argument(
        "-o",
        metavar="KEY=VALUE",
        nargs="+",
        action="extend",
        default=[],
        dest="overrides",
        help="replace a key by its dotted path: runner.epochs=3; in a list by name: runner.single_cpu_train.epochs=3",
    )
    starts = "started on this machine for a runner that trains, whatever its class"
    parser.add_argument("--worker_num", metavar="N", type=int, help=f"processes that train, {starts}")
    parser.add_argument("--server_num", metavar="M", type=int, help="processes that only hold tables, likewise")
    parser.add_argument(
        "--launcher",
        choices=("mpirun", "dynamic"),
        help="who connects them: mpirun (default where it is installed) or MindSpore's dynamic networking",
    )
    parser.add_argument(
        "--log_dir", metavar="DIR", type=Path, default=Path("log"), help="their logs: workerlog.N and serverlog.N (log)"
    )
    found = parser.parse_args(argv)
    return RunArguments(**{**vars(found), "overrides": tuple(found.overrides)})
