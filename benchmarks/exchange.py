"""What ranks on one host pay for talking to each other, under each launcher.

    python benchmarks/exchange.py

Two ranks, medians over rounds of: the sum of 5 MB of float32, an all_to_all of 24 MB (12 MB leave each rank), and the
sum of 64 bytes, which is the latency; under mpirun also what each message of a collective costs, made, sent, received
and waited for. Prints one JSON line.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Callable, Dict

import numpy as np
from _machine import machine

from mindspore_rec.cli.processes import Programs
from mindspore_rec.distributed.launchers import dynamic_environments, mpirun_command, without_launcher
from mindspore_rec.distributed.ranks import Ranks, is_scheduler, open_exchange
from mindspore_rec.logs import quiet_mindspore

SIZE = 2
WARM_UP, ROUNDS = 5, 31
LIMIT = 300.0  # seconds
MESSAGES = 64


def milliseconds(call: Callable[[], Any], rounds: int = ROUNDS) -> float:
    """Median, after some rounds not counted."""
    times = []
    for number in range(WARM_UP + rounds):
        start = time.perf_counter()
        call()
        if number >= WARM_UP:
            times.append(1000 * (time.perf_counter() - start))
    return round(statistics.median(times), 3)


def measure(path: Path) -> None:
    """Be a rank; the first writes the times."""
    start = time.perf_counter()
    ranks = Ranks.of_environment()
    exchange = open_exchange(ranks)
    opened = time.perf_counter() - start
    large, small = np.ones(5_000_000 // 4, np.float32), np.ones(16, np.float32)
    parts = [np.ones((24_000_000 // 2 // 64, 16), np.float32) for _ in range(exchange.size)]
    times = {
        "sum_5mb_ms": milliseconds(lambda: exchange.sum(large)),
        "all_to_all_24mb_ms": milliseconds(lambda: exchange.all_to_all(parts)),
        "sum_64b_ms": milliseconds(lambda: exchange.sum(small), 10 * ROUNDS),
        "open_s": round(opened, 2),
    }
    if ranks.launcher == "mpirun":
        times["message_us"] = round(1000 * milliseconds(lambda: swap_small(exchange.rank)) / MESSAGES, 1)
    if exchange.rank == 0:
        path.write_text(json.dumps(times), "utf-8")
    exchange.close()


def swap_small(rank: int) -> None:
    """Send and receive many messages of 16 bytes, as a collective does with as many peers."""
    from mpi4py import MPI

    world, parts = MPI.COMM_WORLD, np.ones((2, MESSAGES, 16), np.uint8)
    requests = [world.Irecv(part, 1 - rank) for part in parts[0]]
    requests += [world.Isend(part, 1 - rank) for part in parts[1]]
    MPI.Request.Waitall(requests)


def run(launcher: str) -> Dict[str, float]:
    """Start the ranks, wait for their times."""
    with tempfile.TemporaryDirectory() as name, Programs(Path(name), grace=5) as programs:
        path = Path(name) / "times.json"
        command = [sys.executable, str(Path(__file__).resolve()), str(path)]
        if launcher == "mpirun":
            programs.start("mpirun", mpirun_command(SIZE, command), without_launcher())
            waiting = {"mpirun"}
        else:
            scheduler, workers = dynamic_environments(SIZE)
            programs.start("scheduler", command, scheduler)
            for rank, environ in enumerate(workers):
                programs.start(f"rank-{rank}", command, environ)
            waiting = {"scheduler", *(f"rank-{rank}" for rank in range(SIZE))}
        deadline = time.monotonic() + LIMIT
        while waiting:
            ended = programs.wait(deadline - time.monotonic())
            if ended is None or programs.status(ended):
                raise SystemExit(f"{launcher}: {ended or 'nothing'} ended: {[*programs.tail(ended or 'rank-0')]}")
            waiting.discard(ended)
        return json.loads(path.read_text("utf-8"))


def main() -> None:
    quiet_mindspore()
    if is_scheduler():
        from mindspore_rec.distributed.framework_exchange import run_scheduler

        run_scheduler()
    elif len(sys.argv) > 1:
        measure(Path(sys.argv[1]))
    else:
        results = {"mpirun": run("mpirun"), "dynamic": run("dynamic")}
        print(json.dumps({"ranks": SIZE, "load": round(os.getloadavg()[0], 1), **results, "machine": machine()}))


if __name__ == "__main__":
    main()
