"""A model.py, built in or a user's: loaded, and made into a network.

A model.py defines ``Settings``, a `HyperParameters`, and ``Network``, a `SlotNetwork` made as
``Network(settings, schema, padding_id, tables)``.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Dict, List, Mapping, Optional, Type, TypeVar

import mindspore as ms
from mindspore import nn

from mindspore_rec.config import ConfigError
from mindspore_rec.data.slot_schema import SlotSchema
from mindspore_rec.embedding.lookup import HashEmbeddingLookup
from mindspore_rec.job_config import TableParameters
from mindspore_rec.models.no_optimizer import NoOptimizer
from mindspore_rec.models.slot_embedding import SlotEmbedding
from mindspore_rec.models.slot_network import LOGIT, HyperParameters, SlotNetwork

PACKAGE = Path(__file__).parent
T = TypeVar("T")


@dataclass(frozen=True)
class ModelFile:
    """What a model.py defines.

    Attributes:
        path: of the file.
        name: ``CATEGORY/NAME`` of a built-in model, else the path.
        settings: its section of hyper-parameters.
        network: its network.
    """

    path: Path
    name: str
    settings: Type[HyperParameters]
    network: Type[SlotNetwork]


@dataclass(frozen=True)
class Model:
    """A model with its settings, for certain data.

    Attributes:
        file: the model.py.
        settings: of its `ModelFile.settings`.
        schema: slots of the data; those of fields, where each is one id with a weight.
        padding_id: id that stands for nothing; None where every id is one.
        tables: rules of its tables, by name.
    """

    file: ModelFile
    settings: HyperParameters
    schema: SlotSchema
    padding_id: Optional[int]
    tables: Mapping[str, TableParameters]

    def network(self) -> SlotNetwork:
        """A new network; its first weights are a function of its settings' seed, those the framework draws too.

        Raises:
            ConfigError: it cannot be made of these slots and settings.
        """
        ms.set_seed(self.settings.seed)  # ranks begin alike, as does a run that ends before its first checkpoint
        try:
            network = self.file.network(self.settings, self.schema, self.padding_id, self.tables)
        except ValueError as error:
            raise ConfigError(f"{self.file.name}: {_said(error)}") from None
        known = _tables(network)
        for name in self.tables:
            if name not in known:
                raise ConfigError(
                    f"table_parameters.{name}: expected the tables of {self.file.name}: {', '.join(known)}"
                )
        return network

    def optimizer(self, network: SlotNetwork) -> nn.Cell:
        """The optimizer of its dense parameters."""
        given, parameters = self.settings.optimizer, network.trainable_params()
        kinds = {"adam": nn.Adam, "adagrad": nn.Adagrad, "sgd": nn.SGD}
        return (
            kinds[given.optimizer_class](parameters, learning_rate=given.learning_rate) if parameters else NoOptimizer()
        )

    def describe(self) -> Dict[str, Any]:
        """What a checkpoint keeps, JSON-able; `described` makes a model of it."""
        return {
            "model": self.file.name,
            "hyper_parameters": self.settings.model_dump(mode="json", by_alias=True),
            "label": self.schema.label,
            "sparse": list(self.schema.sparse),
            "dense": [[name, width] for name, width in self.schema.dense],
            "padding_id": self.padding_id,
            "tables": {name: table.model_dump(mode="json", by_alias=True) for name, table in self.tables.items()},
        }


def described(fields: Mapping[str, Any], file: ModelFile) -> Model:
    """The model that `Model.describe` told of, made with a model.py."""
    return Model(
        file,
        file.settings(**fields["hyper_parameters"]),
        SlotSchema(fields["label"], tuple(fields["sparse"]), tuple((name, width) for name, width in fields["dense"])),
        fields["padding_id"],
        {name: TableParameters(**table) for name, table in fields["tables"].items()},
    )


def _tables(network: SlotNetwork) -> List[str]:
    """Names by which the configuration may give rules: of embeddings, and of lookups of a network's own."""
    cells = [cell for _, cell in network.cells_and_names()]
    embeddings = [cell for cell in cells if isinstance(cell, SlotEmbedding)]
    inside = [lookup for cell in embeddings for lookup in cell.cells()]
    lookups = [cell for cell in cells if isinstance(cell, HashEmbeddingLookup) and cell not in inside]
    named = [*(cell.table_name for cell in embeddings), *(cell.table_name for cell in lookups)]
    return [name for name in named if name]


def load_model_file(path: Path) -> ModelFile:
    """Load a model.py.

    Raises:
        ConfigError: it cannot be loaded, or does not define what it must.
    """
    path = path.resolve()
    builtin = PACKAGE in path.parents
    name = "/".join(path.relative_to(PACKAGE).parts[:-1]) if builtin else str(path)
    module = _imported(path, builtin)
    settings, network = _class(module, "Settings", HyperParameters), _class(module, "Network", SlotNetwork)
    if LOGIT not in network.all_vars:
        raise ConfigError(f"{path}: all_vars = {network.all_vars}: expected {LOGIT!r} among them")
    return ModelFile(path, name, settings, network)


def _class(module: ModuleType, name: str, base: Type[T]) -> Type[T]:
    found = getattr(module, name, None)
    if not (isinstance(found, type) and issubclass(found, base)):
        raise ConfigError(f"{module.__file__}: expected a class {name} derived from {base.__module__}.{base.__name__}")
    return found


def _imported(path: Path, builtin: bool) -> ModuleType:
    if builtin:
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        return importlib.import_module(".".join((*__name__.split(".")[:-1], *parts)))
    name = f"msrec_model_{hashlib.sha256(str(path).encode()).hexdigest()[:16]}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ConfigError(f"{path}: expected a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # MindSpore's graph mode looks for the source of classes by their module
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # whatever a user's file raises is told in one line
        raise ConfigError(f"{_place(path, error)}: {_first_line(error)}") from error
    return module


def _place(path: Path, error: Exception) -> str:
    """The file, and the line of it that was at work."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    return f"{path}:{lines[-1]}" if lines else str(path)


def _first_line(error: Exception) -> str:
    """Its kind and the first line of what it says."""
    said = _said(error)
    return f"{type(error).__name__}: {said}" if said else type(error).__name__


def _said(error: Exception) -> str:
    """The first line of what an error says.

    >>> _said(ValueError("width = 6" + chr(10) + "as was said")), _said(ValueError())
    ('width = 6', '')
    """
    return str(error).strip().split("\n")[0]
