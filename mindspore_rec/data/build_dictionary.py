"""From the runs of pass one to the dictionary: values that occur often enough, numbered field by field.

Ids as mindrec gives them: ``I1 ..`` 0 to dense_dim - 1, then ``OOVC1 ..``, then the values of C1, of C2 and so on, each
field's by falling count, equal counts by the value's bytes.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Callable, List, Sequence, Tuple

import numpy as np

from mindspore_rec.data.count_runs import Run, merge_field
from mindspore_rec.data.statistics import Totals
from mindspore_rec.data.value_counts import CountedValues
from mindspore_rec.features.batch import Int64
from mindspore_rec.features.dictionary_file import DictionaryContent

_SORT_BYTES = 1 << 28


def build_dictionary(
    runs: Sequence[Run],
    totals: Totals,
    slot_dim: int,
    threshold: int,
    memory: int,
    workers: int,
    on_field: Callable[[], object] = lambda: None,
) -> Tuple[DictionaryContent, List[int]]:
    """The dictionary of a data set.

    Args:
        runs: of pass one, all of it.
        totals: what it saw.
        threshold: values that occur fewer times are left to the field's OOV id.
        memory: bytes to use, roughly, beside the dictionary itself.
        workers: threads.
        on_field: called after each field.

    Returns:
        the dictionary, and how many distinct values each field had.
    """

    def merged(field: int) -> Tuple[CountedValues, int]:
        values, distinct = merge_field(runs, field, threshold, memory // workers)
        ordered = values.take(value_order(values))
        on_field()
        return ordered, distinct

    with ThreadPoolExecutor(workers) as pool:
        results = list(pool.map(merged, range(slot_dim)))
    fields, distinct = [result[0] for result in results], [result[1] for result in results]
    dense_dim = len(totals.low)
    low, high = totals.bounds()
    sizes = [len(field) for field in fields]
    starts = np.cumsum([0, *(len(field.values) for field in fields)])
    content = DictionaryContent(
        low=np.array(low, np.float64),
        high=np.array(high, np.float64),
        number_ids=np.arange(dense_dim),
        unknown_ids=np.arange(dense_dim, dense_dim + slot_dim),
        fields=np.repeat(np.arange(slot_dim, dtype=np.int32), sizes),
        ids=np.arange(dense_dim + slot_dim, dense_dim + slot_dim + sum(sizes)),
        counts=np.concatenate([field.counts for field in fields]),
        offsets=np.concatenate([*(field.offsets[:-1] + start for field, start in zip(fields, starts)), starts[-1:]]),
        values=np.concatenate([field.values for field in fields]),
    )
    return content, distinct


def value_order(content: CountedValues) -> Int64:
    r"""int64[m]: indexes of the values by falling count, equal counts by the value's bytes.

    >>> values = np.frombuffer(b"bab\0a", np.uint8)
    >>> order = value_order(CountedValues(np.arange(4), np.array([1, 1, 1, 7]), np.array([0, 1, 2, 4, 5]), values))
    >>> order.tolist()
    [3, 1, 0, 2]
    """
    sizes = np.diff(content.offsets)
    if not len(sizes):
        return np.empty(0, np.int64)
    width = max(1, int(sizes.max()))
    # A few long values: not worth padding all others to their size.
    if width * len(sizes) > max(_SORT_BYTES, 4 * len(content.values)):
        return np.array(sorted(range(len(sizes)), key=partial(_count_and_value, content)), np.int64)
    padded = np.zeros((len(sizes), width), np.uint8)
    padded[np.arange(width) < sizes[:, None]] = content.values
    words = padded.view(f"S{width}")[:, 0]
    return np.lexsort((sizes, words, -content.counts))


def _count_and_value(content: CountedValues, i: int) -> Tuple[int, bytes]:
    return -int(content.counts[i]), content.values[content.offsets[i] : content.offsets[i + 1]].tobytes()
