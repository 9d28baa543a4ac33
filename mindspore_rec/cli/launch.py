"""``python -m mindspore_rec launch``: a program as several ranks, under mpirun or MindSpore's dynamic networking.

python -m mindspore_rec launch --launcher mpirun --ranks 2 train.py --device_target CPU
python -m mindspore_rec launch --launcher dynamic --ranks 2 --sched_port 8118 -d train.py
python -m mindspore_rec launch --stop LOG_DIR

What comes before PROGRAM is for the launcher, what comes after it for the program. Ctrl-C and SIGTERM ask every rank
to end, once; a second one ends them at once.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import shutil
import sys
import time
from pathlib import Path
from typing import List, Literal, Mapping, Optional, Sequence, Tuple

from pydantic import Field

from mindspore_rec.cli.options import ERROR, load
from mindspore_rec.config import ConfigError, Section, UserError
from mindspore_rec.launch import background
from mindspore_rec.launch.attempts import PAUSE_SECONDS, run_job
from mindspore_rec.launch.dynamic_networking import dynamic_plan, is_own_address
from mindspore_rec.launch.log_lines import write_if_ready
from mindspore_rec.launch.mpirun import mpirun_plan
from mindspore_rec.launch.plan import Job, Plan
from mindspore_rec.launch.signals import StopRequests
from mindspore_rec.launch.supervision import STOP_SECONDS, Ending

DESCRIPTION = """Run a program as several ranks: launch [-d] [--KEY VALUE ...] PROGRAM [ARGS ...], where -d lets it run
in the background; launch --stop LOG_DIR ends that one."""
WITHOUT_VALUE = ("-h", "--help", "--print_config", "--detach")


class LaunchConfig(Section):
    """A job of several ranks."""

    launcher: Literal["mpirun", "dynamic"] = Field("mpirun", description="who connects the ranks")
    ranks: int = Field(1, ge=1, le=4096, description="ranks that train")
    server_num: int = Field(0, ge=0, le=4096, description="ranks besides them that only own shards of the tables")
    host: str = Field("127.0.0.1", min_length=1, description="address of this machine that the ranks talk through")
    sched_host: str = Field("127.0.0.1", min_length=1, description="scheduler's address (dynamic)")
    sched_port: int = Field(8118, ge=1024, le=65535, description="scheduler's port (dynamic)")
    first_rank: int = Field(0, ge=0, le=8191, description="first of the ranks on this machine (dynamic)")
    local_ranks: int = Field(0, ge=0, le=8192, description="ranks on this machine (dynamic); 0: all from first_rank")
    log_dir: Optional[str] = Field(None, description="folder of the logs; default: run/<program>-<time>")
    pin_cores: bool = Field(True, description="each rank keeps to its share of the cores, where that goes even")
    restarts: int = Field(0, ge=0, le=1000000, description="times all ranks are started again when one dies")
    restart_seconds: float = Field(
        PAUSE_SECONDS, ge=0, le=3600, description="pause before it where they lasted less than a minute; then longer"
    )
    stop_seconds: float = Field(STOP_SECONDS, gt=0, le=86400, description="ranks have to end when asked to")
    detach: bool = Field(False, description="run in the background; also -d")


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Run a job to its end, start one in the background, or stop one; the exit status.

    Raises:
        UserError: a rank failed, its last lines are on stderr by then; or the job cannot be started as asked.
    """
    given = list(sys.argv[1:] if argv is None else argv)
    if given and given[0].split("=")[0] == "--stop":
        return _stop(given)
    options, program = split(given)
    config = load(LaunchConfig, DESCRIPTION, options)
    job = job_of(config, program)
    if config.detach:
        return _start_in_background(config, options, program, job.log_dir)
    run_ranks(config, job, os.environ)
    return 0


def run_ranks(config: LaunchConfig, job: Job, environ: Mapping[str, str], head: str = "") -> bool:
    """Run a job to its end; whether it came to it, and was not asked to end before.

    Args:
        config: of the launcher.
        job: its ranks.
        environ: of them.
        head: what the log of the first rank begins with.

    Raises:
        ConfigError: a rank ended with one.
        UserError: a rank failed.
    """
    with StopRequests() as requests, background.held(job.log_dir):
        _say(f"{job.size} ranks under {config.launcher}; logs in {_short(job.log_dir)}")
        if head:
            with job.rank_log(job.first_rank).open("a", encoding="utf-8") as log:
                log.write(head)
        ending = run_job(
            lambda reports: plan_of(config, job, reports, environ),
            requests,
            restarts=config.restarts,
            show=_relay,
            tell=_say,
            stop_seconds=config.stop_seconds,
            pause_seconds=config.restart_seconds,
        )
    if ending.kind == "failed":
        raise _failure(ending)
    _say("all ranks ended as asked" if ending.kind == "stopped" else "all ranks ended")
    return ending.kind == "done"


