"""Pass one over a data set: bounds of the numbers, counts of the category values, bad rows; in bounded memory.

Counts live in tables (`ValueCounts`) until those reach their share of the memory, then they go to a run file. A run
also says how far the pass had come and what it had seen, so work that was cut off goes on behind the newest run.
"""

from __future__ import annotations

import json
import os
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Callable, Deque, Iterator, List, Optional, Sequence, Tuple

from mindspore_rec.config import UserError
from mindspore_rec.data.count_runs import Run, read_text, write_run
from mindspore_rec.data.input_files import InputFile, read_chunks
from mindspore_rec.data.read_ahead import read_ahead
from mindspore_rec.data.row_scan import ScannedRows, scan_rows
from mindspore_rec.data.statistics import Totals
from mindspore_rec.data.value_counts import MAX_ROWS, CountedValues, ValueCounts
from mindspore_rec.features.batch import REASONS
from mindspore_rec.features.spec import FeatureSpec
from mindspore_rec.stream.raw_lines import CHUNK_BYTES

_TABLE_SHARE = 0.35  # of the memory; one table doubles at a time, and runs are made of one field after the other
_BAD_ROWS_AT_LEAST = 10_000  # rows before the share of bad ones is judged
_SHOWN_BYTES = 200
_CHUNK_SHARE = 0.1
_BYTES_PER_LINE_BYTE = 10  # of two groups of chunks: lines, numbers, hashes and spans
_CHUNKS_PER_WORKER = 4  # counted at once: a field's share of so many rows outweighs handing it over


