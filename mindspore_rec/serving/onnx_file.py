"""model.onnx: the graph of an export for other runtimes, made of its MINDIR file, for a batch of any size.

MindSpore's own ONNX export writes graphs of one batch size; a MINDIR file has all that one of any size needs.
"""

from __future__ import annotations

import importlib
import logging
from pathlib import Path
from typing import Any, Dict, List, Mapping, Sequence, Tuple

import numpy as np

from mindspore_rec.config import ConfigError
from mindspore_rec.serving.graph_file import Shape, read_graph
from mindspore_rec.serving.graph_parameters import constant_of, parameter_name, parameters_of, parse_graph
from mindspore_rec.serving.manifest import ExportError
from mindspore_rec.serving.onnx_ops import OPERATIONS, OPSET, Name, OnnxNodes, Value

logger = logging.getLogger(__name__)

ONNX = "model.onnx"
_IR_VERSION = 8  # read by any runtime that knows the operators
_BATCH = "batch"
_TOLERANCE = 1e-5
_TRIALS = (1, 7)  # rows


def need_onnx() -> Any:
    """Return the package.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        return importlib.import_module("onnx")
    except ImportError:
        raise ConfigError(
            "--onnx: the package onnx is not installed: pip install 'mindspore-rec-online[onnx]'"
        ) from None


def to_onnx(mindir: bytes, outputs: Sequence[str]) -> bytes:
    """Return the content of an ONNX file that computes what a MINDIR file does, for a batch of any size.

    Args:
        mindir: the content of the file, whose inputs have names and the batch first.
        outputs: what its outputs are called.

    Raises:
        ConfigError: the package onnx is not installed.
        ExportError: an operation has no counterpart here, or a name is taken; it is named.
    """
    onnx, graph = need_onnx(), parse_graph(mindir).graph
    nodes = OnnxNodes(onnx)
    found, dims = _Translation(mindir, nodes).outputs()
    taken = {given.name for given in graph.input} | nodes.names
    for name, value in zip(outputs, found):
        if name in taken:
            raise ExportError(f"--onnx: variable {name!r}: expected another name, for the graph has an input of it")
        nodes.node("Identity", value, output=name)
    declare, kind = onnx.helper.make_tensor_value_info, onnx.TensorProto.FLOAT
    inputs = [declare(given.name, kind, [_BATCH, *given.tensor[0].dims[1:]]) for given in graph.input]
    results = [declare(name, kind, [_BATCH, *shape[1:]]) for name, shape in zip(outputs, dims)]
    content = onnx.helper.make_graph(nodes.nodes, "model", inputs, results, nodes.initializers)
    model = onnx.helper.make_model(
        content,
        producer_name="mindspore_rec",
        ir_version=_IR_VERSION,
        opset_imports=[onnx.helper.make_opsetid("", OPSET)],
    )
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString())


def write_onnx(path: Path, mindir: Path, inputs: Mapping[str, Shape], outputs: Sequence[str]) -> None:
    """Write an ONNX file of a MINDIR file, and run both where onnxruntime is installed.

    Args:
        path: of the file, which must not exist.
        mindir: the MINDIR file.
        inputs: name and shape without the batch of what it is given.
        outputs: names of what it returns.

    Raises:
        ConfigError, ExportError: as of `to_onnx`; or the two give different numbers.
        OSError: it cannot be written.
    """
    content = to_onnx(mindir.read_bytes(), outputs)
    with path.open("xb") as file:
        file.write(content)
    try:
        runtime = importlib.import_module("onnxruntime")
    except ImportError:
        logger.warning("%s was not compared with the graph it is of: onnxruntime is not installed", path.name)
        return
    session = runtime.InferenceSession(content, providers=["CPUExecutionProvider"])
    run, rng = read_graph(mindir, list(inputs.values())), np.random.default_rng(0)
    for count in _TRIALS:
        given = {name: rng.standard_normal((count, *shape), dtype=np.float32) for name, shape in inputs.items()}
        for name, one, other in zip(outputs, run(*given.values()), session.run(list(outputs), given)):
            if one.shape != other.shape or not np.allclose(one, other, _TOLERANCE, _TOLERANCE, equal_nan=True):
                raise ExportError(f"--onnx: {name} of {path.name} is not that of the graph: nothing was exported")


class _Translation:
    """The nodes of a MINDIR graph, one after the other."""

    def __init__(self, mindir: bytes, nodes: OnnxNodes) -> None:
        model, parameters = parse_graph(mindir), parameters_of(mindir)
        self._graph, self._nodes = model.graph, nodes
        self._operations = {f"REF::{primitive.name}": primitive.op_type for primitive in model.primitives}
        self._values: Dict[str, Value] = {given.name: Name(given.name) for given in self._graph.input}
        self._dims: Dict[str, List[int]] = {given.name: list(given.tensor[0].dims) for given in self._graph.input}
        for parameter in self._graph.parameter:
            name = parameter_name(parameter)
            self._values[parameter.name] = nodes.constant(parameters[name], name)
            self._dims[name] = list(parameter.dims)

    def outputs(self) -> Tuple[Tuple[Name, ...], List[List[int]]]:
        """Translate; return the tensors that the graph returns, and their dimensions."""
        for node in self._graph.node:
            self._values[node.output[0]] = self._translated(node)
        found = self._values[self._graph.output[0].name]
        names = found if isinstance(found, tuple) else (found,)
        return names, [self._dims[name] for name in names]

    def _translated(self, node: Any) -> Value:
        if node.op_type == "Constant":
            value = constant_of(node)
            return self._nodes.constant(value) if isinstance(value, np.ndarray) else value
        operation = self._operations.get(node.op_type, node.op_type)
        dims = [list(tensor.dims) for attribute in node.attribute for tensor in attribute.tensors]
        try:
            if operation not in OPERATIONS or any(name not in self._values for name in node.input):
                raise ExportError(operation)
            given = [self._values[name] for name in node.input]
            found = OPERATIONS[operation](self._nodes, given, len(dims[0]) if dims else 0)
        except ExportError as error:
            raise ExportError(f"--onnx: the network has an operation that is not supported: {error}") from None
        if isinstance(found, Name) and dims:
            self._dims[found] = dims[0]
        return found
