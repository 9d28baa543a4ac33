"""The run in which processes are killed: feeds the topic, follows the trainer, and carries out the plan."""

from __future__ import annotations

import signal
import sys
import time
from collections import Counter, deque
from contextlib import closing
from pathlib import Path
from typing import Callable, Deque, List, Sequence
from typing import Counter as CounterType

from mindspore_rec.cli.chaos_plan import POINTS, Kill
from mindspore_rec.cli.chaos_programs import AUDIT_FILE, CommandLines
from mindspore_rec.cli.processes import Programs
from mindspore_rec.config import KafkaConfig, UserError
from mindspore_rec.stream.broker import Broker
from mindspore_rec.stream.kafka import open_source
from mindspore_rec.train.audit_progress import Audited, read_progress

POLL_SECONDS = 0.02
STALL_SECONDS = 120.0
"""Nothing was trained and no process ended for so long: something hangs."""
POINT_SECONDS = 300.0
"""The longest wait for a process to reach a named point."""
SHORT_SECONDS, SLOW_SECONDS = 0.5, 4.0
"""How long the producer takes for a short segment, and where it or the broker is to be killed meanwhile."""


class ChaosRun:
    """One run, from an empty topic to the last row.

    Args:
        plan: kills in the order of rows.
        rows: of the run.
        programs: where processes run.
        broker: which runs already.
        lines: the command lines.
        checkpoints: folder of the trainer's.
        port: first port of the channel.
        say: shows a line to the user.
    """

    def __init__(
        self,
        plan: Sequence[Kill],
        rows: int,
        programs: Programs,
        broker: Broker,
        lines: CommandLines,
        checkpoints: Path,
        port: int,
        say: Callable[[str], None],
    ) -> None:
        self.kills: CounterType[str] = Counter()
        self.at_named_points = 0
        self._plan: Deque[Kill] = deque(plan)
        self._planned = len(plan)
        self._rows = rows
        self._programs = programs
        self._broker = broker
        self._lines = lines
        self._checkpoints = checkpoints
        self._port = port
        self._say = say
        self._topic = KafkaConfig(bootstrap_servers=broker.bootstrap_servers, topic="chaos")
        self._limit = 0
        self._seconds = SHORT_SECONDS
        self._producing = False
        self._sent_before = 0
        self._last_kill_rows = 0
        self._doomed = ""
        self._ended: List[str] = []
        self._audited = Audited(0, 0)
        self._moved = time.monotonic()

    def run(self) -> Audited:
        """Run until the trainer has seen every row; what the audit says then.

        Raises:
            UserError: a process ended as it should not have, or nothing moves any more; its last lines are on stderr.
            KeyboardInterrupt: a signal came.
        """
        self._start("consumer")
        self._start("trainer")
        self._start_segment(self._lines.segment, SHORT_SECONDS)
        while "trainer" not in self._ended:
            self._attend()
            kill = self._plan[0] if self._plan else None
            if kill is not None and self._audited.rows >= max(kill.rows, self._last_kill_rows + 1):
                self._plan.popleft()
                self._carry_out(kill)
        if self._plan or self._producing:
            left = f"{len(self._plan)} kills were to come" if self._plan else "the producer still runs"
            raise self.failure("trainer", f"ended while {left}")
        self._stop("consumer")
        return read_progress(self._audit_file)

    def failure(self, name: str, what: str) -> UserError:
        """An error of a process, after its last lines were shown."""
        for line in self._programs.tail(name):
            sys.stderr.write(f"  {line}\n")
        return UserError(f"{name} {what}; all it wrote is in {self._programs.log(name)}")

    @property
    def _audit_file(self) -> Path:
        return self._checkpoints / AUDIT_FILE

    def _attend(self) -> None:
        """Take note of a process that ended, of what was trained, and see to the producer."""
        name = self._programs.wait(POLL_SECONDS)
        if name is not None:
            status = self._programs.status(name)
            if status != (-signal.SIGKILL if name == self._doomed else 0) and not (status == 0 and name == "producer"):
                raise self.failure(name, f"ended with status {status}")
            if name == "producer":
                self._producing = False
            self._ended.append(name)
        if self._broker.wait(0) is not None:
            raise UserError(f"{self._broker.name} ended by itself; its log is {self._broker.log_file}")
        audited = read_progress(self._audit_file)
        if audited != self._audited or name is not None:
            self._audited, self._moved = audited, time.monotonic()
        elif time.monotonic() - self._moved > STALL_SECONDS:
            raise self.failure("trainer", f"trained nothing for {STALL_SECONDS:g} s at {audited.rows} rows")
        wanted = not self._producing and self._doomed != "producer"
        if wanted and self._limit - audited.rows < self._lines.segment:
            self._start_segment(self._lines.segment, SHORT_SECONDS)

    def _carry_out(self, kill: Kill) -> None:
        """Kill as planned and start again what was killed."""
        rows = self._audited.rows
        if kill.process == "broker":
            self._until_sent(kill.times)  # where all is produced, the consumer alone still reads
            self._broker.kill()
            self._note(kill, rows)
            self._broker.start()
            return
        if kill.point is None:
            self._kill_now(kill)
        else:
            self._kill_at_point(kill)
        self._doomed = ""
        self._note(kill, rows)
        self._start(kill.process)

    def _kill_now(self, kill: Kill) -> None:
        """Kill a process in the midst of its work; the producer may have ended just before, then it is started anew."""
        self._doomed = kill.process
        while True:
            if kill.process == "producer" and not self._until_sent(kill.times):
                raise _all_is_produced()
            self._programs.send_signal(kill.process, signal.SIGKILL)
            while kill.process not in self._ended:
                self._attend()
            if self._programs.status(kill.process) == -signal.SIGKILL:
                return

    def _kill_at_point(self, kill: Kill) -> None:
        """Tell a process where to be killed, and wait for that."""
        if POINTS[str(kill.point)].at_start:
            self._stop(kill.process)
        self._doomed = kill.process
        order = self._lines.order_file(kill.process)
        order.with_suffix(".new").write_text(kill.order, "ascii")
        order.with_suffix(".new").rename(order)
        if POINTS[str(kill.point)].at_start:
            self._start(kill.process)
        deadline = time.monotonic() + POINT_SECONDS
        while self._programs.status(kill.process) != -signal.SIGKILL or kill.process not in self._ended:
            if kill.process == "producer" and not self._keep_producing():
                raise _all_is_produced()
            self._attend()
            if time.monotonic() > deadline:
                raise self.failure(kill.process, f"did not reach {kill.order} within {POINT_SECONDS:g} s")
        order.unlink()

    def _note(self, kill: Kill, rows: int) -> None:
        """Count a kill that took place."""
        self._audited = read_progress(self._audit_file)
        self._last_kill_rows = max(self._last_kill_rows, rows, self._audited.rows)
        self._moved = time.monotonic()
        self.kills[kill.process] += 1
        self.at_named_points += kill.point is not None
        number = sum(self.kills.values())
        where = f" at {kill.order}" if kill.point else ""
        self._say(f"kill {number} of {self._planned}: {kill.process}{where}, {self._last_kill_rows} rows trained")

    def _stop(self, name: str) -> None:
        """End a process in good order."""
        self._programs.send_signal(name, signal.SIGTERM)
        while name not in self._ended:
            self._attend()

    def _start(self, name: str) -> None:
        commands = {
            "producer": lambda: self._lines.producer(self._limit, self._seconds),
            "consumer": lambda: self._lines.consumer(self._port),
            "trainer": lambda: self._lines.trainer(self._port, self._checkpoints),
        }
        if name in self._ended:
            self._ended.remove(name)
        if name == "producer":
            self._sent_before = self._messages()
            self._producing = True
        self._programs.start(name, commands[name](), self._lines.environ(name))

    def _start_segment(self, rows: int, seconds: float) -> None:
        """Have the producer go on, unless all is produced."""
        if self._limit < self._rows:
            self._limit, self._seconds = min(self._limit + rows, self._rows), seconds
            self._start("producer")

    def _keep_producing(self) -> bool:
        """Have the producer go on where it has ended, to be killed meanwhile, it or the broker; whether it could."""
        if not self._producing and self._programs.status("producer") == 0:
            if self._limit == self._rows:
                return False
            self._start_segment(self._lines.short_segment, SLOW_SECONDS)
        return True

    def _until_sent(self, messages: int) -> bool:
        """Wait until the producer is at work and has sent so many messages since its start; whether it could."""
        deadline = time.monotonic() + POINT_SECONDS
        while not (self._producing and self._messages() >= self._sent_before + messages):
            if not self._keep_producing():
                return False
            self._attend()
            if time.monotonic() > deadline:
                raise self.failure("producer", f"sent no {messages} messages within {POINT_SECONDS:g} s")
        return True

    def _messages(self) -> int:
        """Messages in the topic."""
        if not self._last_kill_rows and not self._audited.rows:
            return 0  # it may not exist yet
        with closing(open_source(self._topic)) as source:
            return sum(source.watermarks(partition)[1] for partition in source.describe().partitions)


def _all_is_produced() -> UserError:
    return UserError("everything is produced, and the producer was still to be killed: too many kills for these rows")
