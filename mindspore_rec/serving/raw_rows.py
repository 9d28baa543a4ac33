"""Raw rows of requests as the network takes them, made by the code that makes the rows of training."""

from __future__ import annotations

import json
from typing import Any, Dict, List, Mapping, Protocol, Sequence, Union

import numpy as np

from mindspore_rec.config import UserError
from mindspore_rec.data.slot_schema import SlotSchema
from mindspore_rec.embedding.bags import Bags
from mindspore_rec.features.batch import REASONS, Features
from mindspore_rec.features.engine import FeatureEngine
from mindspore_rec.serving.data_rows import NetworkRows

#: Text of a row, a list of its fields, or an object of them by name; JSON gives no other types than these hold.
RawRow = Union[str, bytes, Sequence[Any], Mapping[str, Any]]
_MOST_SHOWN = 80


class RowError(UserError):
    """A raw row that cannot be read.

    Attributes:
        row: its number among the rows of the request, from 0.
        reason: what is wrong with it.
    """

    def __init__(self, row: int, reason: str) -> None:
        super().__init__(f"row {row}: {reason}")
        self.row, self.reason = row, reason


class RowReader(Protocol):
    """Reads raw rows."""

    def read(self, rows: Sequence[RawRow]) -> NetworkRows:
        """Return the rows as the network in training takes them.

        Raises:
            RowError: one cannot be read.
        """


class FieldRows:
    """Rows of a feature spec: text of tab-separated fields, or JSON; with the label, which has no say, or without it.

    Args:
        engine: of the spec.

    >>> from mindspore_rec.config import FeatureConfig
    >>> from mindspore_rec.features.engine import make_engine
    >>> reader = FieldRows(make_engine(FeatureConfig(dense_dim=1, slot_dim=1)))
    >>> ids, weights = reader.read(["3\\tblue", [3, "blue"], {"C1": "blue", "I1": 3}, "1\\t3\\tblue"])
    >>> len(np.unique(ids[:, 1])), [f"{weight:.2f}" for weight in np.unique(weights[:, 0])]
    (1, ['1.39'])
    """

    def __init__(self, engine: FeatureEngine) -> None:
        self._engine = engine
        spec = engine.spec
        self._fields = spec.num_fields
        names = [f"I{k + 1}" for k in range(spec.dense_dim)] + [f"C{k + 1}" for k in range(spec.slot_dim)]
        self._places = {name: place for place, name in enumerate(names)}

    def read(self, rows: Sequence[RawRow]) -> NetworkRows:
        """Return int64 [n, fields] ids and float32 [n, fields] weights."""
        lines = [self._line(number, row) for number, row in enumerate(rows) if isinstance(row, (str, bytes))]
        if len(lines) == len(rows):
            return self._of_lines(lines, range(len(rows)))
        ids = np.empty((len(rows), self._fields), np.int64)
        weights = np.empty(ids.shape, np.float32)
        text = [number for number, row in enumerate(rows) if isinstance(row, (str, bytes))]
        other = [number for number, row in enumerate(rows) if not isinstance(row, (str, bytes))]
        if text:
            ids[text], weights[text] = self._of_lines(lines, text)
        messages = [self._message(number, rows[number]) for number in other]
        features = self._engine.transform(messages, "json")
        _refuse([other[number] for number in features.reject_message.tolist()], features, "JSON")
        ids[other], weights[other] = features.ids, features.weights
        return NetworkRows(ids, weights)

    def _of_lines(self, lines: List[bytes], numbers: Sequence[int]) -> NetworkRows:
        features = self._engine.transform([b"".join(lines)], "block")
        _refuse([numbers[number] for number in features.reject_row.tolist()], features, "text")
        return NetworkRows(features.ids, features.weights)

    def _line(self, number: int, row: Union[str, bytes]) -> bytes:
        line = (row.encode() if isinstance(row, str) else bytes(row)).rstrip(b"\r\n")
        fields = line.count(b"\t") + 1
        if fields == self._fields + 1:
            line = line.partition(b"\t")[2]
        elif fields != self._fields:
            raise RowError(number, f"{fields} tab-separated fields, expected {self._fields} (or the label before them)")
        if b"\n" in line:
            raise RowError(number, "a line break within the row")
        return b"0\t" + line + b"\n"

    def _message(self, number: int, row: object) -> bytes:
        if isinstance(row, Mapping):
            fields: List[Any] = [None] * self._fields
            for name, value in row.items():
                if name not in self._places:
                    raise RowError(number, f"field {str(name)[:_MOST_SHOWN]!r}: expected names from {self._named()}")
                fields[self._places[name]] = value
        elif isinstance(row, (list, tuple)):
            fields = list(row[1:] if len(row) == self._fields + 1 else row)
            if len(fields) != self._fields:
                raise RowError(number, f"{len(row)} fields, expected {self._fields} (or the label before them)")
        else:
            raise RowError(number, f"{type(row).__name__}, expected text, a list of fields, or an object of them")
        try:
            return json.dumps([0, *fields]).encode()
        except (TypeError, ValueError) as error:
            raise RowError(number, str(error)) from None

    def _named(self) -> str:
        names = list(self._places)
        return f"{names[0]} to {names[-1]}"


