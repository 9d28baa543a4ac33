"""Signals to the launcher, and ends of its children, as something to select on."""

from __future__ import annotations

import contextlib
import signal
import socket
from types import FrameType, TracebackType
from typing import Callable, Dict, Iterator, List, Optional, Type

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StopRequests:
    """While entered, SIGINT, SIGTERM, SIGHUP and SIGCHLD wake a selector and do nothing else.

    A signal that comes while nobody selects waits in a socket, so none is lost between two attempts of a job.
    """

    def __init__(self) -> None:
        self._handlers: Dict[int, object] = {}

    def __enter__(self) -> StopRequests:
        self._receiver, self._sender = socket.socketpair()
        self._receiver.setblocking(False)
        self._sender.setblocking(False)
        self._previous = signal.set_wakeup_fd(self._sender.fileno(), warn_on_full_buffer=False)
        for number in (*STOP_SIGNALS, signal.SIGCHLD):
            self._handlers[number] = signal.signal(number, self._wake)
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        signal.set_wakeup_fd(self._previous)
        self._sender.close()
        self._receiver.close()

    def fileno(self) -> int:
        """For a selector."""
        return self._receiver.fileno()

    def taken(self) -> List[int]:
        """The stop signals that came since, in order."""
        numbers = b""
        with contextlib.suppress(BlockingIOError):
            numbers = self._receiver.recv(4096)
        return [number for number in numbers if number in STOP_SIGNALS]

    @contextlib.contextmanager
    def forking(self) -> Iterator[Callable[[], None]]:
        """Start a process in this block, with what it yields as its ``preexec_fn``.

        Until it executes its program, a child has our handlers and our socket, and is in our process group: Ctrl-C
        would be written to the socket twice. So signals are held, and those the child holds are dropped.
        """
        held = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)

        def in_child() -> None:
            for number in STOP_SIGNALS:
                signal.signal(number, signal.SIG_IGN)
            signal.pthread_sigmask(signal.SIG_SETMASK, held)
            for number in STOP_SIGNALS:
                signal.signal(number, signal.SIG_DFL)

        try:
            yield in_child
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, held)

    def _wake(self, number: int, frame: Optional[FrameType]) -> None:
        """Installed so that the default action is not taken; the interpreter writes the number to the socket."""
