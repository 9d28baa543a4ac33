"""The same model on one process and on several ranks: how far apart they are after 200 steps of the same rows.

    python benchmarks/parity.py

Trains on one process with batches of 4096, on 2 ranks with 2048 each, on 4 with 1024, and on 2 workers and 2 servers,
each under mpirun and under dynamic networking. Tensors are the dense parameters with their optimizer state and the
tables with theirs, a table counting as one, aligned by id. Prints a JSON line for each layout and a last one.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Dict, List, Tuple

import numpy as np
from _criteo_rows import synthetic_rows
from _machine import machine

from mindspore_rec.stream.brokers import free_port

JOB = Path(__file__).with_name("_ranks_job.py")
BATCH, EXACT_ROWS = 4096, 1024
LAYOUTS: List[Tuple[int, int]] = [(2, 0), (4, 0), (2, 2)]
LAUNCHES = ("mpirun", "dynamic")


def write_rows(folder: Path, rows: int) -> None:
    """Leave rows of the default stream where all ranks can read them."""
    made = synthetic_rows(rows)
    for name, column in (("ids", made.ids), ("weights", made.weights), ("labels", made.labels)):
        np.save(folder / f"{name}.npy", column)


def launch(launcher: str, workers: int, servers: int, arguments: List[str], logs: Path) -> None:
    """Run the ranks of a job to their end."""
    command = [sys.executable, str(JOB), *arguments]
    if launcher:
        ports = ["--sched_port", str(free_port())] if launcher == "dynamic" else []
        sizes = ["--ranks", str(workers), "--server_num", str(servers), "--log_dir", str(logs)]
        launched = [sys.executable, "-m", "mindspore_rec", "launch", "--launcher", launcher, *sizes, *ports]
        command = [*launched, str(JOB), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")


def state_of(folder: Path) -> Dict[str, np.ndarray]:
    """All tensors of a run; a table's rows in the order of their ids."""
    parts = [dict(np.load(path)) for path in sorted(folder.glob("rank-*.npz"))]
    found = {name: array for name, array in parts[0].items() if name.startswith("dense.")}
    for name in [name for name in parts[0] if name.endswith(".ids")]:
        table = name[: -len(".ids")]
        ids = np.concatenate([part[name] for part in parts])
        order = np.argsort(ids)
        found[name] = ids[order]
        found[f"{table}.rows"] = np.concatenate([part[f"{table}.rows"] for part in parts])[order]
    return found


def relative(one: np.ndarray, other: np.ndarray) -> float:
    """max |a - b| / max |a|."""
    largest = float(np.abs(one).max(initial=0.0))
    return float(np.abs(one.astype(np.float64) - other).max(initial=0.0)) / (largest or 1.0)


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument(
        "--exact_rows", type=int, default=EXACT_ROWS, help="of RecModel; 0 shows what Adam makes of noise"
    )
    given = parser.parse_args()
    steps, exact_rows = given.steps, given.exact_rows
    folder = Path(tempfile.mkdtemp(prefix="parity-"))
    worst, worst_auc = 0.0, 0.0
    try:
        write_rows(folder, steps * BATCH)
        runs: List[Tuple[str, int, int]] = [("", 1, 0)]
        runs += [(launcher, *layout) for launcher in LAUNCHES for layout in LAYOUTS]
        alone: Dict[str, np.ndarray] = {}
        auc = 0.0
        for number, (launcher, workers, servers) in enumerate(runs):
            out, report = folder / f"run-{number}", folder / f"run-{number}.json"
            out.mkdir()
            arguments = ["--folder", str(folder), "--out", str(out), "--report", str(report), "--steps", str(steps)]
            arguments += ["--exact_rows", str(exact_rows)]
            launch(launcher, workers, servers, arguments, folder / f"logs-{number}")
            found: Dict[str, Any] = json.loads(report.read_text())
            state = state_of(out)
            shutil.rmtree(out)
            if not launcher:
                alone, auc = state, found["auc"]
            keys = [name for name in alone if name.endswith(".ids")]
            same = state.keys() == alone.keys() and all(np.array_equal(state[name], alone[name]) for name in keys)
            if not same:
                raise SystemExit(f"{launcher} {workers} + {servers}: the tables have other ids than one process has")
            differences = {name: relative(alone[name], state[name]) for name in alone if name not in keys}
            name = max(differences, key=lambda key: differences[key])
            worst, worst_auc = max(worst, differences[name]), max(worst_auc, abs(found["auc"] - auc))
            line = {"launcher": launcher or "alone", "workers": workers, "servers": servers, "auc": found["auc"]}
            line.update(max_rel_diff=differences[name], tensor=name, step_ms=found["step_ms"])
            print(json.dumps(line), flush=True)
    finally:
        shutil.rmtree(folder)
    last = {"steps": steps, "layouts": len(LAYOUTS) + 1, "launches": len(LAUNCHES), "worst_rel_diff": worst}
    print(json.dumps({**last, "worst_auc_diff": worst_auc, "machine": machine()}))


if __name__ == "__main__":
    main()