class CountPass:
    """Pass one.

    Args:
        folder: for runs; those that an earlier pass over the same files left there are used.
        files: the data.
        spec: columns of a row.
        bad_rows_path: the file that lists bad rows, a JSON object each.
        memory: bytes the pass may take.
        workers: threads.
        max_bad: share of bad rows that is too much.
    """

    def __init__(
        self,
        folder: Path,
        files: Sequence[InputFile],
        spec: FeatureSpec,
        bad_rows_path: Path,
        memory: int,
        workers: int,
        max_bad: float,
    ) -> None:
        self.folder, self.files, self.spec, self.bad_rows_path = folder, files, spec, bad_rows_path
        self.memory, self.workers, self.max_bad = memory, workers, max_bad
        folder.mkdir(parents=True, exist_ok=True)
        self.runs: List[Run] = []
        self.totals = Totals(spec.dense_dim)
        self._tables = [ValueCounts() for _ in range(spec.slot_dim)]
        self._rows_in_tables = 0
        self._key = json.dumps([asdict(spec), [asdict(file) for file in files]], sort_keys=True)
        self._resume()

    def run(self, on_progress: Callable[[int, int], object] = lambda size, rows: None) -> Totals:
        """Read what is left.

        Args:
            on_progress: called with the bytes of the files and the rows that were read since the last call.

        Raises:
            UserError: a file cannot be read or is damaged, or too many rows are bad.
        """
        taken: Deque[int] = deque()
        with ExitStack() as stack:
            pool = stack.enter_context(ThreadPoolExecutor(self.workers))
            writer = stack.enter_context(_RunWriter())
            bad_rows = stack.enter_context(self.bad_rows_path.open("ab"))
            bad_rows.truncate(self.totals.bad_bytes)
            start = read_chunks(self.files, self.totals.file, self.totals.row, taken.append)
            for files, scanned in self._scanned(pool, start):
                list(pool.map(partial(self._count, scanned), range(self.spec.slot_dim)))
                for file, rows in zip(files, scanned):
                    first = self.totals.add(file, rows)
                    bad_rows.write(self._bad_row_lines(file, first, rows))
                bad_rows.flush()
                self.totals.bad_bytes = bad_rows.tell()
                self._check_bad_rows(at_least=_BAD_ROWS_AT_LEAST)
                count = sum(rows.rows for rows in scanned)
                self._rows_in_tables += count
                on_progress(sum(taken.popleft() for _ in range(len(taken))), count)
                if self._is_full():
                    os.fsync(bad_rows.fileno())
                    self._spill(pool, writer)
            self.totals.file_rows += [0] * (len(self.files) - len(self.totals.file_rows))
            self._check_bad_rows(at_least=0)
            if not self.totals.rows:
                raise UserError(f"data_path: no row in any of the {len(self.files)} files")
            self.runs.append(list(pool.map(_take_content, self._tables)))
            self._tables = []
        return self.totals

    def _scanned(
        self, pool: ThreadPoolExecutor, chunks: Iterator[Tuple[int, bytes]]
    ) -> Iterator[Tuple[List[int], List[ScannedRows]]]:
        """Files and rows of groups of chunks; while one is counted, the next is read and scanned."""
        room = int(_CHUNK_SHARE * self.memory / (_BYTES_PER_LINE_BYTE * CHUNK_BYTES))
        size = max(self.workers, min(_CHUNKS_PER_WORKER * self.workers, room))
        reading = read_ahead(chunks, size)
        previous: List[Tuple[int, Future[ScannedRows]]] = []
        while True:
            group = [(file, pool.submit(scan_rows, chunk, self.spec)) for file, chunk in islice(reading, size)]
            if previous:
                yield [file for file, _ in previous], [scan.result() for _, scan in previous]
            elif not group:
                return
            previous = group

    def _count(self, scanned: Sequence[ScannedRows], k: int) -> None:
        for rows in scanned:
            self._tables[k].add(rows.buffer, rows.hashes[k], rows.spans[k])

    def _is_full(self) -> bool:
        sizes = [table.nbytes for table in self._tables]
        return sum(sizes) + max(sizes) > _TABLE_SHARE * self.memory or self._rows_in_tables > MAX_ROWS // 2

    def _spill(self, pool: ThreadPoolExecutor, writer: _RunWriter) -> None:
        state = {"key": self._key, "totals": asdict(self.totals)}
        path = self._run_path(len(self.runs))
        writer.write(path, list(pool.map(_take_content, self._tables)), json.dumps(state))
        self.runs.append(path)
        self._rows_in_tables = 0

    def _run_path(self, number: int) -> Path:
        return self.folder / f"run-{number:06d}.safetensors"

    def _resume(self) -> None:
        """Take over the runs of an earlier pass over the same files; remove those of another one."""
        while (path := self._run_path(len(self.runs))).exists():
            state = json.loads(read_text(path))
            if state["key"] != self._key:
                break
            self.runs.append(path)
            self.totals = Totals(**state["totals"])
        for pattern in ("run-*", ".run-*"):
            for path in self.folder.glob(pattern):
                if path not in self.runs:
                    path.unlink()

    def _bad_row_lines(self, file: int, first_row: int, rows: ScannedRows) -> bytes:
        name = os.path.basename(self.files[file].path)
        entries = [
            {
                "file": name,
                "row": first_row + row,
                "reason": REASONS[reason],
                "line": line[:_SHOWN_BYTES].decode(errors="backslashreplace"),
            }
            for row, reason, line in rows.rejects
        ]
        return b"".join(json.dumps(entry).encode() + b"\n" for entry in entries)

    def _check_bad_rows(self, at_least: int) -> None:
        bad, rows = self.totals.bad_rows, self.totals.rows
        if rows >= at_least and bad > self.max_bad * rows:
            raise UserError(
                f"max_bad = {self.max_bad:g}: {bad} of the first {rows} rows are bad; they are listed in"
                f" {self.bad_rows_path}"
            )


class _RunWriter:
    """Writes runs behind the pass, one at a time."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="run-writer")
        self._writing: Optional[Future[None]] = None

    def write(self, path: Path, fields: Sequence[CountedValues], text: str) -> None:
        """Begin to write a run, once the one before it is written."""
        self.wait()
        self._writing = self._pool.submit(write_run, path, fields, text)

    def wait(self) -> None:
        """Wait for the run that is being written; its error is raised here."""
        if self._writing is not None:
            self._writing.result()

    def __enter__(self) -> _RunWriter:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self._pool.shutdown()
        if error is None:
            self.wait()


def _take_content(table: ValueCounts) -> CountedValues:
    content = table.content()
    table.clear()
    return content
