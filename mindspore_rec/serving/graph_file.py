"""MINDIR files of a packed network: any batch size, and no parameter that the outputs do not depend on."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, List, Sequence, Tuple

import mindspore as ms
import numpy as np
from mindspore import Tensor, nn, ops

from mindspore_rec.checkpoint.array_file import Arrays
from mindspore_rec.config import UserError
from mindspore_rec.serving.feeds import Feeds
from mindspore_rec.serving.graph_parameters import parameter_name
from mindspore_rec.serving.manifest import ROWS
from mindspore_rec.serving.packed_network import PackedNetwork
from mindspore_rec.train.graph_thread import one_graph_at_a_time

SUFFIX = ".mindir"
Shape = Tuple[int, ...]


class GraphWriter:
    """Writes the graph of some variables of a network; compiles it once, and takes parameters as they are by then.

    Args:
        network: the network.
        feeds: what the graph is given and returns.

    Attributes:
        inputs: name and shape without the batch of what the graph is given, in order.
    """

    def __init__(self, network: PackedNetwork, feeds: Feeds) -> None:
        self._network = network
        self._cell = _Inference(network, feeds)
        given = {ROWS: (len(feeds.slots), network.width), network.inputs.second: (len(feeds.numbers),)}
        self.inputs: Dict[str, Shape] = {name: shape for name, shape in given.items() if shape[0]}
        self._examples = [Tensor(shape=[None, *shape], dtype=ms.float32) for shape in self.inputs.values()]
        self._cell.set_inputs(*self._examples)

    def write(self, path: Path) -> Tuple[str, ...]:
        """Write the file, which must not exist; return the names of the parameters in it.

        Raises:
            UserError: the network cannot be exported.
            OSError: the file cannot be written.
        """
        names: List[str] = []

        def trim(model: Any) -> None:
            _name_inputs(model.graph, list(self.inputs))
            _remove_unused(model.graph)
            names.extend(parameter_name(parameter) for parameter in model.graph.parameter)

        with self._network.packed():
            try:
                ms.export(self._cell, *self._examples, file_name=str(path), file_format="MINDIR", custom_func=trim)
            except OSError:
                raise
            except Exception as error:  # whatever the compiler has against the code of a user
                reason = str(error).strip().split("\n")[0]
                raise UserError(f"inference model: MindSpore cannot export the network: {reason}") from error
        if not path.exists():  # MindSpore has written several files
            raise UserError("inference model: dense parameters of more than 1 GiB cannot be exported")
        path.chmod(0o644)
        return tuple(names)


class InferenceGraph:
    """A graph that was loaded: a function of its inputs, float32 arrays, to its outputs.

    Whoever loads parameters sees to it that nobody asks meanwhile.

    Args:
        cell: the graph.
    """

    def __init__(self, cell: nn.Cell) -> None:
        self._cell = cell
        self._parameters = {parameter.name: parameter for parameter in cell.get_parameters()}

    def __call__(self, *given: np.ndarray) -> List[np.ndarray]:
        """Return the outputs of any number of rows."""
        inputs = [Tensor(np.ascontiguousarray(array, np.float32)) for array in given]
        with one_graph_at_a_time:
            found = self._cell(*inputs)
        return [part.asnumpy() for part in (found if isinstance(found, (tuple, list)) else (found,))]

    def load(self, dense: Arrays) -> None:
        """Take over dense parameters, by name; what is compiled stays.

        Raises:
            UserError: one of the graph is missing, or has another shape; nothing was taken over.
        """
        for name, parameter in self._parameters.items():
            if name not in dense or dense[name].shape != tuple(parameter.shape):
                found = f"shape {list(dense[name].shape)}" if name in dense else "nothing"
                raise UserError(f"dense parameter {name}: expected shape {list(parameter.shape)}, got {found}")
        for name, parameter in self._parameters.items():
            parameter.set_data(Tensor(dense[name], dtype=parameter.dtype))


def read_graph(path: Path, inputs: Sequence[Shape]) -> InferenceGraph:
    """Load a graph for any number of rows.

    Args:
        path: of the file, which ends with .mindir.
        inputs: shapes of its inputs, without the batch.

    Raises:
        UserError: it cannot be loaded.
    """
    try:
        cell = nn.GraphCell(ms.load(str(path)))
    except (RuntimeError, TypeError, ValueError) as error:
        raise UserError(f"{path} cannot be loaded: {str(error).strip().splitlines()[0]}") from None
    cell.set_inputs(*[Tensor(shape=[None, *shape], dtype=ms.float32) for shape in inputs])
    return InferenceGraph(cell)


class _Inference(nn.Cell):
    """Some variables of some inputs; those that are not given are zeros."""

    def __init__(self, network: PackedNetwork, feeds: Feeds) -> None:
        super().__init__(auto_prefix=False)
        self.variables = network.variables
        self.targets = feeds.targets
        self.shape_of_rows = (len(network.inputs.slots), network.width)
        self.num_numbers = network.inputs.num_numbers
        self.has_rows, self.has_numbers = bool(feeds.slots), bool(feeds.numbers)
        self.takes_numbers = bool(self.num_numbers)
        self.all_rows = len(feeds.slots) == len(network.inputs.slots)
        self.all_numbers = len(feeds.numbers) == self.num_numbers
        self.slots = _places(feeds.slots, len(network.inputs.slots))
        self.numbers = _places(feeds.numbers, self.num_numbers)
        self.join = ops.Concat(axis=1)

    def construct(self, *given: Tensor) -> Any:
        rows = self._rows(given)
        found = self.variables(rows, self._numbers(given)) if self.takes_numbers else self.variables(rows)
        if len(self.targets) == 1:
            return found[self.targets[0]]
        outputs = given[:0]
        for target in self.targets:
            outputs = (*outputs, found[target])
        return outputs

    def _rows(self, given: Tuple[Tensor, ...]) -> Tensor:
        if not self.has_rows:
            return ops.zeros((given[0].shape[0], *self.shape_of_rows), ms.float32)
        return given[0] if self.all_rows else self._spread(given[0], self.slots)

    def _numbers(self, given: Tuple[Tensor, ...]) -> Tensor:
        if not self.has_numbers:
            return ops.zeros((given[0].shape[0], self.num_numbers), ms.float32)
        return given[-1] if self.all_numbers else self._spread(given[-1], self.numbers)

    def _spread(self, given: Tensor, places: Tensor) -> Tensor:
        return ops.gather(self.join((given, ops.zeros_like(given[:, :1]))), places, 1)


def _places(given: Sequence[int], columns: int) -> Tensor:
    """Where each of so many columns is among those given; behind them, where it is not."""
    places = {column: place for place, column in enumerate(given)}
    return Tensor(np.array([places.get(column, len(given)) for column in range(columns)] or [0], np.int32))


def _name_inputs(graph: Any, names: Sequence[str]) -> None:
    """Call the inputs of a MINDIR graph by their names, whatever the compiler called them."""
    new = {given.name: name for given, name in zip(graph.input, names)}
    for given in graph.input:
        given.name = new[given.name]
    for node in graph.node:
        for place, source in enumerate(node.input):
            if source in new:
                node.input[place] = new[source]


def _remove_unused(graph: Any) -> None:
    """Leave those parameters in a MINDIR graph that a node reads, whose output is needed."""
    sources = {output: node for node in graph.node for output in node.output}
    needed, waiting = set(), [output.name for output in graph.output]
    while waiting:
        name = waiting.pop()
        if name not in needed:
            needed.add(name)
            waiting.extend(sources[name].input if name in sources else ())
    for parameter in [parameter for parameter in graph.parameter if parameter.name not in needed]:
        graph.parameter.remove(parameter)
