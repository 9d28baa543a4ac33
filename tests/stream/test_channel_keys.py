"""Keys of a channel, over real sockets: who is let in, what is read on the way, what is said of a key that is wrong."""

from __future__ import annotations

import logging
import shutil
import time
from contextlib import closing
from pathlib import Path
from typing import Any, Callable, Iterator, List, Optional

import numpy as np
import pytest

from mindspore_rec.config import UserError
from mindspore_rec.stream.channel import ChannelError, DataReceiver, DataSender
from mindspore_rec.stream.channel_keys import consumer_keys, make_keys, trainer_keys
from tests.stream.free_ports import free_ports
from tests.stream.relay import Relay

WORD = b"nobody else should read this"


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    make_keys(tmp_path / "keys", ["trainer"])
    return tmp_path / "keys"


def other_keys(keys: Path) -> Path:
    """Those of another channel."""
    other = keys.with_name("other")
    make_keys(other, ["trainer"])
    return other


@pytest.fixture
def channel() -> Iterator[Callable[..., Any]]:
    """Makes a sender and a receiver of the same channel with their folders of keys; both are closed."""
    ends: List[Any] = []

    def made(consumer: Optional[Path], trainer: Optional[Path], **options: Any) -> Any:
        port = free_ports(1)
        sender = DataSender(
            "127.0.0.1", "ns", 1, "clicks", port=port, channel_keys=None if consumer is None else str(consumer)
        )
        ends.append(sender)
        keys = None if trainer is None else str(trainer)
        receiver = DataReceiver("127.0.0.1", "ns", 0, "clicks", port=options.get("through", port), channel_keys=keys)
        ends.append(receiver)
        return sender, receiver, port

    yield made
    for end in ends[::-1]:
        end.close(0.1)