class SlotObjects:
    """Rows of slots as objects: ``{"user": [3, 5], "item": 7, "age": 0.5}``, ids by slot and numbers by name.

    Args:
        schema: of the slots.

    >>> reader = SlotObjects(SlotSchema("click", ("user", "item"), (("age", 1),)))
    >>> ids, numbers = reader.read([{"user": [3, 5], "age": 0.5}])
    >>> ids.ids.tolist(), ids.offsets.tolist(), numbers.tolist()
    ([3, 5], [0, 2, 2], [[0.5]])
    """

    def __init__(self, schema: SlotSchema) -> None:
        self._schema = schema
        self._known = {*schema.sparse, *(name for name, _ in schema.dense), schema.label}

    def read(self, rows: Sequence[RawRow]) -> NetworkRows:
        """Return bags of the ids, and float32 [n, d] of the numbers where the model takes any."""
        ids: List[int] = []
        counts = [0]
        numbers = np.zeros((len(rows), self._schema.dense_dim), np.float32)
        for number, row in enumerate(rows):
            if not isinstance(row, Mapping):
                raise RowError(number, f"{type(row).__name__}, expected an object of slots")
            for name in row.keys() - self._known:
                raise RowError(number, f"slot {str(name)[:_MOST_SHOWN]!r} is none of the model's")
            for slot in self._schema.sparse:
                ids.extend(_ids(number, slot, row.get(slot)))
                counts.append(len(ids))
            begin = 0
            for name, width in self._schema.dense:
                numbers[number, begin : begin + width] = _numbers(number, name, width, row.get(name))
                begin += width
        found = np.array(ids, np.uint64).view(np.int64)
        bags = Bags(len(self._schema.sparse), found, np.array(counts, np.int64), None)
        return NetworkRows(bags, numbers if self._schema.dense_dim else None)


def _ids(row: int, slot: str, value: object) -> List[int]:
    given = [] if value is None else value if isinstance(value, (list, tuple)) else [value]
    for one in given:
        if not isinstance(one, int) or isinstance(one, bool) or not 0 <= one < 1 << 64:
            raise RowError(row, f"slot {slot!r}: {str(one)[:_MOST_SHOWN]!r}, expected ids from 0 to 2^64 - 1")
    return list(given)


def _numbers(row: int, name: str, width: int, value: object) -> np.ndarray:
    given = value if isinstance(value, (list, tuple)) else [value]
    if len(given) != width:
        raise RowError(row, f"slot {name!r}: expected {width} numbers, got {len(given)}")
    try:
        found = np.array(given, np.float32)
    except (TypeError, ValueError):
        raise RowError(row, f"slot {name!r}: expected {width} numbers") from None
    if not np.isfinite(found).all():
        raise RowError(row, f"slot {name!r}: expected finite numbers")
    return found


def _refuse(numbers: List[int], features: Features, kind: str) -> None:
    if numbers:
        first = int(np.argmin(numbers))
        raise RowError(numbers[first], _reasons(kind)[REASONS[int(features.reject_reason[first])]])


def _reasons(kind: str) -> Dict[str, str]:
    return {
        "columns": f"{kind} with another number of fields",
        "label": "a label that is neither 0 nor 1",
        "number": "a number field that holds no number",
        "non-finite": "a number that is not finite",
        "utf-8": "text that is no UTF-8",
        "json": "values that are neither numbers, text nor null",
    }
