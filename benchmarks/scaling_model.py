"""What more ranks bring on a network, from costs measured on one machine: the tables of docs/scaling.md.

    python benchmarks/scaling_model.py

`MEASURED` holds what `scaling.py`, `exchange.py` and `sparse_engine.py` printed; all else follows from the formulas of
the page. Prints Markdown.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Dict, List, Sequence

MAX_ROWS = 2**31 - 1
"""Of a table on one rank."""


@dataclass(frozen=True)
class Rank:
    """What a step costs one rank, weak scaling: each rank has so many rows of its own.

    Attributes:
        rows: of a rank's batch.
        compute_ms: of the step of one process alone: lookup, graph, update.
        sharding_ms: what tables that are spread cost besides: two more searches for distinct ids, copies.
        spread_ms: standard deviation of `compute_ms` from step to step.
        distinct: ids of a rank's batch, each once.
        id_bytes: of an id and its count.
        row_bytes: of the rows of an id, of all tables that share it; its gradients are as many.
        dense_bytes: of the dense parameters.
        output_bytes: of a row's prediction and label, which every rank gets of all rows.
        collectives: round, ids, rows, gradients of two tables, dense sum in two, predictions, labels.
    """

    rows: int
    compute_ms: float
    sharding_ms: float
    spread_ms: float
    distinct: int
    id_bytes: int = 16
    row_bytes: int = 68
    dense_bytes: int = 4 * 1_329_154
    output_bytes: int = 8
    collectives: int = 9


@dataclass(frozen=True)
class Network:
    """Between ranks.

    Attributes:
        gbit: of a rank, each way, per second.
        latency_ms: of a collective of two ranks, in which they tell sizes first.
        message_ms: of each further peer of a collective: made, sent and received.
    """

    gbit: float
    latency_ms: float
    message_ms: float


MEASURED = Rank(rows=4096, compute_ms=416.0, sharding_ms=9.4, spread_ms=13.8, distinct=47_637)
SHARED_MEMORY = Network(gbit=19.2, latency_ms=0.86, message_ms=0.0024)
"""Two ranks of one host, mpirun."""
NETWORKS = {gbit: Network(gbit, latency_ms=0.2, message_ms=0.01) for gbit in (25.0, 100.0)}
"""Latency and cost of a message over TCP are assumed."""
CORES = (1, 16)
SIZES = (8, 64, 512)
TABLE_BYTES = {
    "float32": 4 * 16 * 3 + 4 * 3 + 2 * 22.3,
    "float32, statistics": 4 * 16 * 3 + 4 * 3 + 2 * 38.4,
    "bfloat16": 2 * 16 + 4 * 16 * 2 + 4 * 3 + 2 * 22.3,
}
"""Of an id: a row of 16 with Adam's two slots, one of 1 with FTRL's two, and what `sparse_engine.py` found besides."""


def sent_bytes(rank: Rank, ranks: int) -> Dict[str, float]:
    """Bytes that leave a rank each step, by what they are.

    >>> sum(sent_bytes(MEASURED, 1).values())
    0.0
    """
    others = (ranks - 1) / ranks
    return {
        "ids": others * rank.distinct * rank.id_bytes,
        "rows": others * rank.distinct * rank.row_bytes,
        "gradients": others * rank.distinct * rank.row_bytes,
        "dense": 2 * others * rank.dense_bytes,
        "outputs": float((ranks - 1) * rank.rows * rank.output_bytes),
    }


def step_ms(rank: Rank, network: Network, ranks: int) -> Dict[str, float]:
    """Milliseconds of a step of `ranks` ranks, by part.

    All ranks wait for the slowest: the largest of n normal deviates is about sqrt(2 ln n) standard deviations.
    """
    per_ms = network.gbit * 1e9 / 8 / 1e3
    sent = sent_bytes(rank, ranks)
    several = ranks > 1
    return {
        "compute": rank.compute_ms,
        "sharding": rank.sharding_ms * several,
        "wait": rank.spread_ms * math.sqrt(2 * math.log(ranks)),
        "exchange": (sum(sent.values()) - sent["dense"]) / per_ms,
        "dense": sent["dense"] / per_ms,
        "messages": rank.collectives * (network.latency_ms * several + network.message_ms * max(ranks - 2, 0)),
    }


def efficiency(rank: Rank, network: Network, ranks: int) -> float:
    """Samples/s of all ranks over so many times those of one alone."""
    return rank.compute_ms / sum(step_ms(rank, network, ranks).values())


def faster(rank: Rank, cores: float) -> Rank:
    """A rank of more cores, or of a part of one: what it computes takes so much less; measured for two cores only."""
    return replace(
        rank,
        compute_ms=rank.compute_ms / cores,
        sharding_ms=rank.sharding_ms / cores,
        spread_ms=rank.spread_ms / cores,
    )


def hosts(ids: int, id_bytes: float, host_bytes: int, share: float = 0.8) -> int:
    """Hosts whose memory holds so many ids, of which a table may take a share; a rank each.

    >>> hosts(10**9, 250.0, 256 << 30), hosts(10**10, 1.0, 256 << 30)
    (2, 5)
    """
    return max(math.ceil(ids * id_bytes / (share * host_bytes)), math.ceil(ids / MAX_ROWS))


def variants(rank: Rank) -> Dict[str, Rank]:
    """Ranks whose step is lighter on the network, none of them built; each with all before it."""
    local = replace(rank, output_bytes=0, collectives=7)
    merged = replace(local, collectives=5)
    halves = replace(merged, row_bytes=rank.row_bytes // 2)
    hidden = replace(halves, dense_bytes=0, collectives=3)
    return {
        "as it is": rank,
        "predictions and labels stay on their rank": local,
        "one message for both tables' gradients, the round told with the ids": merged,
        "rows and gradients in 16 bits": halves,
        "dense sum hidden behind the backward pass": hidden,
        "batches of 16,384 a rank": larger_batch(hidden, 4, 3.5),
    }


def larger_batch(rank: Rank, times: int, distinct_times: float) -> Rank:
    """So many times the rows, which have fewer times the distinct ids."""
    return replace(
        rank,
        rows=rank.rows * times,
        compute_ms=rank.compute_ms * times,
        sharding_ms=rank.sharding_ms * distinct_times,
        spread_ms=rank.spread_ms * times,
        distinct=round(rank.distinct * distinct_times),
    )


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> List[str]:
    """Lines of a Markdown table."""
    return [f"| {' | '.join(map(str, row))} |" for row in (head, ["---"] * len(head), *rows)]


def tables() -> Dict[str, List[str]]:
    """The tables of the page by name."""
    fast, slow = faster(MEASURED, CORES[1]), NETWORKS[25.0]
    shared = [(2, 1.0), (4, 0.5)]
    parts = {ranks: step_ms(fast, slow, ranks) for ranks in SIZES}
    return {
        "check": table(
            ["ranks", "cores", "predicted"],
            [
                (ranks, round(ranks * share), f"{efficiency(faster(MEASURED, share), SHARED_MEMORY, ranks):.2f}")
                for ranks, share in shared
            ],
        ),
        "efficiency": table(
            ["cores a rank", "Gbit/s", *map(str, SIZES)],
            [
                (cores, f"{gbit:g}", *(f"{efficiency(faster(MEASURED, cores), network, n):.2f}" for n in SIZES))
                for cores in CORES
                for gbit, network in NETWORKS.items()
            ],
        ),
        "parts": table(
            ["ranks", *parts[SIZES[0]]],
            [(ranks, *(f"{value:.1f}" for value in found.values())) for ranks, found in parts.items()],
        ),
        "variants": table(
            ["with those above it", *map(str, SIZES)],
            [(name, *(f"{efficiency(rank, slow, n):.2f}" for n in SIZES)) for name, rank in variants(fast).items()],
        ),
        "hosts": table(
            ["rows", "bytes an id", *(f"{ids:.0e}".replace("e+", "e") for ids in (10**9, 10**10, 10**11))],
            [
                (name, f"{nbytes:.0f}", *(_memory(ids, nbytes) for ids in (10**9, 10**10, 10**11)))
                for name, nbytes in TABLE_BYTES.items()
            ],
        ),
    }


def _memory(ids: int, nbytes: float) -> str:
    few, many = (hosts(ids, nbytes, size << 30) for size in (1024, 256))
    return f"{ids * nbytes / 1e12:.2f} TB: {many} or {few}"


def main() -> None:
    """Print the tables."""
    for name, lines in tables().items():
        print(f"{name}\n", *lines, "", sep="\n")


if __name__ == "__main__":
    main()
