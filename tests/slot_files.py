"""Files of slot text whose labels can be learned, for the tests of jobs."""

from __future__ import annotations

from pathlib import Path
from typing import Sequence

import numpy as np

VALUES = 20  # that a slot has


def write_rows(
    path: Path, rows: int, slots: Sequence[str], seed: int = 0, dense: int = 0, name_first: bool = True
) -> None:
    """Rows of one or two ids a slot; the first of the slots is the label, which the ids of the second decide."""
    rng = np.random.default_rng(seed)
    label, *sparse = slots
    lines = []
    for _ in range(rows):
        first = int(rng.integers(1, VALUES))
        pairs = [(label, str(int(first % 2 == 0)))]
        pairs += [("dense_var", f"{value:.3f}") for value in rng.random(dense)]
        pairs += [(sparse[0], str(first))]
        pairs += [(slot, str(rng.integers(1, VALUES))) for slot in sparse[1:] for _ in range(rng.integers(1, 3))]
        lines.append(" ".join(f"{a}:{b}" if name_first else f"{b}:{a}" for a, b in pairs))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", "utf-8")
