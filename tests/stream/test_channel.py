"""Sender and receiver over real sockets: objects, frames, credits, restarts and refusals."""

from __future__ import annotations

import threading
import time
from typing import Any, Callable, Dict, List, Optional, Tuple

import numpy as np
import pytest
import zmq

from mindspore_rec.stream.batches import StreamBatches
from mindspore_rec.stream.channel import ChannelError, DataReceiver, DataSender, StartRequest
from mindspore_rec.stream.frame import Frame, Kind, decode, encode
from mindspore_rec.stream.interleave import Batch
from mindspore_rec.stream.position import RowPosition, StreamPosition
from tests.stream.frame_building import Row, partition_rows
from tests.stream.frame_server import FrameServer
from tests.stream.free_ports import free_ports

LANES = {p: partition_rows(p, [[True, False, True, True]] * 6) for p in range(4)}


def kept(rows: List[Row]) -> List[int]:
    return [row.value for row in rows if row.kept]


def receiver(port: int, shard_id: int = 0, **options: Any) -> DataReceiver:
    return DataReceiver("127.0.0.1", options.pop("namespace", "ns"), shard_id, "clicks", port=port, **options)


def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "nothing happened in time"
        time.sleep(0.01)


def poll_until(link: DataReceiver, condition: Callable[[], bool], credit: bool = True) -> List[Frame]:
    """Frames received until ``condition``."""
    frames: List[Frame] = []

    def step() -> bool:
        for frame in link.poll(0.05):
            frames.append(frame)
            if credit:
                link.credit(frame.positions.partition)
        return condition()

    until(step)
    return frames


def values(frames: List[Frame], partition: int) -> List[int]:
    return [v for f in frames if f.positions.partition == partition for v in f.columns[0][:, 0].tolist()]


class TestObjects:
    def test_objects_arrive_split_and_in_order(self) -> None:
        port = free_ports(2)
        sender = DataSender("127.0.0.1", "ns", 2, "clicks", port=port, max_queue_size=100)
        for number in range(30):
            sender.send({"x": np.full((4, 3), number), "y": np.arange(4) + number})
        closer = threading.Thread(target=sender.close)
        closer.start()
        for shard_id in (1, 0):
            link = receiver(port, shard_id)
            for number in range(30):
                part = link.recv(10)
                assert part["x"].tolist() == [[number] * 3] * 2
                assert part["y"].tolist() == [number + 2 * shard_id, number + 2 * shard_id + 1]
            with pytest.raises(EOFError):
                link.recv(10)
            link.close()
        closer.join(10)
        assert not closer.is_alive()

    def test_the_receiver_may_be_first(self) -> None:
        port = free_ports(1)
        link = receiver(port)
        with pytest.raises(TimeoutError):
            link.recv(0.3)
        sender = DataSender("localhost", "ns", 1, "clicks", port=port)
        sender.send(np.arange(3))
        assert link.recv(10).tolist() == [0, 1, 2]
        sender.close()
        link.close()

    def test_send_blocks_while_the_queue_is_full(self) -> None:
        port = free_ports(1)
        sender = DataSender("127.0.0.1", "ns", 1, "clicks", max_queue_size=3, port=port)
        sent: List[int] = []

        def send() -> None:
            for number in range(20):
                sender.send(np.array([number]))
                sent.append(number)

        thread = threading.Thread(target=send)
        thread.start()
        until(lambda: len(sent) == 3)
        thread.join(0.2)
        assert len(sent) == 3
        link = receiver(port, max_queue_size=4)
        link.start({})
        until(lambda: not link.poll(0.05) and len(sent) >= 7)
        thread.join(0.2)
        assert len(sent) == 3 + 4
        assert [link.recv(10).item() for _ in range(20)] == list(range(20))
        thread.join(10)
        sender.close()
        link.close()

    def test_the_sender_may_write_to_its_arrays_after_send(self) -> None:
        port = free_ports(1)
        sender = DataSender("127.0.0.1", "ns", 1, "clicks", port=port)
        array = np.zeros(2)
        sender.send(array)
        array[:] = 9
        link = receiver(port)
        assert link.recv(10).tolist() == [0, 0]
        sender.close()
        link.close()

    def test_close_does_not_wait_for_ever(self) -> None:
        sender = DataSender("127.0.0.1", "ns", 1, "clicks", port=free_ports(1))
        sender.send(np.zeros(2))
        sender.close(linger=0.1)

    def test_a_mismatch_ends_both(self) -> None:
        port = free_ports(1)
        sender = DataSender("127.0.0.1", "ns", 1, "clicks", port=port, max_queue_size=1)
        sender.send(np.zeros(2))
        link = receiver(port, namespace="other")
        with pytest.raises(ChannelError, match="namespace: the receiver has 'other', the sender 'ns'"):
            link.recv(10)
        with pytest.raises(ChannelError, match="namespace"):
            sender.send(np.zeros(2))
        sender.close()
        link.close()


