"""Kafka, the channel between consumers and trainers, and the streaming dataset.

Names are loaded when first used: only ``StreamingDataset`` needs MindSpore.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, List

if TYPE_CHECKING:
    from mindspore_rec.stream.batches import StreamBatches
    from mindspore_rec.stream.channel import ChannelError, DataReceiver, DataSender
    from mindspore_rec.stream.consumer import Consumer
    from mindspore_rec.stream.dataset import StreamingDataset
    from mindspore_rec.stream.interleave import BatchInfo
    from mindspore_rec.stream.position import RowPosition, StreamPosition

_MODULES = {
    "BatchInfo": "interleave",
    "ChannelError": "channel",
    "Consumer": "consumer",
    "DataReceiver": "channel",
    "DataSender": "channel",
    "RowPosition": "position",
    "StreamBatches": "batches",
    "StreamPosition": "position",
    "StreamingDataset": "dataset",
}

__all__ = [
    "BatchInfo",
    "ChannelError",
    "Consumer",
    "DataReceiver",
    "DataSender",
    "RowPosition",
    "StreamBatches",
    "StreamPosition",
    "StreamingDataset",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> List[str]:
    return sorted(__all__)
