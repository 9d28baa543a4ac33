"""Parameters and constants of a MINDIR file: read, or replaced by newer ones, without compiling anything."""

from __future__ import annotations

from typing import Any, Dict

import numpy as np
from google.protobuf.message import DecodeError
from mindspore.train.mind_ir_pb2 import AttributeProto, ModelProto, TensorProto

from mindspore_rec.checkpoint.array_file import Arrays
from mindspore_rec.serving.manifest import ExportError

_TYPES: Dict[int, np.dtype] = {
    TensorProto.FLOAT: np.dtype("<f4"),
    TensorProto.FLOAT16: np.dtype("<f2"),
    TensorProto.DOUBLE: np.dtype("<f8"),
    TensorProto.FLOAT64: np.dtype("<f8"),
    TensorProto.INT32: np.dtype("<i4"),
    TensorProto.INT64: np.dtype("<i8"),
    TensorProto.BOOL: np.dtype("?"),
}


def parse_graph(mindir: bytes) -> Any:
    """Return the `ModelProto` of the content of a MINDIR file.

    Raises:
        ExportError: it is none.
    """
    model = ModelProto()
    try:
        model.ParseFromString(mindir)
    except DecodeError:
        raise ExportError("graph: expected the content of a MINDIR file") from None
    if not model.HasField("graph"):
        raise ExportError("graph: expected the content of a MINDIR file")
    return model


def parameter_name(parameter: Any) -> str:
    """Return what the network calls a parameter of a MINDIR graph, whose name begins with that of the graph."""
    return str(parameter.name.partition(":")[2] or parameter.name)


def parameters_of(mindir: bytes) -> Arrays:
    """Return the parameters in the content of a MINDIR file, by name.

    Raises:
        ExportError: it is none, or a parameter is of a type that no network here has.
    """
    found = {}
    for parameter in parse_graph(mindir).graph.parameter:
        dtype, shape = _type_of(parameter), tuple(parameter.dims)
        found[parameter_name(parameter)] = np.frombuffer(parameter.raw_data, dtype).reshape(shape).copy()
    return found


def with_parameters(mindir: bytes, parameters: Arrays) -> bytes:
    """Return the content of a MINDIR file with some of its parameters replaced; the others stay as they are.

    Args:
        mindir: the content of the file.
        parameters: by name; each of the type and shape it has in the graph, and finite.

    Raises:
        ExportError: the content is no graph, or a parameter is none of it, does not fit, or is not finite; it is named.
    """
    model = parse_graph(mindir)
    own = {parameter_name(parameter): parameter for parameter in model.graph.parameter}
    for name, array in parameters.items():
        if name not in own:
            raise ExportError(f"dense parameter {name}: the graph has none of that name")
        parameter = own[name]
        dtype, shape = _type_of(parameter), tuple(parameter.dims)
        if (array.dtype, array.shape) != (dtype, shape):
            raise ExportError(
                f"dense parameter {name} is {array.dtype} {list(array.shape)}, the graph has {dtype} {list(shape)}"
            )
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise ExportError(f"dense parameter {name} is not finite")
        parameter.raw_data = np.ascontiguousarray(array, dtype).tobytes()
    return bytes(model.SerializeToString())


def constant_of(node: Any) -> Any:
    """Return the value of a Constant node: a number, a tuple of such, an array, or None, as of monads.

    Raises:
        ExportError: it is of a type that no network here has.
    """
    return _value_of(next(attribute for attribute in node.attribute if attribute.name == "value"))


def _value_of(attribute: Any) -> Any:
    kind = AttributeProto.AttributeType.Name(attribute.type)
    if kind in ("TUPLE", "LIST"):
        return tuple(_value_of(part) for part in attribute.values)
    if kind in ("NONE", "UMONAD", "IOMONAD"):
        return None
    if kind == "TENSORS":
        (tensor,) = attribute.tensors
        return np.frombuffer(tensor.raw_data, _type_of(tensor)).reshape(tuple(tensor.dims))
    if kind in ("FLOAT", "DOUBLE"):
        numbers = [*attribute.floats, *attribute.doubles] or [attribute.f if kind == "FLOAT" else attribute.d]
        return float(numbers[0])
    if kind.startswith(("INT", "UINT", "BOOL")):
        return int((list(attribute.ints) or [attribute.i])[0])
    raise ExportError(f"graph: a constant of the MINDIR type {kind}, which is not supported")


def _type_of(parameter: Any) -> np.dtype:
    dtype, name = _TYPES.get(parameter.data_type), parameter_name(parameter)
    if dtype is None:
        raise ExportError(f"dense parameter {name}: a MINDIR type {parameter.data_type}, which is not supported")
    if len(parameter.raw_data) != dtype.itemsize * int(np.prod(parameter.dims, dtype=np.int64)):
        raise ExportError(f"dense parameter {name}: its values are not in the file of the graph")
    return dtype
