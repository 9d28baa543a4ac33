"""What more ranks bring on a network, from costs measured on one machine: the tables of docs/scaling.md.

    python benchmarks/scaling_model.py

`MEASURED` holds what `scaling.py`, `exchange.py` and `sparse_engine.py` printed; all else follows from the formulas of
the page. Prints Markdown.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Dict, List, Sequence

COLLECTIVES = 9
"""Of a step: round, ids, rows, gradients of two tables, dense sum in two, outputs, labels."""
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
    """

    rows: int
    compute_ms: float
    sharding_ms: float
    spread_ms: float
    distinct: int
    id_bytes: int = 16
    row_bytes: int = 68
    dense_bytes: int = 4 * 1_328_130
    output_bytes: int = 8


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


MEASURED = Rank(rows=4096, compute_ms=450.0, sharding_ms=20.0, spread_ms=10.0, distinct=48_000)
ETHERNET_25 = Network(25.0, 0.1, 0.01)
ETHERNET_100 = Network(100.0, 0.1, 0.01)


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
        "messages": COLLECTIVES * (network.latency_ms * several + network.message_ms * max(ranks - 2, 0)),
    }


def efficiency(rank: Rank, network: Network, ranks: int) -> float:
    """Samples/s of all ranks over so many times those of one alone."""
    return rank.compute_ms / sum(step_ms(rank, network, ranks).values())


def faster(rank: Rank, cores: int) -> Rank:
    """A rank of more cores: what it computes takes so much less; measured for two only."""
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


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> List[str]:
    """Lines of a Markdown table."""
    return [f"| {' | '.join(map(str, row))} |" for row in (head, ["---"] * len(head), *rows)]
