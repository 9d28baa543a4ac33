"""What a second rank brings: samples/s of two ranks over twice those of one, each rank pinned to one core.

    python benchmarks/scaling.py [--runs 2] [--rounds 3] [--steps 5]

The default model, 4096 rows a rank and step, fed from memory, staleness 0. In each job one rank alone and all together
train in turn; an efficiency is the median over these rounds of the ratio within one. Jobs of two ranks under both
launches alternate with one process that may use all cores, which also tells what `exact_rows` costs; one job has four
ranks, one two that share all cores. `step_ms` splits the time of a step by a run in which ranks meet before they talk,
so that waiting is told from talking. Prints a JSON line for each job and a last one.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Dict, List, Tuple

from _machine import machine
from parity import write_rows

from mindspore_rec.config import ModelConfig
from mindspore_rec.stream.brokers import free_port

RANK = Path(__file__).with_name("_scaling_rank.py")
BATCHES = 48
"""In memory; they are trained over and over."""
Found = Dict[str, List[Dict[str, Any]]]


def job(launcher: str, ranks: int, arguments: List[str], folder: Path, *options: str) -> Dict[str, Any]:
    """Run ranks to their end, launched with options; what the first one found."""
    report = folder / "report.json"
    program = [str(RANK), "--folder", str(folder), "--report", str(report), *arguments]
    command = [sys.executable, *program]
    if launcher != "alone":
        port = ["--sched_port", str(free_port())] if launcher == "dynamic" else []
        own = ["--launcher", launcher, "--ranks", str(ranks), "--log_dir", str(folder / "logs"), *port, *options]
        command = [sys.executable, "-m", "mindspore_rec", "launch", *own, *program]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    found: Dict[str, Any] = json.loads(report.read_text("utf-8"))
    line = {"launcher": " ".join([launcher, *options]), "ranks": ranks, **rounded(found)}
    print(json.dumps(line), flush=True)
    return found


def rounded(found: Any) -> Any:
    """Figures as they are printed."""
    if isinstance(found, dict):
        return {name: rounded(value) for name, value in found.items()}
    if isinstance(found, list):
        return [rounded(value) for value in found]
    return round(found, 1) if isinstance(found, float) else found


def median(jobs: List[Dict[str, Any]], name: str) -> float:
    """Over the rounds of jobs."""
    return statistics.median(value for found in jobs for value in found[name])


def efficiency(jobs: List[Dict[str, Any]], ranks: int) -> float:
    """Median over rounds of the speed of all ranks over so many times that of one."""
    pairs = [pair for found in jobs for pair in zip(found["other"], found["alone"])]
    return round(statistics.median(together / (ranks * alone) for together, alone in pairs), 3)


def split(jobs: List[Dict[str, Any]], step: str) -> Dict[str, float]:
    """Milliseconds of a step by part, of the job where they are fewest: others met disturbances."""
    parts: Dict[str, float] = min((found["step_ms"][step] for found in jobs), key=lambda parts: sum(parts.values()))
    return rounded(parts)


def measure(given: argparse.Namespace, folder: Path) -> Dict[str, Any]:
    """Run all jobs."""
    write_rows(folder, BATCHES * ModelConfig().batch_size)
    arguments = ["--rounds", str(given.rounds), "--steps", str(given.steps)]
    kinds: List[Tuple[str, int]] = [("alone", 1), ("mpirun", 2), ("dynamic", 2)]
    found: Found = {name: [] for name, _ in kinds}
    for _ in range(given.runs):
        for launcher, ranks in kinds:
            found[launcher].append(job(launcher, ranks, arguments, folder))
    cores = len(os.sched_getaffinity(0))
    four = [job("mpirun", 4, arguments, folder)]
    unbound = [job("mpirun", 2, arguments, folder, "--pin_cores", "false")]
    pinned = all(one["cores"] == max(1, cores // 2) for name in ("mpirun", "dynamic") for one in found[name])
    if not pinned:
        raise SystemExit(f"{cores} cores: expected two or more, for two ranks to keep to their share")
    one, unpinned = median(found["mpirun"] + found["dynamic"], "alone"), median(found["alone"], "alone")
    return {
        "efficiency_mpi": efficiency(found["mpirun"], 2),
        "efficiency_dynamic": efficiency(found["dynamic"], 2),
        "samples_per_s_1": round(one),
        "samples_per_s_2": round(median(found["mpirun"], "other")),
        "samples_per_s_2_dynamic": round(median(found["dynamic"], "other")),
        "samples_per_s_2_not_pinned": round(median(unbound, "other")),
        "samples_per_s_4": round(median(four, "other")),
        "unpinned_samples_per_s": round(unpinned),
        "pinned_ratio": round(one / unpinned, 3),
        "exact_rows_samples_per_s": round(median(found["alone"], "other")),
        "bytes_per_sample": rounded(found["mpirun"][0]["bytes_per_sample"]),
        "bytes_per_sample_4": rounded(four[0]["bytes_per_sample"]),
        "distinct_ids": round(found["mpirun"][0]["distinct_ids"]),
        "spread_ms": round(min(one["spread_ms"] for one in found["mpirun"]), 1),
        "step_ms": {
            "alone": split(found["mpirun"] + found["dynamic"], "alone"),
            **{name: split(found[name], "together") for name in ("mpirun", "dynamic")},
        },
    }


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=2, help="jobs of each kind")
    parser.add_argument("--rounds", type=int, default=3, help="of a job")
    parser.add_argument("--steps", type=int, default=5, help="of a round, the first is not counted")
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="scaling-"))
    try:
        found = measure(given, folder)
    finally:
        shutil.rmtree(folder)
    print(json.dumps({**found, "load": round(os.getloadavg()[0], 1), "machine": machine()}))


if __name__ == "__main__":
    main()
