"""``python -m mindspore_rec quickstart``: the whole pipeline of examples/online_learning on this machine, once.

A broker, then producer.py, consumer.py and online_train.py as processes of their own, until the trainer has seen
``rows`` rows; then everything is stopped and the last line on stdout is one JSON object.
"""

import contextlib
import json
import os
import sys
import time
from pathlib import Path
from typing import Any, Dict, List, Literal, Optional, Sequence

from pydantic import Field

from mindspore_rec.cli.options import load
from mindspore_rec.cli.processes import Programs
from mindspore_rec.cli.run_folder import channel_port, new_run_folder
from mindspore_rec.config import Section, UserError
from mindspore_rec.data.synthetic import SyntheticStream
from mindspore_rec.metrics import auc
from mindspore_rec.stream.brokers import BROKERS, BrokerFailed

REPOSITORY = Path(__file__).resolve().parents[2]
EXAMPLES = REPOSITORY / "examples" / "online_learning"
METRICS_WINDOW = 100_000
# Keys of the JSON object that producer.py and online_train.py print as their last line.
PRODUCED = ("rows_produced",)
TRAINED = ("rows_trained", "rows_rejected", "auc_first_window", "auc_last_window", "logloss", "samples_per_s")
LEFT = ("checkpoint", "last_window_source_rows")
POLL_SECONDS = 5.0
SILENCE_SECONDS = 120.0
"""The trainer reports every few seconds; after so long without a line something hangs."""


