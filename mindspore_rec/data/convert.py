"""Pass two over a data set: rows to ids and weights, in parts of training and of test rows, by several processes.

Part p of P holds rows p * n // P to (p + 1) * n // P of the n rows, in their order. It is written in a folder of its
own and moved into place before a note says what it holds: so finished parts are left alone when work begins again.
"""

from __future__ import annotations

import json
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Callable, Dict, Iterable, Optional, Sequence, Tuple

import numpy as np

from mindspore_rec.config import FeatureConfig, UserError
from mindspore_rec.data.input_files import InputFile, RowReader
from mindspore_rec.data.part_files import open_part, prepare_format
from mindspore_rec.data.share_processes import Shared, ShareRunner
from mindspore_rec.data.split import is_test_row
from mindspore_rec.features.engine import FeatureEngine, make_engine
from mindspore_rec.features.errors import FeatureConfigError
from mindspore_rec.published_file import published

SETS = ("train", "test")
Counts = Dict[str, int]  # rows of each set

_UNFINISHED = ".unfinished"


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

    def unfinished(self, part: int) -> Path:
        """Where the part is written."""
        return Path(self.folder) / _UNFINISHED / str(part)

    def note(self, part: int) -> Path:
        """The file that says that a part is finished."""
        return Path(self.folder) / f".part_{part}.json"


def start_runner(format: str, workers: int) -> ShareRunner:
    """Up to ``workers`` processes for `convert`; they load what the format needs at once."""
    return ShareRunner(partial(prepare_format, format), workers)


def convert(
    work: Conversion, runner: ShareRunner, on_rows: Callable[[int], object] = lambda rows: None
) -> Counts:
    """Write the parts that are not there yet.

    Args:
        runner: of `start_runner`.
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
        # A process takes neighbouring parts, so that it looks for its place in a file once.
        shares = [share.tolist() for share in np.array_split(np.array(missing), min(runner.workers, len(missing)))]
        written.update(runner.run(partial(_share_converter, work), shares, on_rows))
    return {kind: sum(counts[kind] for counts in written.values()) for kind in SETS}


def _share_converter(work: Conversion) -> Callable[[Sequence[int], Shared], None]:
    """Load what all processes need; the function that converts a share of the parts."""
    try:
        return partial(_convert_share, work, make_engine(work.features))
    except FeatureConfigError as error:
        raise UserError(str(error)) from None


def _convert_share(work: Conversion, engine: FeatureEngine, parts: Sequence[int], shared: Shared) -> None:
    reader = RowReader(work.files, work.file_rows)
    with ThreadPoolExecutor(1) as finisher:  # the disk takes a part while the next one is made
        finished = []
        for part in parts:
            counts = _convert_part(work, part, engine, reader, shared)
            finished.append(finisher.submit(_finish_part, work, part, counts, shared))
        for future in finished:
            future.result()


def _convert_part(work: Conversion, part: int, engine: FeatureEngine, reader: RowReader, shared: Shared) -> Counts:
    unfinished = work.unfinished(part)
    unfinished.mkdir(parents=True)
    with ExitStack() as stack:
        names = [work.name(kind, part) for kind in SETS]
        train, test = (stack.enter_context(open_part(work.format, unfinished, n, work.block_rows)) for n in names)
        for first_row, chunk in reader.chunks(*work.rows_of_part(part)):
            if shared.stop.value:
                raise UserError("stopped")
            features = engine.transform([chunk], "block")
            tested = is_test_row(first_row + features.row.astype(np.int64), work.test_size, work.seed)
            for writer, chosen in ((train, ~tested), (test, tested)):
                if chosen.all():
                    writer.write(features.ids, features.weights, features.labels)
                elif chosen.any():
                    writer.write(features.ids[chosen], features.weights[chosen], features.labels[chosen])
            shared.add_rows(int(features.rows_per_message.sum()))
    return {"train": train.rows, "test": test.rows}


def _finish_part(work: Conversion, part: int, counts: Counts, shared: Shared) -> None:
    for path in work.unfinished(part).iterdir():
        _to_disk(path)
        os.replace(path, Path(work.folder) / path.name)
    work.unfinished(part).rmdir()
    with published(work.note(part)) as note:
        note.write_text(json.dumps({"key": work.key(), "rows": counts}))
    shared.results.put((part, counts))


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