class TestFrames:
    def test_a_shard_gets_its_partitions_in_order(self) -> None:
        port = free_ports(2)
        with FrameServer(port, LANES, num_shards=2) as server:
            for shard_id in (0, 1):
                link = receiver(port, shard_id, num_shards=2)
                frames = poll_until(link, lambda link=link: len(link.ended) == 2)
                assert link.stream is not None and sorted(link.stream.begin) == [shard_id, shard_id + 2]
                assert (link.stream.window_size, link.stream.spec_digest) == (4, "abc")
                for partition in link.stream.begin:
                    assert values(frames, partition) == kept(LANES[partition])
                assert dict(link.high) == {shard_id: 6, shard_id + 2: 6}
                link.close()
        assert not server.error

    def test_no_more_frames_than_credits(self) -> None:
        port = free_ports(1)
        with FrameServer(port, {0: LANES[0], 1: LANES[1]}, sizes=[2]) as server:
            link = receiver(port, max_queue_size=3)
            frames = poll_until(link, lambda: server.sent == 6, credit=False)
            frames += poll_until(link, lambda: not link.poll(0.3), credit=False)
            assert server.sent == len(frames) == 6
            link.credit(1, 2)
            frames = poll_until(link, lambda: server.sent == 8, credit=False)
            assert {frame.positions.partition for frame in frames} <= {1}
            link.close()

    def test_several_consumers_share_a_shard(self) -> None:
        port = free_ports(4)
        options = {"num_shards": 2, "num_consumers": 2}
        lanes = {p: partition_rows(p, [[True] * 3] * 4) for p in range(8)}
        with FrameServer(port, lanes, consumer_index=1, **options):
            link = receiver(port, 1, **options)
            until(lambda: not link.poll(0.1) and link.stream is None)
            with FrameServer(port, lanes, consumer_index=0, **options):
                frames = poll_until(link, lambda: len(link.ended) == 4)
                assert link.stream is not None and sorted(link.stream.begin) == [1, 3, 5, 7]
                for partition in (1, 3, 5, 7):
                    assert values(frames, partition) == kept(lanes[partition])
                link.close()

    def test_positions_and_topic_of_a_start_reach_the_sender(self) -> None:
        port = free_ports(1)
        sender = DataSender("127.0.0.1", "ns", 1, "clicks", port=port)
        link = receiver(port)
        link.start({0: RowPosition(4, 2)}, topic="clicks", rule="latest")
        requests: List[Any] = []
        until(lambda: not link.poll(0.02) and bool(requests.extend(sender.poll(0.02)) or requests))
        assert isinstance(requests[0], StartRequest)
        start = requests[0].start
        assert (start.positions, start.topic, start.rule, start.credits) == ({0: (4, 2)}, "clicks", "latest", 10)
        link.close()
        sender.close()

    def test_recv_gives_the_columns_of_frames(self) -> None:
        port = free_ports(1)
        with FrameServer(port, {0: LANES[0]}, sizes=[4]):
            link = receiver(port, max_queue_size=1)
            received = [link.recv(10) for _ in range(6)]
            assert [v for columns in received for v in columns[0][:, 0]] == kept(LANES[0])
            with pytest.raises(EOFError):
                link.recv(10)
            link.close()


