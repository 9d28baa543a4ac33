"""Messages of a partition to rows: one call of the feature engine for each run of messages of the same format."""

from __future__ import annotations

from itertools import groupby
from typing import Iterator, List, NamedTuple, Sequence

import numpy as np

from mindspore_rec.features.batch import COLUMNS, REASONS, Features
from mindspore_rec.features.engine import FeatureEngine
from mindspore_rec.features.reference import split_rows
from mindspore_rec.stream.cutter import Chunk, chunk_of
from mindspore_rec.stream.messages import MAX_ROWS, Message, MessageInfo, count_lines, describe

TOO_LONG = "block of too many rows"


class Reject(NamedTuple):
    """A row that is no row of the data set, as dead letters hold it."""

    offset: int
    row: int
    reason: str
    raw: bytes


class Transformed(NamedTuple):
    """Rows of consecutive messages, and those of them that were rejected."""

    chunk: Chunk
    rejects: List[Reject]


def transform(engine: FeatureEngine, messages: Sequence[Message]) -> Iterator[Transformed]:
    """The rows of messages of one partition, in order. Never fails, whatever the messages hold.

    A block of more than ``MAX_ROWS`` lines counts as one rejected row.
    """
    described = [(message, describe(message)) for message in messages]
    for form, pairs in groupby(described, key=lambda pair: pair[1].format):
        run = list(pairs)
        for oversized, part in groupby(run, key=lambda pair: form == "block" and _oversized(pair[0])):
            found, infos = (list(items) for items in zip(*part))
            yield _one_run(engine, found, infos, form, oversized)


def _one_run(
    engine: FeatureEngine, messages: List[Message], infos: List[MessageInfo], form: str, oversized: bool
) -> Transformed:
    if oversized:
        chunk = chunk_of(messages, infos, _all_rejected(engine, len(messages)))
        return Transformed(chunk, [Reject(message.offset, 0, TOO_LONG, message.value) for message in messages])
    features = engine.transform([message.value for message in messages], form)
    return Transformed(chunk_of(messages, infos, features), list(_rejects(messages, features, form)))


def _rejects(messages: Sequence[Message], features: Features, form: str) -> Iterator[Reject]:
    reasons = zip(features.reject_message.tolist(), features.reject_row.tolist(), features.reject_reason.tolist())
    for index, rejects in groupby(reasons, key=lambda reject: reject[0]):
        rows = split_rows(messages[index].value, form)
        for _, row, reason in rejects:
            yield Reject(messages[index].offset, row, REASONS[reason], rows[row])


def _oversized(message: Message) -> bool:
    return count_lines(message.value) > MAX_ROWS


def _all_rejected(engine: FeatureEngine, count: int) -> Features:
    """Features of messages that hold one rejected row each."""
    empty = engine.transform([], "block")
    index = np.arange(count, dtype=np.int32)
    return Features(
        empty.ids,
        empty.weights,
        empty.labels,
        empty.message,
        empty.row,
        rows_per_message=np.ones(count, np.int32),
        reject_message=index,
        reject_row=np.zeros(count, np.int32),
        reject_reason=np.full(count, COLUMNS, np.uint8),
    )