def said(caplog: pytest.LogCaptureFixture, receiver: DataReceiver, *texts: str) -> bool:
    """Whether these lines are logged within ten seconds, while the receiver waits in vain."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with pytest.raises(TimeoutError):
            receiver.recv(0.1)
        if all(any(text in message for message in caplog.messages) for text in texts):
            return True
    return False


@pytest.mark.parametrize("encrypted", [False, True])
def test_what_is_sent_is_encrypted(encrypted: bool, keys: Path) -> None:
    port, through = free_ports(1), free_ports(1)
    folders = (str(keys / "consumer"), str(keys / "trainer")) if encrypted else (None, None)
    with Relay(through, port) as relay:
        sender = DataSender("127.0.0.1", "secret-namespace", 1, "clicks", port=port, channel_keys=folders[0])
        receiver = DataReceiver("127.0.0.1", "secret-namespace", 0, "clicks", port=through, channel_keys=folders[1])
        with closing(sender), closing(receiver):
            sender.send(np.frombuffer(WORD, np.uint8))
            assert receiver.recv(10).tobytes() == WORD
        assert len(relay.seen) > 500
        # both ways: the receiver's START has the namespace in it, the sender's object the word
        assert [word in relay.seen for word in (WORD, b"secret-namespace")] == [not encrypted] * 2


def test_every_trainer_with_a_key_is_let_in(channel: Callable[..., Any], keys: Path) -> None:
    make_keys(keys, ["second"])
    for name in ("trainer", "second"):
        sender, receiver, _ = channel(keys / "consumer", keys / name)
        sender.send(np.arange(5))
        assert receiver.recv(10).tolist() == [0, 1, 2, 3, 4]


def test_a_sender_with_keys_leaves_its_port(keys: Path) -> None:
    port = free_ports(1)
    for count in (5, 3):
        sender = DataSender("127.0.0.1", "ns", 1, "clicks", port=port, channel_keys=str(keys / "consumer"))
        sender.send(np.arange(count))
        receiver = DataReceiver("127.0.0.1", "ns", 0, "clicks", port=port, channel_keys=str(keys / "trainer"))
        assert len(receiver.recv(10)) == count
        receiver.close()
        sender.close()


def test_a_key_that_is_not_known_is_turned_away(
    channel: Callable[..., Any], keys: Path, caplog: pytest.LogCaptureFixture
) -> None:
    make_keys(keys, ["former"])
    (keys / "consumer" / "clients" / "former.key").unlink()
    sender, receiver, port = channel(keys / "consumer", keys / "former")
    sender.send(np.arange(5))
    expected = rf"channel_keys: the consumer at 127.0.0.1:{port} does not know this trainer's key, expected it among"
    with pytest.raises(ChannelError, match=expected):
        receiver.recv(10)
    good = DataReceiver("127.0.0.1", "ns", 0, "clicks", port=port, channel_keys=str(keys / "trainer"))
    assert good.recv(10).tolist() == [0, 1, 2, 3, 4]
    good.close()
    assert [m for m in caplog.messages if "a key that is not among clients/*.key here was turned away" in m]


@pytest.mark.parametrize("side", ["consumer", "trainer"])
def test_keys_on_one_side_alone_are_refused(
    side: str, channel: Callable[..., Any], keys: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folders = {"consumer": keys / "consumer", "trainer": None} if side == "consumer" else {"trainer": keys / "trainer"}
    sender, receiver, port = channel(folders.get("consumer"), folders.get("trainer"))
    sender.send(np.arange(5))
    here, there = ("null", "has keys") if side == "consumer" else ("given", "has no keys")
    with pytest.raises(ChannelError, match=rf"channel_keys: {here}, but the consumer at 127.0.0.1:{port} {there}; exp"):
        receiver.recv(10)


def test_another_consumers_key_is_said_on_both_sides(
    channel: Callable[..., Any], keys: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    shutil.copy(other_keys(keys) / "trainer" / "server.key", keys / "trainer" / "server.key")
    sender, receiver, port = channel(keys / "consumer", keys / "trainer")
    sender.send(np.arange(5))
    assert said(
        caplog,
        receiver,
        f"127.0.0.1:{port} closed the connection at once, trying again: if it goes on, server.key here is not its key",
        "a trainer with another server.key than this consumer's was turned away",
    )
    with pytest.raises(TimeoutError):
        receiver.recv(1.0)  # some ten tries
    assert len(caplog.messages) == 2, "a line each, not one for each try"


def test_secrets_are_for_their_owner_alone(keys: Path) -> None:
    secrets = sorted(keys.rglob("*.key_secret"))
    assert [path.name for path in secrets] == ["server.key_secret", "client.key_secret"]
    assert [oct(path.stat().st_mode & 0o777) for path in secrets] == ["0o600"] * 2
    shown = repr(consumer_keys(keys / "consumer")) + repr(trainer_keys(keys / "trainer"))
    for path in secrets:
        path.chmod(0o640)
        read = consumer_keys if path.name.startswith("server") else trainer_keys
        with pytest.raises(ChannelError, match=rf"expected {path.name} readable by its owner alone \(chmod 600\)"):
            read(path.parent)
        secret = path.read_text().split("secret-key = ")[1].strip().strip('"')
        assert secret not in shown


def test_keys_that_are_there_stay(keys: Path) -> None:
    before = {path: path.read_bytes() for path in keys.rglob("*.key*")}
    with pytest.raises(UserError, match=r"NAME = trainer: expected a new one"):
        make_keys(keys, ["second", "trainer"])
    make_keys(keys, ["second"])
    assert {path: path.read_bytes() for path in before} == before
    assert trainer_keys(keys / "second").server == consumer_keys(keys / "consumer").public
    assert trainer_keys(keys / "second").public in consumer_keys(keys / "consumer").clients


@pytest.mark.parametrize("name", ["consumer", "../up", "", "a/b", ".hidden"])
def test_a_name_that_is_none_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"NAME = .*: expected letters, digits"):
        make_keys(tmp_path, [name])
    assert list(tmp_path.iterdir()) == []


def test_what_is_missing_is_named(keys: Path) -> None:
    with pytest.raises(ChannelError, match=r"channel_keys: '.*/consumer', expected client\.key_secret in it"):
        trainer_keys(keys / "consumer")
    with pytest.raises(ChannelError, match=r"channel_keys: '.*/trainer', expected server\.key_secret in it"):
        consumer_keys(keys / "trainer")
    with pytest.raises(ChannelError, match=r"channel_keys: '.*/nowhere', expected client\.key_secret in it"):
        trainer_keys(keys / "nowhere")
    (keys / "consumer" / "clients" / "trainer.key").unlink()
    with pytest.raises(ChannelError, match=r"expected the public key of each trainer in it, clients/NAME\.key"):
        consumer_keys(keys / "consumer")


@pytest.mark.parametrize("key", ["", "x" * 39, "~" * 40, "a" * 35])
def test_a_file_that_holds_no_key_is_named(key: str, keys: Path) -> None:
    (keys / "trainer" / "server.key").write_text(f'curve\n    public-key = "{key}"\n', "ascii")
    with pytest.raises(ChannelError, match=r"expected a CURVE key in server\.key"):
        trainer_keys(keys / "trainer")
