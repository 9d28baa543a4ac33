"""The sample data in the folders of the models, as they were drawn: ``python -m tests.models.sample_rows`` writes them.

All are synthetic. Half a day is a folder, so that the same files serve jobs over fixed files and jobs by passes.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, Callable, Dict, List

import numpy as np

from mindspore_rec.config import SkipGramConfig
from mindspore_rec.data.skip_grams import write_rows
from mindspore_rec.models.model_file import PACKAGE

HALVES = {"20190720/0000/part-0": 160, "20190720/1200/part-0": 80}  # rows to train on and others
TOPICS = (
    "apple pear plum cherry grape melon fig lemon",
    "hammer saw drill pliers wrench chisel file screw",
    "river lake sea pond stream brook bay creek",
)
SKIP_GRAMS: Dict[str, Any] = {"window": 2, "negatives": 2, "min_count": 1}


def files() -> Dict[Path, bytes]:
    """The content of each file."""
    halves: Dict[str, Callable[[int, np.random.Generator], List[str]]] = {
        "rank/sample_data": clicks,
        "rank/slot_dnn/sample_data": feasigns,
        "recall/ncf/sample_data": ratings,
        "recall/dssm/sample_data": searches,
    }
    found = {
        PACKAGE / folder / name: lines_of(draw(count, np.random.default_rng([number, count])))
        for number, (folder, draw) in enumerate(halves.items())
        for name, count in HALVES.items()
    }
    text = lines_of(sentences(24, np.random.default_rng(9)))
    folder = PACKAGE / "recall/word2vec/sample_data"
    return {**found, folder / "text.txt": text, folder / "rows/part-0": skip_grams(text)}


def lines_of(rows: List[str]) -> bytes:
    return "".join(f"{row}\n" for row in rows).encode()


def drawn(log_odds: float, rng: np.random.Generator) -> int:
    return int(rng.random() < 1 / (1 + np.exp(-log_odds)))


def clicks(count: int, rng: np.random.Generator) -> List[str]:
    """26 slots of four values and 13 numbers, as the rows of Criteo have; a few of them matter, two only together."""
    rows = []
    for _ in range(count):
        values, numbers = rng.integers(0, 4, 26), np.round(rng.random(13), 2)
        odds = 2 * (values[0] - 1.5) - 2 * (values[7] - 1.5) + 2 * (numbers[2] - 0.5)
        odds += 1 if (values[3] + values[20]) % 2 else -1
        tokens = [f"click:{drawn(odds, rng)}", *(f"dense_var:{number:g}" for number in numbers)]
        rows.append(" ".join(tokens + [f"{slot + 1}:{1000 * (slot + 1) + value}" for slot, value in enumerate(values)]))
    return rows


def feasigns(count: int, rng: np.random.Generator) -> List[str]:
    """Some of the slots 2 to 301 with some values each; the first two slots say most of the label."""
    pool = np.random.default_rng(0).integers(1, 2**64, (302, 6), np.uint64)
    rows = []
    for _ in range(count):
        slots = np.sort(np.r_[2, 3, rng.choice(np.arange(4, 302), 8, replace=False)])
        chosen = [rng.choice(6, rng.integers(1, 4), replace=False) for _ in slots]
        odds = 1.2 * sum((chosen[0] < 3) * 2 - 1) - 1.2 * sum((chosen[1] < 3) * 2 - 1)
        tokens = [f"{pool[slot, value]}:{slot}" for slot, values in zip(slots, chosen) for value in values]
        rows.append(" ".join([f"{drawn(odds, rng)}:1", *tokens]))
    return rows


def ratings(count: int, rng: np.random.Generator) -> List[str]:
    """Users and items of two tastes, most of what is liked being of one's own."""
    pairs = rng.integers(1, 9, (count, 2))
    return [f"label:{drawn(4 * ((user + item) % 2) - 2, rng)} user:{user} item:{item}" for user, item in pairs.tolist()]


def searches(count: int, rng: np.random.Generator) -> List[str]:
    """Words of queries and documents, both of one of four topics; a match is of the same."""
    rows = []
    for _ in range(count):
        query, other = rng.integers(0, 4, 2)
        match = int(rng.random() < 0.5)
        doc = query if match else (query + 1 + other % 3) % 4
        words = [f"query:{100 * (query + 1) + word}" for word in rng.choice(8, 2, replace=False)]
        words += [f"doc:{100 * (doc + 1) + word}" for word in rng.choice(8, 4, replace=False)]
        rows.append(" ".join([f"label:{match}", *words]))
    return rows


def sentences(count: int, rng: np.random.Generator) -> List[str]:
    """Words of one of the topics."""
    return [" ".join(rng.choice(TOPICS[number % len(TOPICS)].split(), 6, replace=False)) for number in range(count)]


def skip_grams(text: bytes) -> bytes:
    """What `python -m mindspore_rec skip-grams` makes of a text."""
    with tempfile.TemporaryDirectory() as folder:
        path, rows = Path(folder) / "text.txt", Path(folder) / "rows"
        path.write_bytes(text)
        write_rows(SkipGramConfig(text_file=str(path), rows_file=str(rows), **SKIP_GRAMS))
        return rows.read_bytes()


if __name__ == "__main__":
    for path, content in files().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
