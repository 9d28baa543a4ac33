"""Pass one over a data set: bounds of the numbers, counts of the category values, bad rows; in bounded memory.

Counts live in tables (`ValueCounts`) until those reach their share of the memory, then they go to a run file. A run
also says how far the pass had come and what it had seen, so work that was cut off goes on behind the newest run.
"""

from __future__ import annotations

import json
import os
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Callable, Deque, Iterator, List, Sequence, Tuple

from mindspore_rec.config import UserError
from mindspore_rec.data.count_runs import read_text, write_run
from mindspore_rec.data.input_files import InputFile, read_chunks
from mindspore_rec.data.read_ahead import read_ahead
from mindspore_rec.data.row_scan import ScannedRows, scan_rows
from mindspore_rec.data.statistics import Totals
from mindspore_rec.data.value_counts import MAX_ROWS, CountedValues, ValueCounts
from mindspore_rec.features.batch import REASONS
from mindspore_rec.features.spec import FeatureSpec

_TABLE_SHARE = 0.35  # of the memory; one table doubles at a time, and runs are made of one field after the other
_BAD_ROWS_AT_LEAST = 10_000  # rows before the share of bad ones is judged
_SHOWN_BYTES = 200


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
        self.runs: List[Path] = []
        self.totals = Totals(spec.dense_dim)
        self.done = False
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
        if self.done:
            return self.totals
        taken: Deque[int] = deque()
        with ThreadPoolExecutor(self.workers) as pool, self.bad_rows_path.open("ab") as bad_rows:
            bad_rows.truncate(self.totals.bad_bytes)
            start = read_chunks(self.files, self.totals.file, self.totals.row, taken.append)
            for group in _groups(read_ahead(start, self.workers), self.workers):
                scanned = list(pool.map(lambda item: scan_rows(item[1], self.spec), group))
                list(pool.map(partial(self._count, scanned), range(self.spec.slot_dim)))
                for (file, _), rows in zip(group, scanned):
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
                    self._spill(done=False)
        self.totals.file_rows += [0] * (len(self.files) - len(self.totals.file_rows))
        self._check_bad_rows(at_least=0)
        if not self.totals.rows:
            raise UserError(f"data_path: no row in any of the {len(self.files)} files")
        self._spill(done=True)
        return self.totals

    def _count(self, scanned: Sequence[ScannedRows], k: int) -> None:
        for rows in scanned:
            self._tables[k].add(rows.buffer, rows.hashes[k], rows.spans[k])

    def _is_full(self) -> bool:
        sizes = [table.nbytes for table in self._tables]
        return sum(sizes) + max(sizes) > _TABLE_SHARE * self.memory or self._rows_in_tables > MAX_ROWS // 2

    def _spill(self, done: bool) -> None:
        state = {"key": self._key, "done": done, "totals": asdict(self.totals)}
        path = self._run_path(len(self.runs))
        write_run(path, map(_take_content, self._tables), json.dumps(state))
        self.runs.append(path)
        self._rows_in_tables = 0
        self.done = done

    def _run_path(self, number: int) -> Path:
        return self.folder / f"run-{number:06d}.safetensors"

    def _resume(self) -> None:
        """Take over the runs of an earlier pass over the same files; remove those of another one."""
        while self._run_path(len(self.runs)).exists():
            path = self._run_path(len(self.runs))
            state = json.loads(read_text(path))
            if state["key"] != self._key:
                break
            self.runs.append(path)
            self.totals, self.done = Totals(**state["totals"]), state["done"]
        for path in self.folder.glob("run-*"):
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


def _take_content(table: ValueCounts) -> CountedValues:
    content = table.content()
    table.clear()
    return content


def _groups(chunks: Iterator[Tuple[int, bytes]], size: int) -> Iterator[List[Tuple[int, bytes]]]:
    """Lists of up to ``size`` chunks."""
    while group := list(islice(chunks, size)):
        yield group