class TestRestarts:
    def test_a_restarted_sender_continues_where_frames_stopped(self) -> None:
        port = free_ports(1)
        frames: List[Frame] = []
        link = receiver(port, max_queue_size=2)
        for _ in range(3):
            with FrameServer(port, {0: LANES[0], 1: LANES[1]}, sizes=[1, 2], bounded=False) as server:
                enough = len(frames) + 7
                while len(frames) < enough:
                    frames += poll_until(link, lambda: server.sent > 0)
        with FrameServer(port, {0: LANES[0], 1: LANES[1]}, sizes=[5]):
            frames += poll_until(link, lambda: link.ended == {0, 1})
        assert [values(frames, p) for p in (0, 1)] == [kept(LANES[0]), kept(LANES[1])]
        link.close()

    def test_frames_held_over_a_restart_keep_their_credits(self) -> None:
        port = free_ports(1)
        link = receiver(port, max_queue_size=3)
        held: List[Frame] = []
        with FrameServer(port, {0: LANES[0]}, sizes=[2]) as server:
            while len(held) < 3:  # what was sent but has not arrived is not held
                held += poll_until(link, lambda: server.sent == 3, credit=False)
        with FrameServer(port, {0: LANES[0]}, sizes=[2]) as server:
            poll_until(link, lambda: server.starts == 1)
            link.credit(0)
            held += poll_until(link, lambda: server.sent == 1, credit=False)
            held += poll_until(link, lambda: not link.poll(0.3), credit=False)
            assert server.sent == 1
            link.credit(0, 3)
            held += poll_until(link, lambda: server.sent == 4, credit=False)
        link.close()

    def test_a_new_receiver_replaces_one_that_is_gone(self) -> None:
        port = free_ports(1)
        with FrameServer(port, {0: LANES[0]}) as server:
            first = receiver(port, max_queue_size=2)
            poll_until(first, lambda: server.sent == 2, credit=False)
            first.close()
            second = receiver(port)
            second.start({0: RowPosition(1, 1)}, topic="clicks")
            frames = poll_until(second, lambda: second.ended == {0})
            assert values(frames, 0) == kept([r for r in LANES[0] if (r.offset, r.row) >= (1, 1)])
            second.close()

    def test_a_second_receiver_of_a_shard_takes_over_and_the_first_is_told(self) -> None:
        port = free_ports(1)
        with FrameServer(port, {0: LANES[0]}, bounded=False) as server:
            first, second = receiver(port), receiver(port)
            poll_until(first, lambda: server.starts == 1)
            poll_until(second, lambda: server.starts == 2)
            with pytest.raises(ChannelError, match="another receiver"):
                poll_until(first, lambda: False)
            poll_until(second, lambda: len(values([], 0)) == 0)
            first.close()
            second.close()

    def test_batches_are_exact_over_restarts_of_both_sides(self) -> None:
        port = free_ports(1)
        lanes = {p: partition_rows(p, [[True, True, False, True, True]] * 30) for p in range(3)}
        whole = run_batches(port, lanes, [5])
        assert sum(batch.info.rows for batch in whole) == sum(len(kept(rows)) for rows in lanes.values())
        again: List[Batch] = []
        position: Optional[StreamPosition] = None
        for sizes in ([1], [2, 3], [7]):  # the receiver is new each time, and the sender dies under it
            server = FrameServer(port, lanes, sizes, bounded=False)
            batches = StreamBatches(receiver(port, max_queue_size=2), 8, position=position)
            for number in range(6):
                if number == 3:
                    server.stop()
                    server = FrameServer(port, lanes, [4, 1], bounded=False)
                batch = batches.next_batch()
                assert batch is not None
                again.append(batch)
            position = StreamPosition.from_json(again[-1].info.position.to_json())
            batches.close()
            server.stop()
        again += run_batches(port, lanes, [3], position)
        assert [b.columns[0].tolist() for b in again] == [b.columns[0].tolist() for b in whole]
        assert [b.info.position for b in again] == [b.info.position for b in whole]
        assert [b.info.rejected for b in again] == [b.info.rejected for b in whole]