class QuickstartConfig(Section):
    """The quickstart."""

    rows: int = Field(640_000, ge=1_000, le=1_000_000_000, description="rows to produce and train on")
    seed: int = Field(7, ge=0, lt=2**64, description="seed of the synthetic stream")
    broker: Literal["tansu", "kafka"] = Field(
        "tansu", description="Tansu, installed with the package, or Apache Kafka, which needs Java and Maven"
    )
    folder: Optional[str] = Field(
        None, description="new folder for logs and checkpoint; default: run/quickstart-<time>"
    )


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Run the quickstart; the exit status.

    Raises:
        UserError: a part could not be started or failed; its last lines are on stderr by then.
    """
    started = time.monotonic()
    config = load(QuickstartConfig, "Stream synthetic clicks through a broker, a consumer and a trainer, once.", argv)
    if not EXAMPLES.is_dir():
        raise UserError(f"the quickstart runs the programs of the repository, and {EXAMPLES} is missing: use a clone")
    folder = new_run_folder("quickstart", config.folder, REPOSITORY / "run")
    with Programs(folder) as programs:  # from here on a signal waits for programs.wait, the start of a broker included
        try:
            with BROKERS[config.broker](folder / "broker", port=0) as broker:
                _say(f"{broker.name} at {broker.bootstrap_servers}; logs in {_short(folder)}/")
                try:
                    _start(programs, config, broker.bootstrap_servers, folder)
                    _wait_for_trainer(programs)
                finally:
                    programs.stop()
        except BrokerFailed as error:
            raise UserError(str(error)) from None
    summary = _summary(programs, config.seed)
    summary["seconds"] = round(time.monotonic() - started, 1)
    aucs = [_round(summary[key], 4) for key in ("auc_first_window", "auc_last_window", "auc_oracle")]
    _say("done: AUC {} in the first window, {} in the last; the hidden model itself gets {}".format(*aucs))
    sys.stdout.write(json.dumps(summary) + "\n")
    return 0


def commands(config: QuickstartConfig, bootstrap_servers: str, port: int, folder: Path) -> Dict[str, List[str]]:
    """The command line of each program, as a user would type it.

    Args:
        config: of the quickstart.
        bootstrap_servers: where the broker is.
        port: first port of the channel between consumer and trainer.
        folder: of this run.
    """
    broker = ["--bootstrap_servers", bootstrap_servers]
    channel = ["--address", "127.0.0.1", "--port", str(port), "--dataset_name", "criteo", "--num_shards", "1"]
    ends = ["--max_rows", str(config.rows), "--metrics_window", str(min(METRICS_WINDOW, config.rows))]
    # Full windows in turn restore the order of the source, so the last window is one range of source rows.
    ends += ["--max_wait", "0"]
    arguments = {
        "consumer": [*broker, *channel],
        "online_train": [*channel, *ends, "--checkpoint_path", str(folder / "checkpoints")],
        "producer": [*broker, "--limit", str(config.rows), "--seed", str(config.seed)],
    }
    return {name: [sys.executable, str(EXAMPLES / f"{name}.py"), *given] for name, given in arguments.items()}


def oracle_auc(seed: int, first: int, last: int) -> float:
    """AUC of the hidden model itself over rows first..last (both included) of the synthetic stream of ``seed``."""
    stream = SyntheticStream(seed)
    rows = last - first + 1
    return auc(stream.labels(first, rows), stream.probabilities(first, rows))


def _start(programs: Programs, config: QuickstartConfig, bootstrap_servers: str, folder: Path) -> None:
    environ = dict(os.environ)
    environ["PYTHONUNBUFFERED"] = "1"
    environ["PYTHONPATH"] = os.pathsep.join([str(REPOSITORY), *filter(None, [environ.get("PYTHONPATH")])])
    for name, command in commands(config, bootstrap_servers, channel_port(), folder).items():
        programs.start(name, command, environ, on_line=_relay if name == "online_train" else None)
    _say(f"producer, consumer and trainer started, {config.rows} rows to go")


def _wait_for_trainer(programs: Programs) -> None:
    """Returns when the trainer has ended with status 0 and the producer too; any other end is an error."""
    waiting = {"producer", "online_train"}
    while waiting:
        ended = programs.wait(POLL_SECONDS)
        if ended is None and programs.silence("online_train") > SILENCE_SECONDS:
            raise _failure(programs, "online_train", f"wrote nothing for {SILENCE_SECONDS:g} s")
        if ended is not None and (programs.status(ended) != 0 or ended not in waiting):
            raise _failure(programs, ended, f"ended with status {programs.status(ended)}")
        waiting.discard(ended or "")


def _failure(programs: Programs, name: str, what: str) -> UserError:
    for line in programs.tail(name):
        sys.stderr.write(f"  {line}\n")
    return UserError(f"{name}.py {what}; all it wrote is in {_short(programs.log(name))}")


def _result(programs: Programs, name: str, keys: Sequence[str]) -> Dict[str, Any]:
    """The JSON object with these keys that a program prints as its last line."""
    for line in reversed(programs.tail(name)):
        if line.startswith("{"):
            with contextlib.suppress(ValueError):
                found: Dict[str, Any] = json.loads(line)
                if all(key in found for key in keys):
                    return found
    raise _failure(programs, name, f"printed no summary with {', '.join(keys)}")


def _summary(programs: Programs, seed: int) -> Dict[str, Any]:
    """One object of both programs' figures and the oracle's, over the rows of the trainer's last window."""
    produced = _result(programs, "producer", PRODUCED)
    trained = _result(programs, "online_train", (*TRAINED, *LEFT))
    rows = trained["last_window_source_rows"]
    return {
        **{key: produced[key] for key in PRODUCED},
        **{key: _round(trained[key], 6) for key in TRAINED},
        "auc_oracle": _round(oracle_auc(seed, *rows), 6) if rows else None,
        "checkpoint": trained["checkpoint"],
    }


def _round(figure: Any, digits: int) -> Any:
    return round(figure, digits) if isinstance(figure, float) else figure


def _relay(line: str) -> None:
    if not line.startswith("{"):
        _say(line)


def _short(path: Path) -> str:
    here = Path.cwd()
    return str(path.relative_to(here) if here in path.parents else path)


def _say(text: str) -> None:
    sys.stdout.write(f"quickstart: {text}\n")
    sys.stdout.flush()
