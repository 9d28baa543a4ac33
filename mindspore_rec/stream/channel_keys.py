"""CURVE keys of a channel: made once, read from a folder by each side, put on its sockets.

A folder of keys holds ``consumer/`` (``server.key_secret`` and ``clients/NAME.key``, one for each trainer let in) and,
for each trainer, ``NAME/`` (``client.key_secret`` and the consumer's public ``server.key``). Each side needs its own
part only. The files are ZeroMQ certificates.
"""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import FrozenSet, List, Sequence, Tuple

import zmq
import zmq.auth
from zmq.auth.thread import ThreadAuthenticator
from zmq.utils import z85

from mindspore_rec.config import UserError
from mindspore_rec.stream.control import ChannelError

CONSUMER = "consumer"
CLIENTS = "clients"
DOMAIN = "channel"
NAMES = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True)
class ConsumerKeys:
    """The consumer's own pair, and the public keys of the trainers that may connect; all in Z85."""

    public: bytes
    secret: bytes = field(repr=False)
    clients: FrozenSet[bytes]

    def secure(self, socket: zmq.Socket[bytes]) -> None:
        """Have a socket that is not bound yet speak with such trainers only, and only encrypted."""
        socket.curve_server = True
        socket.curve_publickey, socket.curve_secretkey = self.public, self.secret
        socket.zap_domain = DOMAIN.encode()
        socket.set(zmq.ZAP_ENFORCE_DOMAIN, 1)  # nobody is let in while no authenticator runs

    def authenticator(self, context: zmq.Context[zmq.Socket[bytes]]) -> ThreadAuthenticator:
        """A thread that decides who is let in at the sockets of a context; stop it after they were closed."""
        thread = ThreadAuthenticator(context)
        thread.certs[DOMAIN] = dict.fromkeys(self.clients, True)
        thread.start()
        return thread


@dataclass(frozen=True)
class TrainerKeys:
    """A trainer's own pair, and the consumer's public key; all in Z85."""

    public: bytes
    secret: bytes = field(repr=False)
    server: bytes

    def secure(self, socket: zmq.Socket[bytes]) -> None:
        """Have a socket that is not connected yet speak with this consumer only, and only encrypted."""
        socket.curve_serverkey = self.server
        socket.curve_publickey, socket.curve_secretkey = self.public, self.secret


def consumer_keys(folder: Path) -> ConsumerKeys:
    """The keys of a consumer.

    Raises:
        ChannelError: a file is missing, is no key, or is a secret that others can read.
    """
    public, secret = _pair(folder, "server.key_secret")
    clients = sorted((folder / CLIENTS).glob("*.key"))
    if not clients:
        raise _wrong(folder, f"the public key of each trainer in it, {CLIENTS}/NAME.key; there is none")
    return ConsumerKeys(public, secret, frozenset(_read(folder, path)[0] for path in clients))


def trainer_keys(folder: Path) -> TrainerKeys:
    """The keys of a trainer.

    Raises:
        ChannelError: a file is missing, is no key, or is a secret that others can read.
    """
    public, secret = _pair(folder, "client.key_secret")
    return TrainerKeys(public, secret, _read(folder, folder / "server.key")[0])


def make_keys(folder: Path, trainers: Sequence[str]) -> List[Path]:
    """Make the folder of a consumer, unless it is there, and one for each of some new trainers, which it lets in.

    Args:
        folder: of all of them; the secrets in it are readable by their owner alone.
        trainers: names, each of letters, digits and ``.``, ``_``, ``-``.

    Returns:
        The folders that were made.

    Raises:
        UserError: a name that is no name or is there already, or a folder that cannot be written.
    """
    for name in trainers:
        if not NAMES.fullmatch(name) or name == CONSUMER:
            raise UserError(f"NAME = {name}: expected letters, digits, '.', '_' or '-', and not {CONSUMER}")
        if (folder / name).exists() or trainers.count(name) > 1:
            raise UserError(f"NAME = {name}: expected a new one; {folder / name} would be written twice")
    try:
        return _make(folder, trainers)
    except OSError as error:
        raise UserError(f"{error.filename}: {error.strerror}") from None


def _make(folder: Path, trainers: Sequence[str]) -> List[Path]:
    made: List[Path] = []
    consumer = folder / CONSUMER
    if not consumer.exists():
        _make_pair(consumer, "server")
        (consumer / CLIENTS).mkdir(mode=0o700)
        (consumer / "server.key").unlink()  # it is in the secret file too; only trainers read this one
        made.append(consumer)
    server, _ = _pair(consumer, "server.key_secret")
    for name in trainers:
        _make_pair(folder / name, "client")
        (folder / name / "client.key").rename(consumer / CLIENTS / f"{name}.key")
        (folder / name / "server.key").write_text(f'curve\n    public-key = "{server.decode()}"\n', "ascii")
        made.append(folder / name)
    return made


def _make_pair(folder: Path, name: str) -> None:
    folder.mkdir(mode=0o700, parents=True)  # nobody else gets at the secret before its mode is set
    _, secret = zmq.auth.create_certificates(folder, name)
    os.chmod(secret, 0o600)


def _pair(folder: Path, name: str) -> Tuple[bytes, bytes]:
    path = folder / name
    public, secret = _read(folder, path)
    if not secret:
        raise _wrong(folder, f"a secret key in {name}")
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise _wrong(folder, f"{name} readable by its owner alone (chmod 600)")
    return public, secret


def _read(folder: Path, path: Path) -> Tuple[bytes, bytes]:
    try:
        public, secret = zmq.auth.load_certificate(path)
        if any(len(z85.decode(key)) != 32 for key in (public, secret or public)):
            raise ValueError("no key of 32 bytes")
    except OSError:
        expected = f"{path.relative_to(folder)} in it, as `python -m mindspore_rec channel keys` makes it"
        raise _wrong(folder, expected) from None
    except (ValueError, KeyError, ArithmeticError):
        raise _wrong(folder, f"a CURVE key in {path.relative_to(folder)}") from None
    return public, secret or b""


def _wrong(folder: Path, expected: str) -> ChannelError:
    return ChannelError(f"channel_keys: {str(folder)!r}, expected {expected}")
