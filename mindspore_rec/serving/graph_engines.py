"""What computes the dense part of answers: ONNX Runtime where it can, else MindSpore.

ONNX Runtime answers a few rows in half of MindSpore's time, on one thread, which matters where a core is shared with a
trainer (`benchmarks/serving.py`). What it runs is made of the same MINDIR file, and compared with it at the start.
"""

from __future__ import annotations

import importlib
import logging
import threading
from typing import Any, Callable, List, Literal, Protocol, Tuple

import numpy as np

from mindspore_rec.checkpoint.array_file import Arrays
from mindspore_rec.config import ConfigError, UserError
from mindspore_rec.embedding.ranges import host_threads
from mindspore_rec.serving.exported_model import ExportedModel
from mindspore_rec.serving.onnx_file import to_onnx

logger = logging.getLogger(__name__)

#: Inputs of a graph, float32 arrays, to its outputs; any thread may call.
GraphRun = Callable[[List[np.ndarray]], List[np.ndarray]]
EngineName = Literal["auto", "onnxruntime", "mindspore"]
_TRIAL_ROWS = 7
_MANY_ROWS = 512  # below, waking a thread costs what it gains
_TOLERANCE = 1e-6  # of a probability


class GraphEngine(Protocol):
    """The graph of a model, for any of its versions."""

    name: str

    def fits(self, export: ExportedModel) -> bool:
        """Whether an export has the same graph, but for parameters."""

    def of(self, identity: str, dense: Arrays) -> GraphRun:
        """The graph of the version of that identity, with these dense parameters."""


class MindSporeEngine:
    """Runs the MINDIR file. One request at a time; what is compiled takes the parameters of any version.

    Args:
        export: whose graph it is.
    """

    name = "mindspore"

    def __init__(self, export: ExportedModel) -> None:
        self._kind, self._graph = _kind_of_graph(export), export.graph
        self._loaded = ""
        self._lock = threading.Lock()

    def fits(self, export: ExportedModel) -> bool:
        """See `GraphEngine`."""
        return _kind_of_graph(export) == self._kind

    def of(self, identity: str, dense: Arrays) -> GraphRun:
        """See `GraphEngine`."""

        def run(given: List[np.ndarray]) -> List[np.ndarray]:
            with self._lock:
                if identity != self._loaded:
                    self._loaded = ""
                    self._graph.load(dense)
                    self._loaded = identity
                return self._graph(*given)

        return run


class OnnxEngine:
    """Runs an ONNX graph made of the MINDIR file, which is given the dense parameters of a version with each request.

    Args:
        export: whose graph it is.
        threads: that compute many rows; 0: one a core. A few rows are computed by one.

    Raises:
        ConfigError: onnx or onnxruntime is not installed.
        ExportError: the graph has an operation that is not known.
    """

    name = "onnxruntime"

    def __init__(self, export: ExportedModel, threads: int = 0) -> None:
        graph = export.manifest.graph
        content = to_onnx((export.folder / graph.file).read_bytes(), graph.outputs)
        try:
            runtime: Any = importlib.import_module("onnxruntime")
        except ImportError:
            raise ConfigError("onnxruntime is not installed: pip install 'mindspore-rec-online[onnx]'") from None
        self._kind = _kind_of_graph(export)
        self._inputs, self._outputs = [name for name, _ in graph.inputs], list(graph.outputs)
        content, self._parameters = _fed_with_parameters(content, export.dense)
        self._few = _session(runtime, content, 1)
        self._many = _session(runtime, content, threads or host_threads())

    def fits(self, export: ExportedModel) -> bool:
        """See `GraphEngine`."""
        return _kind_of_graph(export) == self._kind

    def of(self, identity: str, dense: Arrays) -> GraphRun:
        """See `GraphEngine`."""
        parameters = {name: np.array(dense[name], np.float32, order="C") for name in self._parameters}

        def run(given: List[np.ndarray]) -> List[np.ndarray]:
            session = self._many if given[0].shape[0] >= _MANY_ROWS else self._few
            found: List[np.ndarray] = session.run(self._outputs, {**dict(zip(self._inputs, given)), **parameters})
            return found

        return run


def _session(runtime: Any, content: bytes, threads: int) -> Any:
    options = runtime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def open_engine(export: ExportedModel, name: EngineName = "auto", threads: int = 0) -> GraphEngine:
    """Return the engine of an export.

    Args:
        export: whose graph it is.
        name: "auto": ONNX Runtime where it is installed, knows the graph, and gives the same numbers as MindSpore.
        threads: of ONNX Runtime, that compute many rows; 0: one a core, as MindSpore's.

    Raises:
        UserError: the engine that was asked for by name cannot run the graph.
    """
    if name == "mindspore":
        return MindSporeEngine(export)
    try:
        engine = OnnxEngine(export, threads)
        _compare(engine, export)
        return engine
    except UserError as error:
        if name == "onnxruntime":
            raise
        logger.warning("answers are computed by MindSpore: %s", error)
        return MindSporeEngine(export)


def _fed_with_parameters(content: bytes, dense: Arrays) -> Tuple[bytes, List[str]]:
    """An ONNX file whose dense parameters are inputs, and the names of those.

    A session for each version would answer a fifth faster, but making it takes 5 to 25 ms with the interpreter locked.
    """
    onnx: Any = importlib.import_module("onnx")
    model = onnx.load_from_string(content)
    graph, kind = model.graph, onnx.TensorProto.FLOAT
    found = [part for part in graph.initializer if part.name in dense]
    for part in found:
        graph.input.append(onnx.helper.make_tensor_value_info(part.name, kind, list(part.dims)))
        graph.initializer.remove(part)
    return bytes(model.SerializeToString()), [part.name for part in found]


def _compare(engine: GraphEngine, export: ExportedModel) -> None:
    graph, rng = export.manifest.graph, np.random.default_rng(0)
    given = [rng.standard_normal((_TRIAL_ROWS, *shape), dtype=np.float32) for _, shape in graph.inputs]
    pairs = zip(graph.outputs, engine.of("", export.dense)(given), MindSporeEngine(export).of("", export.dense)(given))
    for name, one, other in pairs:
        if one.shape != other.shape or not np.allclose(one, other, 10 * _TOLERANCE, _TOLERANCE, equal_nan=True):
            raise UserError(f"ONNX Runtime gives other numbers for {name} than MindSpore")


def _kind_of_graph(export: ExportedModel) -> object:
    manifest = export.manifest
    shapes = {name: array.shape for name, array in export.dense.items()}
    return manifest.graph, manifest.source.model, manifest.created_by, shapes
