"""Which slots of slot text are read, and as what."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import Mapping, Tuple

from mindspore_rec.config import ConfigError

MAX_SLOTS = 10_000
MAX_DENSE = 10_000


@dataclass(frozen=True)
class SlotSchema:
    """The slots of a data set. Others that its rows hold are passed over.

    Attributes:
        label: slot with the label.
        sparse: names of the slots with ids, in the order of ``SlotRows``.
        dense: name and width of the slots with numbers, in the order of the columns of ``SlotRows.dense``.

    Raises:
        ConfigError: a name that is empty, not printable, has a space or colon, or occurs twice; a width below 1; too
            many slots or numbers.

    Example:
        >>> schema = SlotSchema.from_keys("click 1 2 3", "dense_var:13")
        >>> schema.label, schema.sparse, schema.dense, schema.dense_dim
        ('click', ('1', '2', '3'), (('dense_var', 13),), 13)
    """

    label: str
    sparse: Tuple[str, ...]
    dense: Tuple[Tuple[str, int], ...] = ()

    def __post_init__(self) -> None:
        names = self.names
        for name in names:
            if not name or not name.isprintable() or " " in name or ":" in name:
                raise ConfigError(f"slot {name!r}: expected a printable name without spaces and colons")
        for name, times in Counter(names).items():
            if times > 1:
                raise ConfigError(f"slot {name!r}: is there twice, expected different slots")
        if not 1 <= len(self.sparse) + len(self.dense) <= MAX_SLOTS:
            raise ConfigError(f"{len(names) - 1} slots beside the label, expected 1 to {MAX_SLOTS}")
        for name, width in self.dense:
            if width < 1:
                raise ConfigError(f"dense_slots: {name}:{width}, expected a width of at least 1")
        if self.dense_dim > MAX_DENSE:
            raise ConfigError(f"dense_slots: {self.dense_dim} numbers a row, expected at most {MAX_DENSE}")

    @property
    def names(self) -> Tuple[str, ...]:
        """The label, the sparse slots and the dense ones."""
        return (self.label, *self.sparse, *(name for name, _ in self.dense))

    @cached_property
    def dense_dim(self) -> int:
        """Numbers in a row."""
        return sum(width for _, width in self.dense)

    @cached_property
    def places(self) -> Mapping[str, int]:
        """Place of each sparse slot among the sparse ones."""
        return {name: place for place, name in enumerate(self.sparse)}

    @cached_property
    def columns(self) -> Mapping[str, slice]:
        """Columns of each dense slot in ``SlotRows.dense``."""
        ends = accumulate(width for _, width in self.dense)
        return {name: slice(end - width, end) for (name, width), end in zip(self.dense, ends)}

    @classmethod
    def from_keys(cls, sparse_slots: str, dense_slots: str = "") -> SlotSchema:
        """Of the keys ``sparse_slots`` (names, the label first) and ``dense_slots`` (``name:width``), space-separated.

        Raises:
            ConfigError: a key names no slots, or as no schema may.
        """
        label, *sparse = sparse_slots.split() or [""]
        dense = []
        for text in dense_slots.split():
            name, colon, width = text.rpartition(":")
            if not colon or not width.isascii() or not width.isdigit() or len(width) > 5:
                raise ConfigError(f"dense_slots: {text!r}, expected name:width such as dense_var:13")
            dense.append((name, int(width)))
        if not label:
            raise ConfigError("sparse_slots: empty, expected the label's slot and those of the features")
        return cls(label, tuple(sparse), tuple(dense))
