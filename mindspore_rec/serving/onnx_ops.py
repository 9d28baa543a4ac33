"""What each operation of a MINDIR graph is in ONNX, operator set 17: those that networks of rows are made of."""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Optional, Sequence, Set, Tuple, Union

import numpy as np

from mindspore_rec.serving.manifest import ExportError

OPSET = 17
_END = np.iinfo(np.int64).max

#: A tensor is the name of what computes it; others are numbers, None, and tuples of these.
Value = Any
#: Given the graph, the operands and the rank of the result, adds nodes and returns the result.
Translate = Callable[["OnnxNodes", List[Value], int], Value]


class Name(str):
    """The name of a tensor."""


class OnnxNodes:
    """Nodes and constants of an ONNX graph that is being made.

    Args:
        onnx: the package.

    Attributes:
        nodes: so far.
        initializers: so far.
    """

    def __init__(self, onnx: Any) -> None:
        self._onnx = onnx
        self.nodes: List[Any] = []
        self.initializers: List[Any] = []

    @property
    def names(self) -> Set[str]:
        """Of the tensors there are so far."""
        return {tensor.name for tensor in self.initializers} | {name for node in self.nodes for name in node.output}

    def constant(self, array: np.ndarray, name: Optional[str] = None) -> Name:
        """Add a tensor of known values."""
        name = name or f"constant_{len(self.initializers)}"
        self.initializers.append(self._onnx.numpy_helper.from_array(np.ascontiguousarray(array), name))
        return Name(name)

    def node(self, operation: str, *inputs: str, output: Optional[str] = None, **attributes: Any) -> Name:
        """Add a node; return what it computes."""
        output = output or f"node_{len(self.nodes)}"
        self.nodes.append(self._onnx.helper.make_node(operation, list(inputs), [output], **attributes))
        return Name(output)

    def tensor(self, value: Union[Name, float, int]) -> Name:
        """A tensor of a value that may be a number, which is float32 as MindSpore computes with it."""
        return value if isinstance(value, Name) else self.constant(np.array(value, np.float32))

    def whole(self, numbers: Sequence[int]) -> Name:
        """A tensor of axes, places or a shape."""
        return self.constant(np.array(numbers, np.int64).reshape(-1))


def _same(operation: str) -> Translate:
    """Of tensors or numbers, with the same broadcasting."""
    return lambda graph, given, _: graph.node(operation, *(graph.tensor(value) for value in given))


def _square(graph: OnnxNodes, given: List[Value], _: int) -> Value:
    return graph.node("Mul", given[0], given[0])


def _rsqrt(graph: OnnxNodes, given: List[Value], _: int) -> Value:
    return graph.node("Reciprocal", graph.node("Sqrt", given[0]))


def _zeros_like(graph: OnnxNodes, given: List[Value], _: int) -> Value:
    return graph.node("ConstantOfShape", graph.node("Shape", given[0]))


def _clamp(graph: OnnxNodes, given: List[Value], _: int) -> Value:
    bounds = ["" if bound is None else graph.tensor(bound) for bound in given[1:3]]
    return graph.node("Clip", given[0], *bounds)


def _matmul(graph: OnnxNodes, given: List[Value], rank: int) -> Value:
    if rank != 2:
        raise ExportError("MatMul of other than matrices")
    sides = [graph.node("Transpose", side, perm=[1, 0]) if flip else side for side, flip in zip(given, given[2:4])]
    return graph.node("MatMul", *sides)


def _bias_add(graph: OnnxNodes, given: List[Value], rank: int) -> Value:
    if rank != 2:
        raise ExportError("BiasAdd to other than a matrix")
    return graph.node("Add", *given[:2])


def _sum(graph: OnnxNodes, given: List[Value], _: int) -> Value:
    source, axes, keep, dtype = given
    if dtype is not None:
        raise ExportError("SumExt to another type")
    places = () if axes is None else (graph.whole(axes if isinstance(axes, tuple) else (axes,)),)
    return graph.node("ReduceSum", source, *places, keepdims=int(keep))


def _mean(graph: OnnxNodes, given: List[Value], _: int) -> Value:
    source, axes, keep = given
    places: Dict[str, Any] = (
        {"axes": list(axes if isinstance(axes, tuple) else (axes,))} if axes not in (None, ()) else {}
    )
    return graph.node("ReduceMean", source, keepdims=int(keep), **places)


