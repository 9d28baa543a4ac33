"""A network that is given rows of embeddings in place of ids: what is exported, without any table.

The rows of all tables for a slot lie side by side: in place of ids int64 [batch, slots] the network gets float32
[batch, slots, width], and each lookup takes its columns of the last axis. Since networks only ever take constant
columns of the ids, the same code works on both. That is checked, not believed.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import Dict, Iterator, List, Optional, Sequence, Tuple

import numpy as np
from mindspore import Tensor, nn, ops

from mindspore_rec.config import ConfigError
from mindspore_rec.embedding.lookup import HashEmbeddingLookup
from mindspore_rec.models.slot_network import LOGIT, SlotNetwork
from mindspore_rec.serving.network_inputs import NetworkInputs
from mindspore_rec.train.hoist import LookupCall, lookup_cells, pynative, recorded, trace_lookups

PROBABILITY = "probability"
_TRIAL_ROWS = 4
_TOLERANCE = 1e-5


class AllVariables(nn.Cell):
    """The variables of a network: those of a `SlotNetwork`, else logit and probability of one that returns logits.

    Attributes:
        names: of what `construct` returns, in order.
    """

    def __init__(self, network: nn.Cell) -> None:
        super().__init__(auto_prefix=False)
        self.network = network
        self.has_variables = isinstance(network, SlotNetwork)
        self.names = network.all_vars if isinstance(network, SlotNetwork) else (LOGIT, PROBABILITY)

    def construct(self, *inputs: Tensor) -> Tuple[Tensor, ...]:
        """Return the variables of a batch."""
        if self.has_variables:
            return self.network.variables(*inputs)
        logits = self.network(*inputs)
        return logits, ops.sigmoid(logits)


class PackedNetwork:
    """A network and where the rows of its tables are in what it is given.

    Args:
        network: the network.
        inputs: what it is given in training.

    Raises:
        ConfigError: it does something with ids that works on no rows.

    Attributes:
        variables: cell that returns its variables.
        tables: its lookups by the name of the table.
        columns: begin and end of each table's rows in the last axis.
        slots: of each table, the columns of the ids it is looked up for.
    """

    def __init__(self, network: nn.Cell, inputs: NetworkInputs) -> None:
        self.inputs = inputs
        self.variables = AllVariables(network)
        self.tables: Dict[str, HashEmbeddingLookup] = {cell.table_name: cell for cell in lookup_cells(network)}
        if not self.tables:
            raise ConfigError("inference model: the network has no HashEmbeddingLookup")
        self.columns: Dict[str, Tuple[int, int]] = {}
        self.width = 0
        for name, cell in self.tables.items():
            self.columns[name] = (self.width, self.width + cell.embedding_size)
            self.width += cell.embedding_size
        calls = self._calls(network)
        self.slots = {
            name: tuple(sorted({column for call in calls if call.cell is cell for column in call.columns}))
            for name, cell in self.tables.items()
        }
        self._check(calls)

    @property
    def names(self) -> Tuple[str, ...]:
        """Of the variables."""
        return tuple(self.variables.names)

    @contextmanager
    def packed(self) -> Iterator[None]:
        """Have lookups take rows, and the network infer."""
        training = self.variables.network.training  # of the network: the cell around it is none of the training's
        self.variables.set_train(False)
        for name, cell in self.tables.items():
            cell.read_packed(self.columns[name])
        try:
            yield
        finally:
            for cell in self.tables.values():
                cell.read_packed(())
            self.variables.set_train(training)

    def run(self, rows: np.ndarray, numbers: Optional[np.ndarray] = None) -> List[np.ndarray]:
        """Return all variables, op by op.

        Args:
            rows: float32 [n, slots, width].
            numbers: float32 [n, numbers], where the network takes any.
        """
        with self.packed(), pynative():
            found = self.variables(Tensor(rows), *self._second(numbers))
        return [variable.asnumpy() for variable in found]

    def trial(self, rng: np.random.Generator, count: int) -> Tuple[np.ndarray, np.ndarray]:
        """Rows and numbers drawn at random, as `run` takes them."""
        rows = rng.standard_normal((count, len(self.inputs.slots), self.width), dtype=np.float32)
        return rows, rng.standard_normal((count, self.inputs.num_numbers), dtype=np.float32)

    def _second(self, numbers: Optional[np.ndarray]) -> Sequence[Tensor]:
        return [] if not self.inputs.num_numbers else [Tensor(numbers)]

    def _calls(self, network: nn.Cell) -> List[LookupCall]:
        ids = np.zeros((_TRIAL_ROWS, len(self.inputs.slots)), np.int64)
        numbers = [np.zeros((_TRIAL_ROWS, self.inputs.num_numbers), np.float32)] * bool(self.inputs.num_numbers)
        try:
            calls = trace_lookups(network, [ids, *numbers])
        except ValueError as error:
            raise ConfigError(f"inference model: {error}") from None
        for call in calls:
            if call.input_index:
                raise ConfigError(f"inference model: lookup {call.cell.table_name!r} reads another input than the ids")
        return calls

    def _check(self, calls: Sequence[LookupCall]) -> None:
        """Compare with the network on ids, whose lookups are given the same rows."""
        rng = np.random.default_rng(0)
        rows, numbers = self.trial(rng, _TRIAL_ROWS)
        ids = rng.integers(-1, 2, rows.shape[:2])
        left = iter(calls)

        def rows_of_call(cell: HashEmbeddingLookup, _: Tensor) -> Tensor:
            call = next(left)
            return HashEmbeddingLookup.construct(
                cell, Tensor(rows[:, list(call.columns)].reshape(_TRIAL_ROWS, *call.shape, self.width))
            )

        try:
            with self.packed(), pynative(), recorded(list(self.tables.values()), rows_of_call):
                expected = [part.asnumpy() for part in self.variables(Tensor(ids), *self._second(numbers))]
            found = self.run(rows, numbers)
        except Exception as error:  # whatever a network does with ids that are rows now
            reason = str(error).strip().split("\n")[0]
            raise ConfigError(f"inference model: {_REFUSAL}; running it on rows failed: {reason}") from error
        if len(expected) != len(self.names):
            raise ConfigError(f"inference model: {len(expected)} variables, expected {len(self.names)} as in all_vars")
        for name, one, other in zip(self.names, expected, found):
            if one.shape[:1] != (_TRIAL_ROWS,):
                raise ConfigError(f"inference model: {name} has shape {one.shape}, expected the batch first")
            if one.shape != other.shape or not np.allclose(one, other, _TOLERANCE, _TOLERANCE, equal_nan=True):
                raise ConfigError(f"inference model: {_REFUSAL}; {name} is another one on rows")


_REFUSAL = "its ids must only be looked up, all columns of them or constant ones, [batch, slots] without a reshape"
