"""process_data.py as a user runs it."""

import gzip
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Dict, List, Tuple

import numpy as np
import pyarrow.parquet
import pytest
from mindspore.dataset import MindDataset

from mindspore_rec.config import FeatureConfig
from mindspore_rec.data.synthetic import SyntheticStream
from mindspore_rec.features.dictionary_file import load_dictionary_file
from mindspore_rec.features.engine import make_engine
from mindspore_rec.features.number_pickle import load_number_dict

PROGRAM = Path(__file__).resolve().parents[2] / "datasets" / "criteo_1tb" / "process_data.py"
DEADLINE = 120.0


def started(folder: Path, *arguments: str) -> subprocess.Popen:
    command = [sys.executable, str(PROGRAM), "--data_path", str(folder), "--workers", "2", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def run(folder: Path, *arguments: str) -> Tuple[int, str, str]:
    program = started(folder, *arguments)
    out, err = program.communicate(timeout=DEADLINE)
    return program.returncode, out, err


def summary(folder: Path, *arguments: str) -> Dict[str, object]:
    status, out, err = run(folder, *arguments)
    assert status == 0, err
    result: Dict[str, object] = json.loads(out.splitlines()[-1])
    return result


def last_line(err: str) -> str:
    return err.replace("\r", "\n").splitlines()[-1]


def parquet_rows(folder: Path, kind: str) -> np.ndarray:
    paths = sorted((folder / "parquet").glob(f"{kind}_*.parquet"))
    return np.concatenate([np.array(pyarrow.parquet.read_table(path)["id"].to_pylist()) for path in paths])


@pytest.fixture(scope="module")
def sample() -> Path:
    folder = os.environ.get("MSREC_SAMPLE_DIR")
    if not folder:
        pytest.skip("MSREC_SAMPLE_DIR is not set")
    return Path(folder) / "criteo_real_sample.tsv"


def test_real_rows_have_the_ids_and_weights_the_consumer_gives_them(sample: Path, tmp_path: Path) -> None:
    shutil.copy(sample, tmp_path / "day_0")
    result = summary(tmp_path, "--test_size", "0", "--threshold", "2", "--part_num", "3", "--sample_rows", "100")
    assert (result["rows"], result["bad_rows"], result["train_rows"], result["test_rows"]) == (1999, 0, 1999, 0)
    files = sorted(str(path) for path in (tmp_path / "mindrecord").glob("*.mindrecord"))
    blocks = MindDataset(files, ["id", "weight", "label"], shuffle=False)
    read = [np.concatenate(column) for column in zip(*blocks.create_tuple_iterator(num_epochs=1, output_numpy=True))]
    stats = tmp_path / "stats_dict"
    pickles = {
        "max_dict": str(stats / "all_val_max_dict.pkl"),
        "min_dict": str(stats / "all_val_min_dict.pkl"),
        "map_dict": str(stats / "cat2id_dict.pkl"),
    }
    for config in (FeatureConfig(**pickles), FeatureConfig(dictionary=str(stats / "dictionary.safetensors"))):
        features = make_engine(config).transform([sample.read_bytes()], "block")
        np.testing.assert_array_equal(read[0], features.ids)
        np.testing.assert_array_equal(read[1], features.weights)
        np.testing.assert_array_equal(read[2], features.labels)
    ids = load_number_dict("map_dict", str(stats / "cat2id_dict.pkl"), 1 << 20)
    assert [ids[f"I{i}"] for i in range(1, 14)] == list(range(13))
    assert [ids[f"OOVC{i}"] for i in range(1, 27)] == list(range(13, 39))
    assert sorted(ids.values()) == list(range(len(ids)))
    assert len(np.unique(read[0])) > 1000


@pytest.fixture
def days(tmp_path: Path) -> Path:
    stream = SyntheticStream(seed=4)
    (tmp_path / "day_0").write_bytes(stream.lines(0, 30_000))
    (tmp_path / "day_1.gz").write_bytes(gzip.compress(stream.lines(30_000, 30_000), 1))
    return tmp_path


def results(folder: Path) -> List[bytes]:
    """All that the dictionaries and statistics say, but where the files lie."""
    stats = folder / "stats_dict"
    known = json.loads((stats / "statistics.json").read_text())
    known.pop("key")
    digest = load_dictionary_file(str(stats / "dictionary.safetensors"), 13, 26).digest
    names = ("all_val_max_dict.pkl", "all_val_min_dict.pkl", "cat2id_dict.pkl")
    return [json.dumps(known).encode(), digest.encode(), *((stats / name).read_bytes() for name in names)]


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_interrupted_work_goes_on_and_ends_the_same(days: Path, number: int) -> None:
    arguments = ["--format", "parquet", "--part_num", "30"]
    program = started(days, *arguments)
    end = time.monotonic() + DEADLINE
    while not list((days / "parquet").glob(".part_*.json")):
        assert program.poll() is None and time.monotonic() < end
        time.sleep(0.005)  # a poll with a deadline
    program.send_signal(number)
    _, err = program.communicate(timeout=DEADLINE)
    assert program.returncode == (130 if number == signal.SIGINT else -number)
    assert "Traceback" not in err
    finished = {path: path.stat().st_mtime_ns for path in (days / "parquet").glob(".part_*.json")}
    assert 0 < len(finished) < 30, "it was not cut off in the middle"

    again = summary(days, *arguments)
    assert all(path.stat().st_mtime_ns == changed for path, changed in finished.items())
    whole = days / "whole"
    whole.mkdir()
    for name in ("day_0", "day_1.gz"):
        shutil.copy2(days / name, whole / name)
    expected = summary(whole, *arguments)
    assert results(days) == results(whole)
    assert (again["train_rows"], again["test_rows"]) == (expected["train_rows"], expected["test_rows"])
    for kind in ("train", "test"):
        np.testing.assert_array_equal(parquet_rows(days, kind), parquet_rows(whole, kind))


def test_finished_work_is_not_done_again_and_new_options_do_what_they_change(days: Path) -> None:
    first = summary(days, "--format", "none")
    assert "files" not in first and not (days / "mindrecord").exists() and not (days / ".process_data").exists()
    stats = days / "stats_dict" / "statistics.json"
    before = stats.stat().st_mtime_ns
    second = summary(days, "--format", "parquet", "--part_num", "2")
    assert stats.stat().st_mtime_ns == before
    assert second["train_rows"] + second["test_rows"] == 60_000  # type: ignore[operator]
    more = summary(days, "--format", "none", "--threshold", "50")
    assert more["kept_values"] < first["kept_values"] and more["distinct_values"] == first["distinct_values"]  # type: ignore[operator]


MISTAKES = [
    (["--part_num", "0"], 2, "error: part_num = '0' (argument --part_num): expected a whole number >= 1"),
    (["--memory", "many"], 2, "error: memory = 'many' (argument --memory): expected a size such as 4GiB"),
    (["--pattern", "x*"], 2, "error: pattern: 'x*', no file of "),
    (["--data_path", "/nonexistent"], 2, "error: data_path: /nonexistent, no such folder"),
    (["--slot_dim", "25"], 1, "error: max_bad = 0.01: "),
]


@pytest.mark.parametrize(("arguments", "status", "start"), MISTAKES, ids=[" ".join(case[0]) for case in MISTAKES])
def test_a_mistake_is_one_line(days: Path, arguments: List[str], status: int, start: str) -> None:
    found, out, err = run(days, *arguments)
    assert (found, out) == (status, "")
    assert last_line(err).startswith(start) and "Traceback" not in err


def test_a_file_cut_off_is_named(days: Path) -> None:
    data = (days / "day_1.gz").read_bytes()
    (days / "day_1.gz").write_bytes(data[: len(data) // 2])
    status, _, err = run(days, "--format", "none")
    assert status == 1 and "Traceback" not in err
    assert "day_1.gz is damaged or cut off" in last_line(err)
    (days / "day_1.gz").write_bytes(data)
    assert summary(days, "--format", "none")["rows"] == 60_000
