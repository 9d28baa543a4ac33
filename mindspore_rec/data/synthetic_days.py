"""Day files of the synthetic stream, in the form of Criteo's click logs, and the oracle beside them.

For D days of N rows a folder gets

- `day_0.tsv` to `day_<D-1>.tsv`, or `.tsv.gz`: the lines of `SyntheticStream`; day d holds its rows d*N to (d+1)*N;
- `day_0.oracle.npy` and so on: P(click) of each row under the hidden model at that row, float64[N];
- `synthetic.json`: ``{"version": 1, "seed": 7, "drift": 0.0, "churn": 0.0, "rows_per_day": N, "gzip": false, "rows":
  {"day_0.tsv": N}}``, the options and the rows of each file that is finished.

A file is written under a hidden name, synced and renamed, and then listed: what is listed is whole. The same options
 give the same bytes. Called again, days that are listed are kept and the others written; other options are
refused, but for the number of days.
"""

from __future__ import annotations

import fcntl
import json
import sys
import time
from contextlib import ExitStack, contextmanager
from gzip import GzipFile
from pathlib import Path
from typing import Any, BinaryIO, Callable, Dict, Iterator, List, Union

import numpy as np
from tqdm import tqdm

from mindspore_rec.config import ConfigError, SyntheticConfig, UserError
from mindspore_rec.data.synthetic import SyntheticStream
from mindspore_rec.published_file import published

MANIFEST = "synthetic.json"
MAX_MANIFEST_BYTES = 4 * 2**20
_LOCK = ".synthetic.lock"
_VERSION = 1
_OPTIONS = ("seed", "drift", "churn", "rows_per_day", "gzip")
_CHUNK_ROWS = 65_536
_GZIP_LEVEL = 1
"""Four times the rows per second of level 6, for files a tenth larger."""
_PROGRESS_SECONDS = 10.0
"""Seconds between progress lines where stderr is no terminal."""


def write_days(config: SyntheticConfig) -> Dict[str, Any]:
    """Write the day files that are not there yet, with a progress bar on stderr.

    Args:
        config: where, how many, and of which stream.

    Returns:
        ``output``, ``days`` and ``rows`` that are there now, ``days_written`` and ``rows_written`` by this call,
        ``seconds`` and ``rows_per_s`` of it.

    Raises:
        ConfigError: the folder holds days of other options.
        UserError: it holds files of someone else, is in use, or cannot be read or written.
    """
    started = time.monotonic()
    folder = Path(config.output)
    options = {"version": _VERSION, **{key: getattr(config, key) for key in _OPTIONS}}
    names = [f"day_{day}.tsv{'.gz' if config.gzip else ''}" for day in range(config.days)]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _locked(folder):
            finished = _finished(folder, options, names)
            wanted = [day for day, name in enumerate(names) if name not in finished]
            stream = SyntheticStream(config.seed, config.drift, config.churn)
            kept = config.rows_per_day * (config.days - len(wanted))
            _write_manifest(folder, {**options, "rows": finished})  # first: from here on the folder is ours
            with _progress(config.rows_per_day * config.days, kept) as bar:
                for day in wanted:
                    _write_day(folder, names[day], day, config, stream, bar.update)
                    finished[names[day]] = config.rows_per_day
                    in_order = sorted(finished, key=lambda name: (len(name), name))  # day_2 before day_10
                    _write_manifest(folder, {**options, "rows": {name: finished[name] for name in in_order}})
    except OSError as error:
        raise UserError(f"cannot use {error.filename or folder}: {error.strerror}") from None
    seconds = time.monotonic() - started
    rows = config.rows_per_day * len(wanted)
    return {
        "output": config.output,
        "days": len(finished),
        "rows": sum(finished.values()),
        "days_written": len(wanted),
        "rows_written": rows,
        "seconds": round(seconds, 1),
        "rows_per_s": round(rows / max(seconds, 1e-9)),
    }


def oracle_name(name: str) -> str:
    """The side file of a day file.

    >>> oracle_name("day_3.tsv.gz")
    'day_3.oracle.npy'
    """
    return name.split(".", 1)[0] + ".oracle.npy"


def _write_day(
    folder: Path, name: str, day: int, config: SyntheticConfig, stream: SyntheticStream, done: Callable[[int], Any]
) -> None:
    rows = config.rows_per_day
    with ExitStack() as stack:
        parts = [stack.enter_context(published(folder / file)) for file in (name, oracle_name(name))]
        file, oracle = (stack.enter_context(part.open("wb")) for part in parts)
        lines: Union[BinaryIO, GzipFile] = file
        if config.gzip:  # no name and no time inside: the same rows are the same bytes
            lines = stack.enter_context(GzipFile("", "wb", _GZIP_LEVEL, file, mtime=0))
        header = {"descr": "<f8", "fortran_order": False, "shape": (rows,)}
        np.lib.format.write_array_header_1_0(oracle, header)  # type: ignore[no-untyped-call]  # NumPy leaves it untyped
        for start in range(0, rows, _CHUNK_ROWS):
            count = min(_CHUNK_ROWS, rows - start)
            text, probabilities = stream.lines_and_probabilities(day * rows + start, count)
            lines.write(text)
            oracle.write(probabilities.astype("<f8", copy=False).tobytes())
            done(count)


def _write_manifest(folder: Path, content: Dict[str, Any]) -> None:
    with published(folder / MANIFEST) as part:
        part.write_bytes(json.dumps(content, indent=1).encode() + b"\n")


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Two writers at once would share the unfinished files."""
    with open(folder / _LOCK, "ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"another process writes to {folder}: wait for it, or choose another --output") from None
        yield


def _progress(total: int, kept: int) -> tqdm[Any]:
    seconds = 0.1 if sys.stderr.isatty() else _PROGRESS_SECONDS
    return tqdm(total=total, initial=kept, unit=" rows", unit_scale=True, mininterval=seconds)


def _finished(folder: Path, options: Dict[str, Any], names: List[str]) -> Dict[str, int]:
    """Rows of each day file that is there already, by name."""
    path = folder / MANIFEST
    if not path.exists():
        foreign = [name for day in names for name in (day, oracle_name(day)) if (folder / name).exists()]
        if foreign:
            raise UserError(f"{folder / foreign[0]} exists and there is no {path.name}: choose another --output")
        return {}
    content = _read_manifest(path)
    for key, value in options.items():
        if content.get(key) != value:
            was, now = json.dumps(content.get(key)), json.dumps(value)
            raise ConfigError(f"{path} has {key} = {was}, not {now}: give the same options or choose another --output")
    rows: Dict[str, int] = content["rows"]
    return {name: rows[name] for name in rows if all((folder / file).exists() for file in (name, oracle_name(name)))}


def _read_manifest(path: Path) -> Dict[str, Any]:
    with open(path, "rb") as file:
        data = file.read(MAX_MANIFEST_BYTES + 1)
    try:
        if len(data) <= MAX_MANIFEST_BYTES:
            content = json.loads(data)
            if all(isinstance(rows, int) for rows in content["rows"].values()):
                return dict(content)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        pass  # told below
    raise UserError(f"{path} is damaged: delete the files beside it, or choose another --output")
