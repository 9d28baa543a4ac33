"""The work of ``process_data.py``: statistics, dictionaries, training and test files of a data set, in that order.

Under the data's folder: ``stats_dict`` (dictionaries, ``statistics.json``, ``bad_rows.jsonl``), ``mindrecord`` or
``parquet`` (parts), ``.process_data`` (runs of pass one, removed at the end). Work that was cut off goes on where the
last run or part ended; finished work over the same files is not done again.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import time
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any, Dict, List, Sequence, Tuple

from tqdm import tqdm

from mindspore_rec.config import FeatureConfig, ProcessConfig, UserError
from mindspore_rec.data.allocator import keep_freed_memory, return_freed_memory
from mindspore_rec.data.build_dictionary import build_dictionary
from mindspore_rec.data.convert import SETS, Conversion, convert, start_runner
from mindspore_rec.data.count_pass import CountPass
from mindspore_rec.data.count_runs import Run
from mindspore_rec.data.input_files import InputFile, find_files
from mindspore_rec.data.share_processes import ShareRunner
from mindspore_rec.data.statistics import Totals
from mindspore_rec.features.dictionary_file import write_dictionary_file
from mindspore_rec.features.dictionary_pickles import write_pickles
from mindspore_rec.features.spec import FeatureSpec
from mindspore_rec.published_file import published

logger = logging.getLogger(__name__)

_MERGE_SHARE = 0.25  # of the memory
DICTIONARIES = ("dictionary.safetensors", "all_val_max_dict.pkl", "all_val_min_dict.pkl", "cat2id_dict.pkl")


def process(config: ProcessConfig) -> Dict[str, Any]:
    """Do what is not done yet; a summary of the data set and of what lies where.

    Raises:
        UserError: the folder, a file or a row is not as it must be, or there is no room for the results.
    """
    try:
        return _process(config)
    except OSError as error:
        raise UserError(f"data_path: cannot use {error.filename or config.data_path}: {error.strerror}") from None


def _process(config: ProcessConfig) -> Dict[str, Any]:
    keep_freed_memory()
    began = time.monotonic()
    folder = Path(config.data_path).absolute()
    files = find_files(folder, config.pattern)
    for file in files:
        if not file.size:
            logger.warning("%s is empty", file.path)
    dictionaries = folder / "stats_dict"
    dictionaries.mkdir(exist_ok=True)
    statistics = _known_statistics(config, files, dictionaries)
    totals = None if statistics else _count(config, files, dictionaries)
    with ExitStack() as stack:
        runner = None if config.format == "none" else stack.enter_context(start_runner(config.format, _workers(config)))
        if totals is not None:
            statistics = _collect(config, files, dictionaries, *totals)
        summary = {
            **{key: statistics[key] for key in ("rows", "bad_rows", "clicks", "distinct_values", "kept_values")},
            "dictionaries": str(dictionaries),
        }
        if runner is not None:
            rows = statistics["file_rows"]
            summary.update(_convert(config, files, rows, dictionaries, folder / config.format, runner))
    shutil.rmtree(_work_folder(folder), ignore_errors=True)
    return {**summary, "seconds": round(time.monotonic() - began, 1)}


def _work_folder(folder: Path) -> Path:
    return folder / ".process_data"


def _workers(config: ProcessConfig) -> int:
    return config.workers or len(os.sched_getaffinity(0))


def _key(config: ProcessConfig, files: Sequence[InputFile]) -> List[Any]:
    """What decides the statistics and dictionaries."""
    return [config.dense_dim, config.slot_dim, config.threshold, [asdict(file) for file in files]]


def _known_statistics(config: ProcessConfig, files: Sequence[InputFile], dictionaries: Path) -> Dict[str, Any]:
    """Statistics of a finished pass one over the same files; empty where there are none."""
    try:
        statistics: Dict[str, Any] = json.loads((dictionaries / "statistics.json").read_text())
        there = all((dictionaries / name).exists() for name in DICTIONARIES)
        return statistics if there and statistics["key"] == _key(config, files) else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _count(config: ProcessConfig, files: Sequence[InputFile], dictionaries: Path) -> Tuple[Totals, List[Run]]:
    """Pass one."""
    spec = FeatureSpec(dense_dim=config.dense_dim, slot_dim=config.slot_dim)
    (dictionaries / "statistics.json").unlink(missing_ok=True)
    counting = CountPass(
        _work_folder(dictionaries.parent),
        files,
        spec,
        dictionaries / "bad_rows.jsonl",
        memory=config.memory,
        workers=_workers(config),
        max_bad=config.max_bad,
    )
    began, fresh = time.monotonic(), 0
    with tqdm(total=sum(file.size for file in files), desc="count", unit="B", unit_scale=True) as bar:

        def on_progress(size: int, rows: int) -> None:
            nonlocal fresh
            fresh += rows
            bar.set_postfix_str(f"{fresh / (time.monotonic() - began):,.0f} rows/s", refresh=False)
            bar.update(size)

        totals = counting.run(on_progress)
    return totals, counting.runs


def _collect(
    config: ProcessConfig, files: Sequence[InputFile], dictionaries: Path, totals: Totals, runs: Sequence[Run]
) -> Dict[str, Any]:
    """Merge what pass one counted, write statistics and dictionaries."""
    with tqdm(total=config.slot_dim, desc="merge", unit=" fields") as bar:
        content, distinct = build_dictionary(
            runs,
            totals,
            config.slot_dim,
            config.threshold,
            memory=int(_MERGE_SHARE * config.memory),
            workers=_workers(config),
            on_field=bar.update,
        )
    about = {"rows": totals.rows - totals.bad_rows, "threshold": config.threshold}
    write_dictionary_file(dictionaries / "dictionary.safetensors", content, about)
    write_pickles(dictionaries, content)
    statistics = {
        "key": _key(config, files),
        "rows": totals.rows,
        "bad_rows": totals.bad_rows,
        "clicks": totals.clicks,
        "distinct_values": sum(distinct),
        "kept_values": len(content.fields),
        "distinct_values_of_field": distinct,
        "missing_numbers": totals.missing,
        "file_rows": totals.file_rows,
    }
    with published(dictionaries / "statistics.json") as part:  # last: where it is, the dictionaries are
        part.write_text(json.dumps(statistics, indent=1))
    return statistics


def _convert(
    config: ProcessConfig,
    files: Sequence[InputFile],
    file_rows: Sequence[int],
    dictionaries: Path,
    folder: Path,
    runner: ShareRunner,
) -> Dict[str, Any]:
    return_freed_memory()  # the other processes need it
    dictionary = str(dictionaries / "dictionary.safetensors")
    features = FeatureConfig(
        dictionary=dictionary,
        dense_dim=config.dense_dim,
        slot_dim=config.slot_dim,
        numeric_transform=config.numeric_transform,
    )
    work = Conversion(
        tuple(files),
        tuple(file_rows),
        str(folder),
        features,
        config.part_num,
        config.test_size,
        config.split_seed,
        config.format,
        config.sample_rows,
        json.dumps(_key(config, files)),
    )
    with tqdm(total=sum(file_rows), desc=config.format, unit=" rows", unit_scale=True) as bar:
        rows = convert(work, runner, bar.update)
    return {**{f"{kind}_rows": rows[kind] for kind in SETS}, "files": str(folder)}
