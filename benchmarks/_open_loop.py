"""Requests at fixed times, whatever became of the ones before: latencies count from the scheduled time."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass, field
from typing import Any, Dict, List, Sequence, Tuple

CONNECTIONS = 16
DEADLINE = 10.0


@dataclass
class Answers:
    """What came back.

    Attributes:
        latencies: seconds of each request that was answered, from its scheduled time.
        failed: requests without an answer 200.
        first_seen: by version, seconds since 1970 when the first answer of it was here.
        kept: of every so many answers the number of its body, its version and its probabilities.
    """

    latencies: List[float] = field(default_factory=list)
    failed: int = 0
    first_seen: Dict[int, float] = field(default_factory=dict)
    kept: List[Tuple[int, int, List[float]]] = field(default_factory=list)


def body_of(rows: Sequence[str]) -> bytes:
    """A request of TSV rows."""
    return json.dumps({"instances": list(rows)}).encode()


def post(path: str, port: int, body: bytes) -> bytes:
    """The bytes of a request."""
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


async def read_answer(reader: asyncio.StreamReader) -> Tuple[int, bytes]:
    """Status and body of a response that says how long it is."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    length = next(int(line.split(":")[1]) for line in head.split("\r\n") if line.lower().startswith("content-length:"))
    return int(head.split(" ", 2)[1]), await reader.readexactly(length)


class OpenLoop:
    """Sends requests in turn, so many a second.

    Args:
        port: of the server on loopback.
        path: of the requests.
        bodies: sent in turn.
        rate: requests a second.
        keep_every: of so many answers one is kept.
    """

    def __init__(self, port: int, path: str, bodies: Sequence[bytes], rate: float, keep_every: int = 25) -> None:
        self._port, self._rate, self._keep_every = port, rate, keep_every
        self._requests = [post(path, port, body) for body in bodies]
        self.sent = 0
        self.answers = Answers()

    def run(self, seconds: float) -> None:
        """Send for so long, and wait for the answers."""
        asyncio.run(self._run(seconds))

    async def _run(self, seconds: float) -> None:
        idle: asyncio.Queue[Tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()
        for _ in range(CONNECTIONS):
            idle.put_nowait(await asyncio.open_connection("127.0.0.1", self._port))
        begin, tasks = time.perf_counter(), set()
        for number in range(int(seconds * self._rate)):
            scheduled = begin + number / self._rate
            await asyncio.sleep(max(0.0, scheduled - time.perf_counter()))
            task = asyncio.ensure_future(self._request(idle, number, scheduled))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            self.sent += 1
        await asyncio.gather(*tasks)

    async def _request(self, idle: Any, number: int, scheduled: float) -> None:
        place = number % len(self._requests)
        reader, writer = await idle.get()
        try:
            writer.write(self._requests[place])
            status, content = await asyncio.wait_for(read_answer(reader), DEADLINE)
        except (OSError, asyncio.TimeoutError, asyncio.IncompleteReadError):
            self.answers.failed += 1
            writer.close()
            idle.put_nowait(await asyncio.open_connection("127.0.0.1", self._port))
            return
        done = time.perf_counter()
        idle.put_nowait((reader, writer))
        if status != 200:
            self.answers.failed += 1
            return
        self.answers.latencies.append(done - scheduled)
        answer = json.loads(content)
        version = int(answer["model_version"])
        self.answers.first_seen.setdefault(version, time.time())
        if number % self._keep_every == 0:
            self.answers.kept.append((place, version, [float(row[0]) for row in answer["predictions"]]))