def split(given: Sequence[str]) -> Tuple[List[str], List[str]]:
    """The launcher's own arguments, and the program with its own.

    >>> split(["-d", "--ranks", "2", "--restarts=3", "train.py", "--ranks", "x"])
    (['--detach', '--ranks', '2', '--restarts=3'], ['train.py', '--ranks', 'x'])
    """
    options: List[str] = []
    rest = ["--detach" if word == "-d" else word for word in given]
    while rest and rest[0].startswith("-"):
        taken = 1 if rest[0] in WITHOUT_VALUE or "=" in rest[0] else 2
        options += rest[:taken]
        rest = rest[taken:]
    return options, list(given[len(given) - len(rest) :])


def job_of(config: LaunchConfig, program: Sequence[str]) -> Job:
    """The job, checked.

    Raises:
        ConfigError: naming the argument, its value and what was expected.
    """
    if not program:
        raise ConfigError("PROGRAM: expected a Python file or a command after the launcher's own arguments")
    command = _command(program)
    _check_addresses(config)
    size = config.ranks + config.server_num
    local = config.local_ranks or size - config.first_rank
    if config.launcher == "mpirun" and (config.first_rank, local) != (0, size):
        raise ConfigError("first_rank, local_ranks: mpirun starts all ranks on this machine; use --launcher dynamic")
    if not 0 < local <= size - config.first_rank:
        raise ConfigError(
            f"first_rank = {config.first_rank}, local_ranks = {config.local_ranks}: expected ranks below {size}"
        )
    name = f"{Path(program[0]).stem}-{time.strftime('%Y%m%d-%H%M%S')}"
    folder = Path(config.log_dir or Path("run") / name).absolute()
    ranks = config.first_rank, local, config.pin_cores
    return Job(command, config.ranks, config.server_num, config.host, folder, *ranks)


def plan_of(config: LaunchConfig, job: Job, reports: Path, environ: Mapping[str, str]) -> Plan:
    """The processes of the job."""
    if config.launcher == "mpirun":
        return mpirun_plan(job, reports, environ)
    return dynamic_plan(job, reports, environ, config.sched_host, config.sched_port)


def _command(program: Sequence[str]) -> Tuple[str, ...]:
    if program[0].endswith(".py"):
        if not Path(program[0]).is_file():
            raise ConfigError(f"PROGRAM = {program[0]}: expected a Python file, there is none")
        return (sys.executable, *program)
    if shutil.which(program[0]) is None:
        raise ConfigError(f"PROGRAM = {program[0]}: expected a Python file or a command, there is none")
    return tuple(program)


def _check_addresses(config: LaunchConfig) -> None:
    keys = ("host", "sched_host") if config.launcher == "dynamic" else ("host",)
    for key in keys:
        value = getattr(config, key)
        try:
            ipaddress.IPv4Address(value)
        except ValueError:
            raise ConfigError(f"{key} = {value}: expected an IPv4 address such as 127.0.0.1") from None
    if not is_own_address(config.host):
        raise ConfigError(f"host = {config.host}: expected an address of this machine")
    if config.launcher == "dynamic" and config.first_rank == 0 and not is_own_address(config.sched_host):
        raise ConfigError(
            f"sched_host = {config.sched_host}: expected an address of this machine, where rank 0 runs; "
            "other machines take --first_rank"
        )


def _start_in_background(config: LaunchConfig, options: Sequence[str], program: Sequence[str], folder: Path) -> int:
    others = [word for word in options if word.split("=")[0] != "--detach"]
    own = ["--detach=false", f"--log_dir={folder}"]
    pid = background.start([sys.executable, "-m", "mindspore_rec", "launch", *others, *own, *program], folder)
    where = _short(folder)
    _say(f"process {pid} runs in the background; its output is {where}/{background.OUTPUT}, ranks' {where}/rank.*.log")
    _say(f"{where}/{background.PID_FILE} holds its number; python -m mindspore_rec launch --stop {where} ends it")
    return 0


def _stop(given: Sequence[str]) -> int:
    words = given[0].split("=", 1)[1:] + list(given[1:])
    if len(words) != 1 or not words[0]:
        raise ConfigError("--stop: expected one folder of logs")
    pid = background.stop(Path(words[0]), STOP_SECONDS + 30)
    _say(f"process {pid} ended")
    return 0


def _failure(ending: Ending) -> UserError:
    """The error to end with: the rank's own where that was its last line, else its last lines are shown first."""
    where = f"; all it wrote is in {_short(ending.log)}" if ending.log is not None else ""
    last = ending.tail[-1] if ending.tail else ""
    if last.startswith(ERROR):
        kind = ConfigError if ending.status == ConfigError.exit_status else UserError
        return kind(f"{ending.what}: {last[len(ERROR) :]}{where}")
    for line in ending.tail:
        sys.stderr.write(f"  {line}\n")
    return UserError(f"{ending.what}{where}")


def _relay(piece: bytes) -> int:
    """What rank 0 writes is all of stdout, so its summary is the last line; a reader that is behind stops nobody."""
    return write_if_ready(1, piece)


def _say(text: str) -> None:
    with contextlib.suppress(OSError):
        sys.stderr.write(f"launch: {text}\n")
        sys.stderr.flush()


def _short(path: Path) -> str:
    here = Path.cwd()
    return str(path.relative_to(here) if here in path.parents else path)