def _softmax(graph: OnnxNodes, given: List[Value], _: int) -> Value:
    (axis,) = given[1] if isinstance(given[1], tuple) else (given[1],)
    return graph.node("Softmax", given[0], axis=axis)


def _of_axes(operation: str) -> Translate:
    def translate(graph: OnnxNodes, given: List[Value], _: int) -> Value:
        axes = given[1] if isinstance(given[1], tuple) else (given[1],)
        return graph.node(operation, given[0], graph.whole(axes))

    return translate


def _transpose(graph: OnnxNodes, given: List[Value], _: int) -> Value:
    return graph.node("Transpose", given[0], perm=list(given[1]))


def _item(_: OnnxNodes, given: List[Value], __: int) -> Value:
    return given[0][given[1]]


def _concat(graph: OnnxNodes, given: List[Value], _: int) -> Value:
    return graph.node("Concat", *given[0], axis=given[1])


def _gather(graph: OnnxNodes, given: List[Value], _: int) -> Value:
    source, places, axis, batch_axes = given
    if batch_axes:
        raise ExportError("Gather with batch dimensions")
    return graph.node("Gather", source, places, axis=axis)


def _reshape(graph: OnnxNodes, given: List[Value], _: int) -> Value:
    source, shape = given
    if not isinstance(shape, tuple) or any(isinstance(size, Name) or size == 0 for size in shape):
        raise ExportError("Reshape to a shape that is no constant")
    return graph.node("Reshape", source, graph.whole(shape))


def _strided_slice(graph: OnnxNodes, given: List[Value], _: int) -> Value:
    source, begins, ends, steps, begin_mask, end_mask, ellipsis_mask, new_axis_mask, shrink_mask = given
    if ellipsis_mask or new_axis_mask or any(step <= 0 for step in steps):
        raise ExportError("StridedSlice with new axes, an ellipsis or backwards")
    starts, stops, single = [], [], []
    for axis, (begin, end) in enumerate(zip(begins, ends)):
        bit = 1 << axis
        if shrink_mask & bit:
            single.append(axis)
            starts.append(begin)
            stops.append(begin + 1 or _END)
        else:
            starts.append(0 if begin_mask & bit else begin)
            stops.append(_END if end_mask & bit else end)
    axes = graph.whole(range(len(starts)))
    found = graph.node("Slice", source, graph.whole(starts), graph.whole(stops), axes, graph.whole(steps))
    return graph.node("Squeeze", found, graph.whole(single)) if single else found


def _tuple(_: OnnxNodes, given: List[Value], __: int) -> Tuple[Value, ...]:
    return tuple(given)


def _first(_: OnnxNodes, given: List[Value], __: int) -> Value:
    return given[0]


def _nothing(_: OnnxNodes, __: List[Value], ___: int) -> None:
    return None


OPERATIONS: Dict[str, Translate] = {
    **{name: _same(name) for name in ("Add", "Sub", "Mul", "Div", "Sigmoid", "Tanh", "Exp", "Log", "Sqrt", "Neg")},
    "Abs": _same("Abs"),
    "Erf": _same("Erf"),
    "Pow": _same("Pow"),
    "RealDiv": _same("Div"),
    "Divs": _same("Div"),
    "Muls": _same("Mul"),
    "ReLU": _same("Relu"),
    "Maximum": _same("Max"),
    "Minimum": _same("Min"),
    "Square": _square,
    "Rsqrt": _rsqrt,
    "ZerosLike": _zeros_like,
    "ZerosLikeExt": _zeros_like,
    "ClampScalar": _clamp,
    "MatMul": _matmul,
    "MatMulExt": _same("MatMul"),
    "BiasAdd": _bias_add,
    "SumExt": _sum,
    "ReduceMean": _mean,
    "Softmax": _softmax,
    "Squeeze": _of_axes("Squeeze"),
    "ExpandDims": _of_axes("Unsqueeze"),
    "Transpose": _transpose,
    "Concat": _concat,
    "Gather": _gather,
    "Reshape": _reshape,
    "StridedSlice": _strided_slice,
    "MakeTuple": _tuple,
    "TupleGetItem": _item,
    "Load": _first,
    "Depend": _first,
    "UpdateState": _nothing,
}
