"""Day files: their rows, what is kept when work is begun again, and what is refused."""

from __future__ import annotations

import errno
import fcntl
import gzip
import json
import os
from pathlib import Path
from typing import Any, Dict, Tuple, Type

import numpy as np
import pytest
from numpy.typing import NDArray

from mindspore_rec.config import ConfigError, SyntheticConfig, UserError
from mindspore_rec.data import synthetic_days
from mindspore_rec.data.synthetic import SyntheticStream
from mindspore_rec.data.synthetic_days import MANIFEST, oracle_name, write_days

OPTIONS: Dict[str, Any] = {"days": 3, "rows_per_day": 500, "seed": 3, "drift": 50.0, "churn": 50.0}


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(synthetic_days, "_CHUNK_ROWS", 200)  # does not divide the rows


def config(folder: Path, **changed: Any) -> SyntheticConfig:
    return SyntheticConfig(output=str(folder), **{**OPTIONS, **changed})


def contents(folder: Path) -> Dict[str, bytes]:
    """Everything in a folder, hidden files but the lock included."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if not path.name.endswith(".lock")}


def manifest(folder: Path) -> Dict[str, Any]:
    found: Dict[str, Any] = json.loads((folder / MANIFEST).read_text("utf-8"))
    return found


class Failing(SyntheticStream):
    """A stream that breaks off in the middle of a day."""

    error: BaseException = KeyboardInterrupt()
    last_row = 700

    def lines_and_probabilities(self, start_row: int, rows: int) -> Tuple[bytes, NDArray[np.float64]]:
        if start_row >= self.last_row:
            raise self.error
        return super().lines_and_probabilities(start_row, rows)


@pytest.mark.parametrize("compress", [False, True])
def test_days_are_consecutive_rows_of_the_stream(compress: bool, tmp_path: Path) -> None:
    folder = tmp_path / "new" / "days"
    summary = write_days(config(folder, gzip=compress))
    stream = SyntheticStream(3, 50.0, 50.0)
    names = [f"day_{day}.tsv{'.gz' if compress else ''}" for day in range(3)]
    assert set(contents(folder)) == {MANIFEST, *names, *map(oracle_name, names)}
    for day, name in enumerate(names):
        data = (folder / name).read_bytes()
        assert (gzip.decompress(data) if compress else data) == stream.lines(500 * day, 500)
        oracle = np.load(folder / oracle_name(name))
        assert oracle.dtype == np.float64
        assert np.array_equal(oracle, stream.probabilities(500 * day, 500))
    assert manifest(folder) == {
        **{key: value for key, value in OPTIONS.items() if key != "days"},
        "version": 1,
        "gzip": compress,
        "rows": dict.fromkeys(names, 500),
    }
    assert (summary["output"], summary["days"], summary["rows"]) == (str(folder), 3, 1500)
    assert (summary["days_written"], summary["rows_written"]) == (3, 1500)


def test_the_same_options_give_the_same_bytes(tmp_path: Path) -> None:
    write_days(config(tmp_path / "a", gzip=True))
    write_days(config(tmp_path / "b", gzip=True))
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    assert (tmp_path / "a" / "day_0.tsv.gz").read_bytes()[3:8] == bytes(5)  # RFC 1952: no name, no time


def test_progress_is_on_stderr(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_days(config(tmp_path))
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "1.50k/1.50k" in captured.err


def test_finished_days_are_kept_and_more_are_added(tmp_path: Path) -> None:
    write_days(config(tmp_path, days=2))
    before = {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("day_*")}
    summary = write_days(config(tmp_path))
    assert (summary["days"], summary["rows"], summary["days_written"], summary["rows_written"]) == (3, 1500, 1, 500)
    assert {name: (tmp_path / name).stat().st_mtime_ns for name in before} == before
    assert write_days(config(tmp_path, days=1))["days_written"] == 0
    write_days(config(tmp_path / "whole"))
    (tmp_path / "whole").rename(tmp_path.with_name("whole"))
    assert contents(tmp_path) == contents(tmp_path.with_name("whole"))


@pytest.mark.parametrize(
    ("error", "raised"), [(KeyboardInterrupt(), KeyboardInterrupt), (OSError(errno.ENOSPC, "disk full"), UserError)]
)
@pytest.mark.parametrize("compress", [False, True])
def test_interrupted_work_goes_on(
    compress: bool,
    error: BaseException,
    raised: Type[BaseException],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder, whole = tmp_path / "days", tmp_path / "whole"
    monkeypatch.setattr(synthetic_days, "SyntheticStream", Failing)
    monkeypatch.setattr(Failing, "error", error)
    with pytest.raises(raised):
        write_days(config(folder, gzip=compress))
    first = "day_0.tsv.gz" if compress else "day_0.tsv"
    assert set(contents(folder)) == {MANIFEST, first, oracle_name(first)}
    assert manifest(folder)["rows"] == {first: 500}
    monkeypatch.undo()
    assert write_days(config(folder, gzip=compress))["days_written"] == 2
    write_days(config(whole, gzip=compress))
    assert contents(folder) == contents(whole)


def test_what_a_killed_process_leaves_is_written_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, whole = tmp_path / "days", tmp_path / "whole"
    monkeypatch.setattr(synthetic_days, "SyntheticStream", Failing)
    monkeypatch.setattr(Failing, "last_row", 300)
    with pytest.raises(KeyboardInterrupt):
        write_days(config(folder))
    assert set(contents(folder)) == {MANIFEST}
    monkeypatch.undo()
    (folder / "day_0.oracle.npy").write_bytes(b"renamed, not listed")
    (folder / ".day_0.tsv.part").write_bytes(b"half")
    assert write_days(config(folder))["days_written"] == 3
    write_days(config(whole))
    assert contents(folder) == contents(whole)


def test_a_day_without_its_side_file_is_written_again(tmp_path: Path) -> None:
    folder, whole = tmp_path / "days", tmp_path / "whole"
    write_days(config(folder))
    (folder / "day_1.oracle.npy").unlink()
    assert write_days(config(folder))["days_written"] == 1
    write_days(config(whole))
    assert contents(folder) == contents(whole)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"seed": 4}, "seed = 3, not 4"),
        ({"drift": 0.0}, "drift = 50.0, not 0.0"),
        ({"churn": 1.5}, "churn = 50.0, not 1.5"),
        ({"rows_per_day": 501}, "rows_per_day = 500, not 501"),
        ({"gzip": True}, "gzip = false, not true"),
    ],
)
def test_other_options_are_refused(changed: Dict[str, Any], message: str, tmp_path: Path) -> None:
    write_days(config(tmp_path, days=1))
    before = contents(tmp_path)
    with pytest.raises(ConfigError, match=f"{MANIFEST} has {message}: ") as error:
        write_days(config(tmp_path, **changed))
    assert "\n" not in str(error.value)
    assert contents(tmp_path) == before


@pytest.mark.parametrize("name", ["day_2.tsv", "day_0.oracle.npy"])
def test_files_of_someone_else_are_left_alone(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"theirs")
    with pytest.raises(UserError, match=f"{name} exists and there is no {MANIFEST}"):
        write_days(config(tmp_path))
    assert contents(tmp_path) == {name: b"theirs"}


@pytest.mark.parametrize(
    "damaged",
    [
        *(b"", b"{", b"[]", b"{}", b'{"rows": []}', b'{"rows": {"day_0.tsv": "all"}}', b"\xff"),
        pytest.param(b"[" * 100_000, id="deep"),
        pytest.param(b'{"version": 1, "rows": {}}' + b" " * 2**23, id="long"),
    ],
)
def test_a_damaged_manifest_is_refused(damaged: bytes, tmp_path: Path) -> None:
    (tmp_path / MANIFEST).write_bytes(damaged)
    with pytest.raises(UserError, match=f"{MANIFEST} is damaged"):
        write_days(config(tmp_path))


def test_two_writers_at_once_are_refused(tmp_path: Path) -> None:
    write_days(config(tmp_path, days=1))
    with open(tmp_path / synthetic_days._LOCK, "ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(UserError, match="another process writes to"):
            write_days(config(tmp_path))
    assert write_days(config(tmp_path))["days_written"] == 2


@pytest.mark.parametrize("inner", ["file", "file/inner"])
def test_a_folder_that_cannot_be_is_one_line(inner: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=f"cannot use {tmp_path / inner}: {os.strerror(errno.EEXIST)}|Not a directory"):
        write_days(config(tmp_path / inner))
