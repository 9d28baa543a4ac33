"""The consumer: Kafka messages to frames of ids and weights, for the trainers that ask for them.

It keeps no state of its own. A trainer says where each partition continues, the consumer seeks there and sends as many
frames as were granted; then it stops fetching that partition. It may be killed and started at any time.
"""

from __future__ import annotations

import logging
import signal
import threading
import time
from dataclasses import dataclass, field
from itertools import groupby
from typing import Callable, Dict, List, Optional, Protocol, Sequence, Set

from mindspore_rec.config import ConfigError, ConsumerConfig
from mindspore_rec.features.batch import REASONS, Features
from mindspore_rec.features.engine import FeatureEngine, make_engine
from mindspore_rec.features.reference import split_rows
from mindspore_rec.stream import kafka
from mindspore_rec.stream.channel import ChannelError, DataSender, Lane, Start, Started, StartRequest
from mindspore_rec.stream.control import start_time
from mindspore_rec.stream.cutter import FrameCutter, chunk_of
from mindspore_rec.stream.dead_letter import DeadLetters, open_dead_letters
from mindspore_rec.stream.kafka import OffsetOutOfRange, Source
from mindspore_rec.stream.messages import Message, MessageInfo, describe
from mindspore_rec.stream.position import RowPosition

_log = logging.getLogger(__name__)
