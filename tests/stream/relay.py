"""A TCP connection through the test, which keeps what went over it."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import List


class Relay:
    """Listens on a port, passes one connection after another on to another port, and keeps the bytes of both ways."""

    def __init__(self, port: int, target: int) -> None:
        self.seen = bytearray()
        self._target = target
        self._open: List[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", port))
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def __enter__(self) -> Relay:
        return self

    def __exit__(self, *_: object) -> None:
        for end in (self._listener, *self._open):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)
        for end in (self._listener, *self._open):
            end.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(("127.0.0.1", self._target), 10)
                far.settimeout(None)
                self._open += [near, far]
                for source, sink in ((near, far), (far, near)):
                    thread = threading.Thread(target=self._pass_on, args=(source, sink), daemon=True)
                    self._threads.append(thread)
                    thread.start()

    def _pass_on(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                piece = source.recv(1 << 16)
                if not piece:
                    sink.shutdown(socket.SHUT_WR)
                    return
                self.seen += piece
                sink.sendall(piece)