def run_batches(
    port: int, lanes: Dict[int, List[Row]], sizes: List[int], position: Optional[StreamPosition] = None
) -> List[Batch]:
    with FrameServer(port, lanes, sizes):
        batches = StreamBatches(receiver(port, max_queue_size=3), 8, position=position)
        found = list(batches)
        assert batches.final_info is not None
        batches.close()
    return found


class TestRefusals:
    @pytest.mark.parametrize(
        ("options", "match"),
        [
            ({"namespace": "other"}, "namespace"),
            ({"num_shards": 3}, "num_shards: the receiver has 3, the sender 1"),
        ],
    )
    def test_a_receiver_of_another_channel_ends_both(self, options: Any, match: str) -> None:
        port = free_ports(1)
        server = FrameServer(port, LANES)
        link = receiver(port, **options)
        with pytest.raises(ChannelError, match=match):
            poll_until(link, lambda: False)
        server.wait()
        assert isinstance(server.error[0], ChannelError)
        link.close()

    def test_ports_that_lead_to_another_shard_are_noticed(self) -> None:
        port = free_ports(2)
        server = FrameServer(port, LANES, num_shards=2)
        link = receiver(port - 1, 1)  # would be shard 1 of a channel at port - 1
        with pytest.raises(ChannelError, match="shard_id: the receiver has 1"):
            poll_until(link, lambda: False)
        server.wait()
        link.close()

    @pytest.mark.parametrize(
        ("changes", "match"),
        [
            ({"digest": "other"}, "features: .* spec other, expected abc"),
            ({"window_size": 9}, "window_size: .* 9, expected 4"),
            ({"num_consumers": 2}, "num_consumers: .* has 2, this receiver 1"),
        ],
    )
    def test_a_sender_that_was_changed_is_not_mixed_with_the_old(self, changes: Any, match: str) -> None:
        port = free_ports(1)
        link = receiver(port)
        with FrameServer(port, LANES, bounded=False) as server:
            poll_until(link, lambda: server.sent > 0)
        with FrameServer(port, LANES, **changes), pytest.raises(ChannelError, match=match):
            poll_until(link, lambda: False)
        link.close()

    def test_other_partitions_than_before_are_noticed(self) -> None:
        port = free_ports(1)
        link = receiver(port)
        with FrameServer(port, {0: LANES[0]}, bounded=False) as server:
            poll_until(link, lambda: server.sent > 0)
        with FrameServer(port, LANES), pytest.raises(ChannelError, match=r"partitions: .* serves \[0, 1, 2, 3\]"):
            poll_until(link, lambda: False)
        link.close()

    def test_a_shard_without_partitions_is_refused(self) -> None:
        port = free_ports(2)
        with FrameServer(port, {0: LANES[0]}, num_shards=2):
            link = receiver(port, 1, num_shards=2)
            with pytest.raises(ChannelError, match="no partition for shard 1"):
                poll_until(link, lambda: False)
            link.close()

    def test_a_port_in_use_is_one_line(self) -> None:
        port = free_ports(2)
        sender = DataSender("127.0.0.1", "ns", 1, "clicks", port=port + 1)
        with pytest.raises(ChannelError, match=rf"cannot listen on 127.0.0.1:{port + 1}: .*another consumer"):
            DataSender("127.0.0.1", "ns", 2, "clicks", port=port)
        sender.close()
        DataSender("127.0.0.1", "ns", 2, "clicks", port=port).close()

    def test_an_unknown_host_is_one_line(self) -> None:
        with pytest.raises(ChannelError, match="address: cannot resolve"):
            DataReceiver("no such host", "ns", 0, "clicks")
        with pytest.raises(ChannelError, match="address: cannot resolve"):
            DataSender("no such host", "ns", 1, "clicks")

    def test_arguments_out_of_range_are_refused(self) -> None:
        with pytest.raises(ValueError, match="full_batch=True is not supported"):
            DataSender("127.0.0.1", "ns", 1, "clicks", True)
        for bad in ({"num_shards": 0}, {"max_queue_size": 0}, {"consumer_index": -1}, {"port": 0}, {"port": 65536}):
            with pytest.raises(ValueError, match=next(iter(bad))):
                DataSender(**{"address": "127.0.0.1", "namespace": "ns", "num_shards": 1, "dataset_name": "d", **bad})
        for bad in ({"shard_id": 2, "num_shards": 2}, {"max_queue_size": 0}, {"num_consumers": 0}):
            with pytest.raises(ValueError, match=next(iter(bad))):
                DataReceiver(**{"address": "127.0.0.1", "namespace": "ns", "shard_id": 0, "dataset_name": "d", **bad})

    def test_send_wants_shard_and_positions_together(self) -> None:
        sender = DataSender("127.0.0.1", "ns", 1, "clicks", port=free_ports(1))
        with pytest.raises(ValueError, match="shard_id needs positions"):
            sender.send(np.zeros(1), shard_id=0)
        sender.close()

    def test_noise_on_the_port_is_ignored(self) -> None:
        port = free_ports(1)
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        noise = context.socket(zmq.DEALER)
        noise.connect(f"tcp://127.0.0.1:{port}")
        with FrameServer(port, {0: LANES[0]}) as server:
            for message in ([b""], [b"GET / HTTP/1.1"], encode(Kind.START, 5, {"shard": "x"}), [b"a"] * 2000):
                noise.send_multipart(message)
            for kind in Kind:
                noise.send_multipart(encode(kind, 3, {"lane": 0, "n": 10**9}))
            link = receiver(port)
            frames = poll_until(link, lambda: link.ended == {0})
            assert values(frames, 0) == kept(LANES[0])
            link.close()
        assert not server.error
        context.destroy(0)

    def test_a_sender_that_breaks_the_rules_is_an_error(self) -> None:
        port = free_ports(1)
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        rogue = context.socket(zmq.ROUTER)
        rogue.bind(f"tcp://127.0.0.1:{port}")
        answer = {"topic": "t", "lanes": {"0": {"begin": [0, 0], "high": 0}}}
        for kind, body, match in (
            (Kind.DATA, {"lane": 0}, "damaged"),
            (Kind.STARTED, {}, "damaged message: STARTED: topic"),
            (Kind.OBJECT, {"structure": 3}, "not asked for"),
        ):
            link = receiver(port)
            link.poll(0.05)
            peer, epoch = start_of(rogue, link)
            rogue.send_multipart([peer, *encode(kind, epoch + 1, {})])  # of another epoch: dropped
            rogue.send_multipart([peer, *encode(kind, epoch, body, [np.zeros(1)] if kind == Kind.OBJECT else [])])
            with pytest.raises(ChannelError, match=match):
                poll_until(link, lambda: False)
            link.close()
        link = receiver(port)
        peer, epoch = start_of(rogue, link)
        rogue.send_multipart([peer, *encode(Kind.STARTED, epoch, answer)])
        rogue.send_multipart([peer, *encode(Kind.STARTED, epoch, {**answer, "topic": "u"})])
        with pytest.raises(ChannelError, match="topic"):
            poll_until(link, lambda: False)
        link.close()
        context.destroy(0)


def start_of(rogue: zmq.Socket[bytes], link: DataReceiver) -> Tuple[bytes, int]:
    """The peer and epoch of the next START."""
    while True:
        until(lambda: bool(rogue.poll(10)) or bool(link.poll(0.05)))
        peer, *parts = rogue.recv_multipart()
        wire = decode(parts)
        if wire.kind == Kind.START:
            return peer, wire.epoch
