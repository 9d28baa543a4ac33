"""``python -m mindspore_rec chaos``: producer, consumer, trainer and Apache Kafka killed with SIGKILL, again and again.

The run must end with every row trained exactly once, and with the state of a run that nothing disturbed. The last
line on stdout is one JSON object; the exit status is 1 where a row was lost or doubled or the states differ.
"""

from __future__ import annotations

import json
import signal
import sys
import time
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence

import numpy as np

from mindspore_rec.checkpoint.format import Checkpoint
from mindspore_rec.checkpoint.store import CheckpointStore
from mindspore_rec.cli import chaos_programs
from mindspore_rec.cli.chaos_difference import differences
from mindspore_rec.cli.chaos_plan import PROCESSES, draw
from mindspore_rec.cli.chaos_programs import ChaosConfig, CommandLines
from mindspore_rec.cli.chaos_run import ChaosRun
from mindspore_rec.cli.options import load
from mindspore_rec.cli.processes import Programs
from mindspore_rec.cli.run_folder import channel_port, new_run_folder
from mindspore_rec.config import UserError
from mindspore_rec.stream.brokers import BrokerFailed, KafkaBroker

POLL_SECONDS = 5.0
SILENCE_SECONDS = 120.0
MOST_DIFFERENCES = 10


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Run it; the exit status.

    Raises:
        UserError: a part could not be started or failed; its last lines are on stderr by then.
    """
    started = time.monotonic()
    config = load(ChaosConfig, "Kill every part of the pipeline many times, and compare with an undisturbed run.", argv)
    if not chaos_programs.EXAMPLES.is_dir():
        raise UserError(f"the programs of the repository are needed, and {chaos_programs.EXAMPLES} is missing")
    folder = new_run_folder("chaos", config.folder, chaos_programs.REPOSITORY / "run")
    with Programs(folder) as programs:  # from here on a signal waits for programs.wait, the start of a broker included
        try:
            broker = KafkaBroker(folder / "broker", port=0)
            with broker:
                _say(f"{broker.name} at {broker.bootstrap_servers}; logs in {folder}")
                try:
                    summary = _run(config, programs, broker, folder)
                finally:
                    programs.stop()
        except BrokerFailed as error:
            raise UserError(str(error)) from None
    summary["seconds"] = round(time.monotonic() - started, 1)
    sys.stdout.write(json.dumps(summary) + "\n")
    sound = summary["digest_equal"] and not summary["rows_lost"] and not summary["rows_doubled"]
    return 0 if sound else 1


def _run(config: ChaosConfig, programs: Programs, broker: KafkaBroker, folder: Path) -> Dict[str, Any]:
    """The run with kills, the one without, and what comparing them says."""
    lines = CommandLines(config, broker.bootstrap_servers, folder)
    killed, reference = folder / "checkpoints", folder / "reference"
    plan = draw(config.kills, config.rows, config.seed)
    run = ChaosRun(plan, config.rows, programs, broker, lines, killed, channel_port(), _say)
    audited = run.run()
    _say(f"all {config.kills} kills are over; the same rows once more without any")
    _run_undisturbed(programs, lines, reference)
    ends = [_final_state(path) for path in (killed, reference)]
    unequal = differences(*ends)
    for line in unequal[:MOST_DIFFERENCES]:
        sys.stderr.write(f"the states differ: {line}\n")
    counts = ends[0].groups["audit"]["counts"]
    return {
        "kills": sum(run.kills.values()),
        **{f"kills_{process}": run.kills[process] for process in PROCESSES},
        "kills_at_named_points": run.at_named_points,
        "rows_trained": ends[0].meta["progress"]["rows_trained"],
        "rows_replayed": audited.replayed,
        "rows_lost": config.rows - int(np.count_nonzero(counts[: config.rows])),
        "rows_doubled": int(np.count_nonzero(counts > 1)),
        "digest_equal": not unequal,
    }


def _run_undisturbed(programs: Programs, lines: CommandLines, checkpoints: Path) -> None:
    """A consumer and a trainer of their own over the whole topic."""
    port = channel_port()
    commands: Dict[str, List[str]] = {
        "reference_consumer": lines.consumer(port),
        "reference_trainer": lines.trainer(port, checkpoints),
    }
    for name, command in commands.items():
        programs.start(name, command, lines.environ(name), on_line=_relay if name == "reference_trainer" else None)
    while programs.wait(POLL_SECONDS) != "reference_trainer":
        for name in commands:
            status = programs.status(name)
            if status is not None and (name, status) != ("reference_trainer", 0):
                raise _failure(programs, name, f"ended with status {status}")
        if programs.silence("reference_trainer") > SILENCE_SECONDS:
            raise _failure(programs, "reference_trainer", f"wrote nothing for {SILENCE_SECONDS:g} s")
    if programs.status("reference_trainer") != 0:
        raise _failure(programs, "reference_trainer", f"ended with status {programs.status('reference_trainer')}")
    programs.send_signal("reference_consumer", signal.SIGTERM)


def _final_state(checkpoints: Path) -> Checkpoint:
    checkpoint = CheckpointStore(checkpoints).newest()
    if checkpoint is None:
        raise UserError(f"no checkpoint can be read in {checkpoints}")
    return checkpoint


def _failure(programs: Programs, name: str, what: str) -> UserError:
    for line in programs.tail(name):
        sys.stderr.write(f"  {line}\n")
    return UserError(f"{name} {what}; all it wrote is in {programs.log(name)}")


def _relay(line: str) -> None:
    if " rows " in line and not line.startswith("{"):
        _say(line)


def _say(text: str) -> None:
    sys.stdout.write(f"chaos: {text}\n")
    sys.stdout.flush()
