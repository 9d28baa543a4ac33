"""Programs run side by side under one: their output in log files, their end noticed, none of them left behind."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import subprocess
import threading
import time
from collections import deque
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Callable, Deque, Dict, Mapping, Optional, Sequence, Type, Union

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
TAIL_LINES = 15


class Programs:
    """Child processes, each in a session of its own, that end with the ``with`` block, however it is left.

    Inside the block SIGINT, SIGTERM and SIGHUP are held until ``wait``, which raises KeyboardInterrupt: so no signal
    can fall between the start of a child and the note that it was started.

    Args:
        folder: their working directory and the place of ``<name>.log``, which gets stdout and stderr.
        grace: seconds a program has to end after SIGTERM before it is killed.
    """

    def __init__(self, folder: Path, grace: float = 20.0) -> None:
        self._folder = folder
        self._grace = grace
        self._processes: Dict[str, subprocess.Popen[bytes]] = {}
        self._live: Dict[str, subprocess.Popen[bytes]] = {}  # started, and not seen to their end by stop
        self._readers: Dict[str, threading.Thread] = {}
        self._tails: Dict[str, Deque[str]] = {}
        self._spoke: Dict[str, float] = {}
        self._events: queue.SimpleQueue[Union[str, int]] = queue.SimpleQueue()  # its put is safe in a signal handler
        self._handlers: Dict[int, Any] = {}

    def __enter__(self) -> Programs:
        for number in SIGNALS:
            self._handlers[number] = signal.signal(number, self._note_signal)
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        try:
            self.stop()
        finally:
            for number, handler in self._handlers.items():
                signal.signal(number, handler)

    def start(
        self,
        name: str,
        command: Sequence[str],
        environ: Mapping[str, str],
        on_line: Optional[Callable[[str], None]] = None,
    ) -> None:
        """Start a program.

        Args:
            name: what it is called here; its log is ``<name>.log``.
            command: program and arguments.
            environ: its environment.
            on_line: called with each line it writes, from another thread.
        """
        process = subprocess.Popen(
            list(command),
            cwd=self._folder,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._processes[name] = self._live[name] = process
        self._tails[name] = deque(maxlen=TAIL_LINES)
        self._spoke[name] = time.monotonic()
        reader = threading.Thread(target=self._read, args=(name, process, on_line), name=f"{name} log", daemon=True)
        self._readers[name] = reader
        reader.start()

    def wait(self, timeout: float) -> Optional[str]:
        """The name of a program that ended, each once; None when none did within ``timeout`` seconds.

        Raises:
            KeyboardInterrupt: SIGINT, SIGTERM or SIGHUP came.
        """
        try:
            event = self._events.get(timeout=max(timeout, 0.0))
        except queue.Empty:
            return None
        if isinstance(event, int):
            raise KeyboardInterrupt
        return event

    def status(self, name: str) -> Optional[int]:
        """Exit status of a program, negative for a signal, None while it runs."""
        return self._processes[name].poll()

    def send_signal(self, name: str, number: signal.Signals) -> None:
        """Send a signal to a program, if it still runs."""
        self._processes[name].send_signal(number)

    def tail(self, name: str) -> Sequence[str]:
        """The last lines a program wrote."""
        return list(self._tails[name])

    def silence(self, name: str) -> float:
        """Seconds since a program last wrote a line, or since its start."""
        return time.monotonic() - self._spoke[name]

    def log(self, name: str) -> Path:
        """The file that holds all a program wrote."""
        return self._folder / f"{name}.log"

    def stop(self) -> None:
        """End what still runs: SIGTERM, and after the grace, or at another signal to us, SIGKILL."""
        self._signal_groups(signal.SIGTERM)
        deadline = time.monotonic() + self._grace
        while any(process.poll() is None for process in self._live.values()) and time.monotonic() < deadline:
            try:
                self.wait(min(deadline - time.monotonic(), 1.0))
            except KeyboardInterrupt:
                break
        self._signal_groups(signal.SIGKILL)
        for name, process in self._live.items():
            process.wait()
            self._readers[name].join(timeout=5)
        self._live.clear()

    def _signal_groups(self, number: signal.Signals) -> None:
        """Also for a program that ended: what it started itself may still run."""
        for process in self._live.values():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, number)

    def _note_signal(self, number: int, frame: Optional[FrameType]) -> None:
        self._events.put(number)

    def _read(self, name: str, process: subprocess.Popen[bytes], on_line: Optional[Callable[[str], None]]) -> None:
        with self.log(name).open("ab") as log:
            for raw in process.stdout or ():
                log.write(raw)
                log.flush()
                line = raw.decode("utf-8", "replace").rstrip("\r\n")
                self._tails[name].append(line)
                self._spoke[name] = time.monotonic()
                if on_line is not None:
                    with contextlib.suppress(OSError):  # a closed terminal must not stop the program's log
                        on_line(line)
        process.wait()
        self._events.put(name)
