"""What a network is given, by name: slots of ids, and numbers beside them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, Sequence, Tuple

from mindspore_rec.config import ConfigError
from mindspore_rec.data.slot_schema import SlotSchema


@dataclass(frozen=True)
class NetworkInputs:
    """The inputs of a network: ids int64 [batch, slots], and float32 [batch, numbers] where it takes numbers.

    Attributes:
        slots: names of the columns of the ids.
        numbers: name and width of what lies side by side in the second input; none: there is none.
        second: what that input is called.

    >>> inputs = NetworkInputs(("user", "item"), (("age", 1), ("picture", 3)))
    >>> inputs.chosen(["picture", "user"])
    ((0,), (1, 2, 3))
    """

    slots: Tuple[str, ...]
    numbers: Tuple[Tuple[str, int], ...] = ()
    second: str = "dense"

    @classmethod
    def of_schema(cls, schema: SlotSchema) -> NetworkInputs:
        """Those of a `SlotNetwork`."""
        return cls(schema.sparse, schema.dense)

    @classmethod
    def of_fields(cls, fields: Sequence[str]) -> NetworkInputs:
        """Those of the network of the stream trainer: one id a field, and its weight."""
        return cls(tuple(fields), tuple((name, 1) for name in fields), "weights")

    @property
    def names(self) -> Tuple[str, ...]:
        """Of all that can be given, each once."""
        return tuple(dict.fromkeys((*self.slots, *(name for name, _ in self.numbers))))

    @property
    def places(self) -> Dict[str, Tuple[Tuple[int, ...], Tuple[int, ...]]]:
        """The columns of the first and of the second input that each name stands for."""
        found: Dict[str, Tuple[Tuple[int, ...], Tuple[int, ...]]] = {
            name: ((place,), ()) for place, name in enumerate(self.slots)
        }
        begin = 0
        for name, width in self.numbers:
            found[name] = (found.get(name, ((), ()))[0], tuple(range(begin, begin + width)))
            begin += width
        return found

    @property
    def num_numbers(self) -> int:
        """Columns of the second input."""
        return sum(width for _, width in self.numbers)

    def chosen(self, names: Sequence[str]) -> Tuple[Tuple[int, ...], Tuple[int, ...]]:
        """The columns of both inputs that names stand for, ascending; no names: all.

        Raises:
            ConfigError: there is no such slot.
        """
        places = self.places
        for name in names:
            if name not in places:
                shown = ", ".join(self.names[:20]) + (", ..." if len(self.names) > 20 else "")
                raise ConfigError(f"inference model: slot {name!r} is none of the model's, which are {shown}")
        chosen = [places[name] for name in names or self.names]
        first, second = ({column for place in chosen for column in place[k]} for k in (0, 1))
        return tuple(sorted(first)), tuple(sorted(second))
