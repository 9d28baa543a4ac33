"""Pass two over a data set: rows to ids and weights, in parts of training and of test rows, by several processes.

Part p of P holds rows p * n // P to (p + 1) * n // P of the n rows, in their order. It is written in a folder of its
own and moved into place before a note says what it holds: so finished parts are left alone when work begins again.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import signal
import threading
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Callable, Dict, Iterable, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from mindspore_rec.config import FeatureConfig, UserError
from mindspore_rec.data.allocator import keep_freed_memory
from mindspore_rec.data.input_files import InputFile, RowReader
from mindspore_rec.data.part_files import open_part
from mindspore_rec.data.split import is_test_row
from mindspore_rec.features.engine import FeatureEngine, make_engine

SETS = ("train", "test")
Counts = Dict[str, int]  # rows of each set

_UNFINISHED = ".unfinished"
_POLL_SECONDS = 0.2


@dataclass(frozen=True)
class Conversion:
    """What pass two makes of which rows.

    Attributes:
        files: the data.
        file_rows: rows of each file, bad ones among them.
        folder: where the parts go.
        features: how rows become ids and weights; names the dictionary file.
        parts: how many.
        test_size: share of test rows.
        seed: of the choice of test rows.
        format: ``mindrecord`` or ``parquet``.
        block_rows: rows of a MindRecord sample.
        dictionary_key: what the dictionary was made of.
    """

    files: Tuple[InputFile, ...]
    file_rows: Tuple[int, ...]
    folder: str
    features: FeatureConfig
    parts: int
    test_size: float
    seed: int
    format: str
    block_rows: int
    dictionary_key: str

    def key(self) -> str:
        """Text that says what decides the content of the parts."""
        values = asdict(self)
        values["features"] = self.features.model_dump()
        return json.dumps(values, sort_keys=True)

    def rows_of_part(self, part: int) -> Tuple[int, int]:
        """First row of the part in the data set, and the first behind it."""
        rows = sum(self.file_rows)
        return part * rows // self.parts, (part + 1) * rows // self.parts

    def name(self, kind: str, part: int) -> str:
        """Name of a part's file without its suffix."""
        return f"{kind}_input_part_{part:0{len(str(self.parts - 1))}d}"

    def note(self, part: int) -> Path:
        """The file that says that a part is finished."""
        return Path(self.folder) / f".part_{part}.json"


def convert(work: Conversion, workers: int, on_rows: Callable[[int], object] = lambda rows: None) -> Counts:
    """Write the parts that are not there yet.

    Args:
        workers: processes.
        on_rows: called with the rows taken in since the last call, those of finished parts first.

    Returns:
        rows of each set, finished parts included.

    Raises:
        UserError: a file cannot be read or has changed, a package is missing, or a process died.
    """
    Path(work.folder).mkdir(parents=True, exist_ok=True)
    written = {part: counts for part in range(work.parts) if (counts := _read_note(work, part)) is not None}
    _remove_others(work, written)
    for begin, end in map(work.rows_of_part, written):
        on_rows(end - begin)
    missing = [part for part in range(work.parts) if part not in written]
    if missing:
        written.update(_convert_parts(work, missing, workers, on_rows))
    return {kind: sum(counts[kind] for counts in written.values()) for kind in SETS}


def _convert_parts(
    work: Conversion, parts: Sequence[int], workers: int, on_rows: Callable[[int], object]
) -> Dict[int, Counts]:
    context = multiprocessing.get_context("spawn")
    shared = Shared(context.Value("q", 0), context.Event())
    # A process takes neighbouring parts, so that it looks for its place in a file once.
    shares = [share.tolist() for share in np.array_split(np.array(parts), min(workers, len(parts)))]
    written: Dict[int, Counts] = {}
    shown = 0
    with ProcessPoolExecutor(len(shares), context, initializer=_start, initargs=(shared,)) as pool:
        left = {pool.submit(_convert_share, work, share) for share in shares}
        try:
            while left:
                ended, left = wait(left, _POLL_SECONDS, FIRST_COMPLETED)
                on_rows(shared.rows.value - shown)
                shown = shared.rows.value
                for future in ended:
                    written.update(future.result())
        except BrokenProcessPool:
            raise UserError("a converting process was killed; is there memory for all workers?") from None
        finally:
            shared.stop.set()
    return written


class Shared(NamedTuple):
    """What the processes share: rows taken in, and the wish to stop."""

    rows: Any
    stop: Any


_shared: List[Shared] = []  # of a converting process: filled once, when it starts


def _start(shared: Shared) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent too, which stops us
    keep_freed_memory()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _shared.append(shared)


def _end_with_parent() -> None:
    """A pool's process whose parent was killed would wait for work forever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _convert_share(work: Conversion, parts: Sequence[int]) -> Dict[int, Counts]:
    engine, reader = make_engine(work.features), RowReader(work.files, work.file_rows)
    written = {}
    for part in parts:
        written[part] = _convert_part(work, part, engine, reader)
        if _shared[0].stop.is_set():
            break
    return written


def _convert_part(work: Conversion, part: int, engine: FeatureEngine, reader: RowReader) -> Counts:
    folder, unfinished = Path(work.folder), Path(work.folder) / _UNFINISHED / str(part)
    unfinished.mkdir(parents=True)
    with ExitStack() as stack:
        names = [work.name(kind, part) for kind in SETS]
        train, test = (stack.enter_context(open_part(work.format, unfinished, n, work.block_rows)) for n in names)
        for first_row, chunk in reader.chunks(*work.rows_of_part(part)):
            if _shared[0].stop.is_set():
                raise UserError("stopped")
            features = engine.transform([chunk], "block")
            tested = is_test_row(first_row + features.row.astype(np.int64), work.test_size, work.seed)
            for writer, chosen in ((train, ~tested), (test, tested)):
                if chosen.all():
                    writer.write(features.ids, features.weights, features.labels)
                elif chosen.any():
                    writer.write(features.ids[chosen], features.weights[chosen], features.labels[chosen])
            with _shared[0].rows.get_lock():
                _shared[0].rows.value += int(features.rows_per_message.sum())
    counts = {"train": train.rows, "test": test.rows}
    for path in unfinished.iterdir():
        _to_disk(path)
        os.replace(path, folder / path.name)
    unfinished.rmdir()
    note = work.note(part)
    note.with_suffix(".part").write_text(json.dumps({"key": work.key(), "rows": counts}))
    os.replace(note.with_suffix(".part"), note)
    return counts


def _to_disk(path: Path) -> None:
    """Put a file on disk and out of the page cache, whose memory the next part needs."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(descriptor)


def _read_note(work: Conversion, part: int) -> Optional[Counts]:
    """Rows of a part that is finished; None where it is not, or was made of something else."""
    try:
        note = json.loads(work.note(part).read_text())
    except (OSError, ValueError):
        return None
    return note["rows"] if note["key"] == work.key() else None


def _remove_others(work: Conversion, finished: Iterable[int]) -> None:
    """Remove parts of other work, of another number of parts among them."""
    folder = Path(work.folder)
    shutil.rmtree(folder / _UNFINISHED, ignore_errors=True)
    kept = {work.note(part).name for part in finished}
    kept_parts = tuple(f"{work.name(kind, part)}." for part in finished for kind in SETS)
    for pattern in (".part_*", *(f"{kind}_input_part_*" for kind in SETS)):
        for path in folder.glob(pattern):
            if path.name not in kept and not path.name.startswith(kept_parts):
                path.unlink()
