"""Online learning for recommenders on MindSpore: Kafka in, a model that never stops training out.

The names below import MindSpore when they are first used; `mindspore_rec.stream`, `features`, `metrics`, `embedding`
tables and `checkpoint` work without it.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, List

__version__ = "0.1.0"

_HOMES = {
    "RecModel": "mindspore_rec.train.rec_model",
    "HashEmbeddingLookup": "mindspore_rec.embedding.lookup",
    "StreamingDataset": "mindspore_rec.stream.dataset",
    "load_checkpoint": "mindspore_rec.train.framework_checkpoint",
}
__all__ = ["HashEmbeddingLookup", "RecModel", "StreamingDataset", "__version__", "load_checkpoint"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'mindspore_rec' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> List[str]:
    return sorted(__all__)
