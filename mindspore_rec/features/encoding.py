"""From parsed fields to ids and weights: what all engines share once a row is split."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional, Sequence

import numpy as np
from numba import njit

from mindspore_rec.features.batch import Float32, Float64, Int64, UInt32, UInt64
from mindspore_rec.features.dictionary import Dictionary, dictionary_seeds
from mindspore_rec.features.hashing import field_seeds, hash_values
from mindspore_rec.features.id_table import IdTable, lookup
from mindspore_rec.features.numeric import NumberScaling, scaling_of
from mindspore_rec.features.spec import FeatureSpec
from mindspore_rec.features.words import Whole


@dataclass(frozen=True, eq=False)
class Encoding:
    """The id rule and number scaling of a spec, as arrays.

    Attributes:
        spec: the spec.
        scaling: of numbers.
        number_ids: int64[dense_dim], id of each number field.
        seeds: uint32[slot_dim], hash seed of each category field.
        table: ids of hashes under rule dict-v1; under hash-v1 the empty table, and the hash is the id.
    """

    spec: FeatureSpec
    scaling: NumberScaling
    number_ids: Int64
    seeds: UInt32
    table: IdTable

    @property
    def has_table(self) -> bool:
        """Whether ids come from the table."""
        return self.spec.id_rule == "dict-v1"

    def column_ids(self, values: Sequence[bytes], field: int) -> Int64:
        """int64[n] ids of n values of one category field (0 to slot_dim - 1)."""
        hashes = hash_values(values, self.seeds[field : field + 1])
        if self.has_table:
            table = self.table
            first, mask, unknown = table.first[field], table.mask[field], table.unknown[field]
            return _lookup_column(table.entries, first, mask, unknown, hashes)
        return hashes.view(np.int64)

    def row_ids(self, values: Sequence[bytes]) -> Int64:
        """int64[num_fields] ids of a row with these ``slot_dim`` category values."""
        hashes = hash_values(values, self.seeds)
        if self.has_table:
            table = self.table
            categories = _lookup_row(table.entries, table.first, table.mask, table.unknown, hashes)
        else:
            categories = hashes.view(np.int64)
        return np.concatenate((self.number_ids, categories))

    def row_weights(self, numbers: Float64) -> Float32:
        """float32[num_fields] weights of a row with these float64[dense_dim] numbers; NaN is a missing one."""
        weights = np.ones(self.spec.num_fields, np.float32)
        for field in range(self.spec.dense_dim):
            weights[field] = self.scaling.column(numbers[field : field + 1], field)[0]
        return weights


@njit(cache=True, nogil=True)
def _lookup_column(entries: UInt64, first: Whole, mask: np.uint64, unknown: Whole, hashes: UInt64) -> Int64:
    ids = np.empty(len(hashes), np.int64)
    for i in range(len(hashes)):
        ids[i] = lookup(entries, first, mask, unknown, hashes[i])
    return ids


@njit(cache=True, nogil=True)
def _lookup_row(entries: UInt64, first: Int64, mask: UInt64, unknown: Int64, hashes: UInt64) -> Int64:
    ids = np.empty(len(hashes), np.int64)
    for i in range(len(hashes)):
        ids[i] = lookup(entries, first[i], mask[i], unknown[i], hashes[i])
    return ids


def make_encoding(spec: FeatureSpec, dictionary: Optional[Dictionary]) -> Encoding:
    """The encoding of a spec; its dictionary under rule dict-v1, None under hash-v1."""
    if dictionary is None:
        seeds = field_seeds(spec.hash_seed, spec.num_fields)
        # A number field is one id, that of the empty string, with the number as its weight.
        number_ids = hash_values([b""] * spec.dense_dim, seeds).view(np.int64)
        zeros = np.zeros(spec.dense_dim, np.float64)
        return Encoding(spec, scaling_of(spec, zeros, zeros), number_ids, seeds[spec.dense_dim :], IdTable.empty())
    scaling = scaling_of(spec, dictionary.low, dictionary.high)
    return Encoding(spec, scaling, dictionary.number_ids, dictionary_seeds(spec.slot_dim), dictionary.table)
