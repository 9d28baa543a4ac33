"""The channel between consumers and trainers: ``DataSender`` and ``DataReceiver``.

docs/channel.md describes sockets, messages, credits and epochs on one page.
"""

from __future__ import annotations

from mindspore_rec.stream.control import ChannelError, Lane, Start, Started, Stream
from mindspore_rec.stream.receiver import DataReceiver
from mindspore_rec.stream.sender import DataSender
from mindspore_rec.stream.shard_sockets import StartRequest, StopRequest

__all__ = [
    "ChannelError",
    "DataReceiver",
    "DataSender",
    "Lane",
    "Start",
    "StartRequest",
    "Started",
    "StopRequest",
    "Stream",
]
