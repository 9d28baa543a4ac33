"""Each id lives on one rank: the way of a batch's distinct ids to their owners, and of rows and gradients along it."""

from __future__ import annotations

from typing import List, Sequence

import numpy as np
from numba import njit

from mindspore_rec.distributed.exchange import Exchange
from mindspore_rec.embedding.dedupe import DistinctIds, distinct_ids
from mindspore_rec.embedding.hashing import mix64

_OWNER_SEED = np.uint64(0xD6E8FEB86659FD93)  # another mix than the index of a table has, or its segments fill unevenly


def owners_of(ids: np.ndarray, count: int) -> np.ndarray:
    """Return int32[n], 0 to count - 1: which of `count` owners each of int64[n] ids lives on.

    >>> owners_of(np.array([5, 5, -1]), 1).tolist()
    [0, 0, 0]
    """
    owners = np.empty(ids.size, np.int32)
    _owners(np.ascontiguousarray(ids, np.int64), np.uint64(count), owners)
    return owners


class Route:
    """The distinct ids of a batch on this rank, and those that all ranks ask this one for. Made by all ranks together.

    Args:
        exchange: between the ranks.
        distinct: ids of this rank's part of the batch.
        owners: ranks that own ids.

    Attributes:
        distinct: as given.
        asked: the ids asked for here, each once; `asked.inverse` is by request, in the order of ranks, and counts are
            occurrences over all ranks.
    """

    def __init__(self, exchange: Exchange, distinct: DistinctIds, owners: Sequence[int]) -> None:
        self.distinct = distinct
        self._exchange = exchange
        owner = np.asarray(owners, np.int32)[owners_of(distinct.ids, len(owners))]
        self._order, self._sent = _by_owner(owner, exchange.size)
        named = np.empty((distinct.ids.size, 2), np.int64)
        named[:, 0], named[:, 1] = distinct.ids[self._order], distinct.counts[self._order]
        parts = exchange.all_to_all(self._parts(named))
        self._received = [len(part) for part in parts]
        requests = np.concatenate(parts)
        found = distinct_ids(requests[:, 0])
        counts = np.zeros(found.ids.size, np.int64)
        np.add.at(counts, found.inverse, requests[:, 1])
        self.asked = DistinctIds(found.ids, found.inverse, counts.astype(np.int32))

    def answer(self, values: np.ndarray) -> np.ndarray:
        """Send `values`, [requests, w], back to who asked; return [u, w], what was asked for by this rank."""
        edges = np.cumsum([0, *self._received])
        parts = [values[edges[rank] : edges[rank + 1]] for rank in range(self._exchange.size)]
        answered = np.concatenate(self._exchange.all_to_all(parts))
        ordered = np.empty_like(answered)
        ordered[self._order] = answered
        return ordered

    def correct(self, values: np.ndarray, late: np.ndarray, answered: np.ndarray, wrong: np.ndarray) -> None:
        """Answer some requests anew.

        Args:
            values: [requests, w].
            late: bool[requests], which of them to send.
            answered: [u, w] of the distinct ids here, corrected in place.
            wrong: bool[u], which of them the owners send.
        """
        edges = np.cumsum([0, *self._received])
        parts = [values[begin:end][late[begin:end]] for begin, end in zip(edges, edges[1:])]
        arrived = np.concatenate(self._exchange.all_to_all(parts))
        answered[self._order[wrong[self._order]]] = arrived

    def tell(self, values: np.ndarray) -> np.ndarray:
        """Send `values`, [u, w] of the distinct ids, to their owners; return [requests, w], what this one was told."""
        return np.concatenate(self._exchange.all_to_all(self._parts(values[self._order])))

    def _parts(self, ordered: np.ndarray) -> List[np.ndarray]:
        edges = np.cumsum([0, *self._sent])
        return [ordered[edges[rank] : edges[rank + 1]] for rank in range(self._exchange.size)]


@njit(cache=True, nogil=True)
def _owners(ids, count, owners):  # type: ignore[no-untyped-def]
    for k in range(ids.size):
        upper = mix64(np.uint64(ids[k]) ^ _OWNER_SEED) >> np.uint64(32)
        owners[k] = np.int32((upper * count) >> np.uint64(32))


@njit(cache=True, nogil=True)
def _by_owner(owner, size):  # type: ignore[no-untyped-def]
    """Places sorted by owner, those of one in their order, and how many each has."""
    counts = np.zeros(size, np.int64)
    for k in range(owner.size):
        counts[owner[k]] += 1
    ends = np.cumsum(counts)
    nexts = ends - counts
    order = np.empty(owner.size, np.int64)
    for k in range(owner.size):
        order[nexts[owner[k]]] = k
        nexts[owner[k]] += 1
    return order, counts
