"""The streaming dataset under MindData: order, positions, waiting, stopping and leaving."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional

import numpy as np
import pytest

from mindspore_rec.config import ConfigError
from mindspore_rec.stream import dataset as dataset_module
from mindspore_rec.stream.channel import ChannelError, DataReceiver
from mindspore_rec.stream.dataset import StreamingDataset
from mindspore_rec.stream.position import StreamPosition
from tests.stream.frame_building import Row, partition_rows
from tests.stream.frame_server import FrameServer
from tests.stream.free_ports import free_ports

LANES = {p: partition_rows(p, [[True, True, False, True, True]] * 40) for p in range(2)}
ROWS = sum(row.kept for rows in LANES.values() for row in rows)


@pytest.fixture
def port() -> int:
    return free_ports(1)


@pytest.fixture
def opened() -> Iterator[List[StreamingDataset]]:
    """Datasets to close at the end."""
    datasets: List[StreamingDataset] = []
    yield datasets
    for dataset in datasets:
        dataset.close()


def open_dataset(port: int, opened: List[StreamingDataset], batch_size: int = 8, **options: Any) -> StreamingDataset:
    receiver = DataReceiver("127.0.0.1", "ns", 0, "clicks", port=port, max_queue_size=4)
    opened.append(StreamingDataset(receiver, batch_size, **options))
    return opened[-1]


def train(dataset: StreamingDataset, steps: Optional[int] = None) -> List[Any]:
    """What a training loop sees: (columns, info) of each batch."""
    seen = []
    for columns in dataset.create_tuple_iterator(num_epochs=1, output_numpy=True):
        seen.append((columns, dataset.next_info()))
        if len(seen) == steps:
            break
    return seen


def test_batches_arrive_in_order_with_their_infos(port: int, opened: List[StreamingDataset]) -> None:
    dataset = open_dataset(port, opened)
    with FrameServer(port, LANES):
        assert dataset.get_dataset_size() == sys.maxsize
        assert dataset.get_col_names() == ["id", "weight", "label"]
        assert dataset.spec_digest is None or dataset.spec_digest == "abc"
        assert dataset.wait_started(10)
        assert (dataset.spec_digest, dataset.spec_json) == ("abc", "")
        seen = train(dataset)
    for (ids, weights, labels), info in seen:
        assert ids.dtype == np.int64 and weights.dtype == np.float32 and labels.dtype == np.float32
        assert ids.shape == weights.shape == (info.rows, 2) and labels.shape == (info.rows, 1)
        assert ids[:, 0].tolist() == info.source_rows.tolist()
    assert [info.rows for _, info in seen] == [8] * (ROWS // 8) + ([ROWS % 8] if ROWS % 8 else [])
    assert seen[-1][1].position.rows_taken == ROWS
    assert dataset.error is None
    assert dataset.final_info is not None and dataset.final_info.position.rows == sum(map(len, LANES.values()))


def test_a_dataset_continues_at_a_position(port: int, opened: List[StreamingDataset]) -> None:
    with FrameServer(port, LANES):
        whole = [columns[0].tolist() for columns, _ in open_dataset(port, opened).batches()]
        first = train(open_dataset(port, opened), steps=5)
        opened[-1].close()
        position = StreamPosition.from_json(first[-1][1].position.to_json())
        rest = train(open_dataset(port, opened, position=position))
    assert [columns[0].tolist() for columns, _ in first + rest] == whole


def test_a_look_at_the_shapes_loses_no_batch(port: int, opened: List[StreamingDataset]) -> None:
    dataset = open_dataset(port, opened)
    with FrameServer(port, LANES):
        assert dataset.output_shapes() == [[8, 2], [8, 2], [8, 1]]
        assert dataset.output_types() == [np.int64, np.float32, np.float32]
        first = train(dataset, steps=3)
        second = train(dataset)
    seen = first + second
    assert sum(info.rows for _, info in seen) == ROWS
    assert all(columns[0][:, 0].tolist() == info.source_rows.tolist() for columns, info in seen)


@pytest.mark.parametrize("served", [False, True])
def test_stop_ends_a_waiting_iteration(port: int, opened: List[StreamingDataset], served: bool) -> None:
    dataset = open_dataset(port, opened)
    lanes: Dict[int, List[Row]] = {0: LANES[0][:20]}
    server = FrameServer(port, lanes, bounded=False) if served else None
    seen: List[Any] = []
    thread = threading.Thread(target=lambda: seen.extend(train(dataset)))
    thread.start()
    if server is not None:
        assert dataset.wait_started(10)
    dataset.stop()
    thread.join(10)
    assert not thread.is_alive()
    assert len(seen) <= 2 and dataset.error is None and dataset.final_info is None
    dataset.close()
    dataset.close()
    if server is not None:
        server.stop()


def test_max_rows_ends_a_stream_that_goes_on(port: int, opened: List[StreamingDataset]) -> None:
    dataset = open_dataset(port, opened, max_rows=37)
    with FrameServer(port, LANES, bounded=False):
        seen = train(dataset)
    assert seen[-1][1].position.rows == 37


def test_a_short_batch_comes_after_max_wait(port: int, opened: List[StreamingDataset]) -> None:
    dataset = open_dataset(port, opened, batch_size=100, max_wait=0.2)
    with FrameServer(port, {0: LANES[0][:5]}, bounded=False):
        ((_, info),) = train(dataset, steps=1)
    assert info.rows <= 4


def test_a_refusal_ends_the_iteration_and_is_kept(port: int, opened: List[StreamingDataset]) -> None:
    dataset = open_dataset(port, opened)
    with FrameServer(port, LANES, namespace="other"):
        assert train(dataset) == []
    assert isinstance(dataset.error, ChannelError) and "namespace" in str(dataset.error)


def test_infos_are_bounded_where_nobody_asks(
    port: int, opened: List[StreamingDataset], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dataset_module, "MAX_UNREAD", 5)
    dataset = open_dataset(port, opened)
    with pytest.raises(RuntimeError, match="no batch"):
        dataset.next_info()
    with FrameServer(port, LANES):
        batches = list(dataset.create_tuple_iterator(num_epochs=1, output_numpy=True))
    assert sum(len(columns[0]) for columns in batches) == ROWS
    with pytest.raises(RuntimeError, match="call it once for each batch"):
        dataset.next_info()


def test_arguments_are_checked(port: int) -> None:
    receiver = DataReceiver("127.0.0.1", "ns", 0, "clicks", port=port)
    with pytest.raises(ConfigError, match="start: 'yesterday', expected earliest, latest or an ISO time"):
        StreamingDataset(receiver, 8, start="yesterday")
    with pytest.raises(ValueError, match="batch_size=0"):
        StreamingDataset(receiver, 0)
    receiver.close()


@pytest.mark.parametrize("kind", ["tuple", "dict"])
def test_an_iterator_may_be_dropped_while_it_waits(port: int, opened: List[StreamingDataset], kind: str) -> None:
    dataset = open_dataset(port, opened)
    with FrameServer(port, {0: LANES[0][:12]}, bounded=False):
        first = getattr(dataset, f"create_{kind}_iterator")(num_epochs=1, output_numpy=True)
        columns = next(first)
        second = getattr(dataset, f"create_{kind}_iterator")(num_epochs=1, output_numpy=True)
        del first
        again = next(second)
        del second
    for one, other in zip(*((c.values() if kind == "dict" else c) for c in (columns, again))):
        np.testing.assert_array_equal(one, other)


LEAVING = """
import sys
from mindspore_rec.logs import quiet_mindspore
quiet_mindspore()
from mindspore_rec.stream.channel import DataReceiver
from mindspore_rec.stream.dataset import StreamingDataset

port, steps = int(sys.argv[1]), int(sys.argv[2])
dataset = StreamingDataset(DataReceiver("127.0.0.1", "ns", 0, "clicks", port=port), 8)
iterator = dataset.create_tuple_iterator(num_epochs=1)
for _ in range(steps):
    next(iterator)
    dataset.next_info()
print("left", flush=True)
"""


@pytest.mark.parametrize("steps", [0, 1, 5])
def test_a_program_may_leave_in_the_middle(port: int, steps: int) -> None:
    """Neither a hang nor a word at exit, while MindData's thread waits for rows or has batches left."""
    root = Path(__file__).parents[2]
    with FrameServer(port, {0: LANES[0][: 5 * 10 + 2]}, bounded=False):
        done = subprocess.run(
            [sys.executable, "-c", LEAVING, str(port), str(steps)],
            env={**os.environ, "PYTHONPATH": str(root)},
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert (done.returncode, done.stdout, done.stderr) == (0, "left\n", "")


def test_the_room_is_importable_without_mindspore() -> None:
    code = (
        "import sys, mindspore_rec.stream as s; s.DataReceiver, s.Consumer, s.StreamBatches; "
        "sys.exit('mindspore' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2]).returncode == 0
