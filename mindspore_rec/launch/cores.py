"""Which cores of a machine each of its ranks computes on.

MindSpore starts a thread for each core a process may use: unbound, two ranks on two cores would be four threads that
take turns. A rank that keeps to its share has as many threads as that, and finds its data in its own cache.
"""

from __future__ import annotations

from typing import Dict, List, Mapping, Sequence, Set

VARIABLE = "MSREC_RANK_CORES"


def shares(ranks: Sequence[int], cores: Sequence[int]) -> Dict[int, List[int]]:
    """Deal out cores, as evenly as can be. Several ranks share one core where that goes even.

    Args:
        ranks: those of this machine that compute at the same time.
        cores: of this machine.

    Returns:
        The cores of each rank; nothing where some cores would have more ranks than others.

    >>> shares([4, 5], [0, 1, 2, 3]), shares([0, 1, 2], [0, 1])
    ({4: [0, 1], 5: [2, 3]}, {})
    >>> shares([0, 1, 2, 3], [6, 7])
    {0: [6], 1: [6], 2: [7], 3: [7]}
    """
    if len(ranks) > len(cores):
        each, rest = divmod(len(ranks), len(cores))
        return {} if rest else {rank: [cores[k // each]] for k, rank in enumerate(ranks)}
    edges = [len(cores) * k // len(ranks) for k in range(len(ranks) + 1)]
    return {rank: list(cores[begin:end]) for rank, begin, end in zip(ranks, edges, edges[1:])}


def as_text(dealt: Mapping[int, Sequence[int]]) -> str:
    """Shares, as the environment of every rank holds them.

    >>> as_text({4: [0, 1], 5: [2, 3]})
    '4:0,1 5:2,3'
    """
    return " ".join(f"{rank}:{','.join(map(str, cores))}" for rank, cores in dealt.items())


def share_of(rank: int, text: str) -> Set[int]:
    """The cores of a rank, none where it has no share.

    >>> sorted(share_of(5, "4:0,1 5:2,3")), share_of(6, "")
    ([2, 3], set())
    """
    dealt = dict(word.split(":", 1) for word in text.split())
    return {int(core) for core in dealt[str(rank)].split(",")} if str(rank) in dealt else set()
